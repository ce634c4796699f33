"""The kinds of error. Each layer raises these; the command maps them to exit codes and the API
to HTTP codes, once.

A message is one line: lowercase, no full stop, names the object, says what is wrong and what to
do: `no such image: alpine:3.99; see 'proa images', or load one with 'proa load'`.
"""

from __future__ import annotations


class ProaError(Exception):
    """Whatever proa reports on purpose. Catch this to catch all of them."""


class InvalidArgument(ProaError):
    """What the caller asked for is not well formed, or contradicts itself."""


class DockerfileError(InvalidArgument):
    """A Dockerfile, or something that one of its instructions asks for, is not right.

    `line`: the first of its lines that are meant; `excerpt`: these lines and some around them.
    """

    def __init__(self, message: str, *, line: int = 0, excerpt: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.excerpt = excerpt


class NotFound(ProaError):
    """The named object does not exist."""


class ContainerNotFound(NotFound):
    """No container has this name, id or id prefix."""


class ImageNotFound(NotFound):
    """No image in the store has this reference, digest or id prefix."""


class VolumeNotFound(NotFound):
    """No volume has this name."""


class NetworkNotFound(NotFound):
    """No network has this name, id or id prefix."""


class AlreadyExists(ProaError):
    """An object of this name exists."""


class Conflict(ProaError):
    """The object is in a state, or in a use, in which this cannot be done."""


class AmbiguousName(InvalidArgument):
    """A short id stands for several objects."""


class PermissionDenied(ProaError):
    """The kernel or the file system does not let this user do it."""


class Unauthorized(ProaError):
    """A registry wants other credentials."""


class Unsupported(ProaError):
    """This kernel, machine or build of proa cannot do it."""


class Unavailable(ProaError):
    """A process or server that is needed does not answer; trying again may help."""


class NoSpace(ProaError):
    """The disk, a quota or a limit is used up."""


class CorruptData(ProaError):
    """Data does not match its digest, or cannot be what it says it is."""


class HostileData(CorruptData):
    """An archive or image that reaches for something outside of itself. It was refused."""


class LimitExceeded(ProaError):
    """The data is larger, deeper or more than what is accepted."""


class TimedOut(ProaError):
    """It took longer than the caller allowed."""


class Cancelled(ProaError):
    """The caller, or a signal, stopped it."""


class CommandNotFound(ProaError):
    """The container's file system has no such command (exit code 127)."""


class CommandNotExecutable(ProaError):
    """The command exists and cannot be executed (exit code 126)."""


class KernelError(ProaError):
    """The kernel refused a step of building a container; the message names the step."""


class ContainerFailed(ProaError):
    """A container that was run to its end had another exit code than 0.

    `exit_code`: its exit code; `output`: what it wrote until then.
    """

    def __init__(self, message: str, *, exit_code: int = 1, output: bytes = b"") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.output = output


class BuildFailed(ProaError):
    """A step of a build did not succeed.

    `exit_code`: that of its command; `step`: the instruction; `output`: the last that it wrote;
    `excerpt`: its lines of the Dockerfile; `image`: where that was asked for, the id of an image
    of the file system as the command left it.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: int = 1,
        step: str = "",
        output: bytes = b"",
        excerpt: str = "",
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.step = step
        self.output = output
        self.excerpt = excerpt
        self.image = ""
