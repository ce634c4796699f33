"""What a process does until it is a container's: steps, each named when it fails."""

from __future__ import annotations

import posix

from proa.errors import KernelError, ProaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Never

    from proa.lean.channel import Channel


class Steps:
    """Where a process is in its work, and how it tells its creator.

    What goes over the channel, `at` saying which: `joined` (a helper's child: its pid), `mounted`
    (before pivot_root, where hooks wait), `terminal` (with its descriptor), `created` (waits to
    be started), `listener` (of seccomp: its number), `final` (execve comes next; the end of the
    channel then means that it succeeded). Or `error` and `kind`.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.current: object = "begin"
        """what is being done, in words by `str`"""

    def tell(self, at: str, descriptors: tuple[int, ...] = (), **more: Any) -> None:
        """Tell the creator. Raises Unavailable where it is gone."""
        self.channel.send({"at": at, **more}, descriptors)

    def wait(self) -> dict[str, Any]:
        """The creator's next word; without a creator there is nothing to live for."""
        received = self.channel.receive()
        if received is None:
            posix._exit(1)
        return received[0]

    def fail(self, error: BaseException) -> Never:
        """Report `error` and end the process with the exit code that fits it."""
        described = describe(error, self.current)
        try:
            self.channel.send(described)
        except (ProaError, OSError):
            pass
        posix._exit({"CommandNotFound": 127, "CommandNotExecutable": 126}.get(described["kind"], 1))


def describe(error: BaseException, step: object) -> dict[str, Any]:
    """`error`, which happened in `step`, as a message."""
    if isinstance(error, ProaError):
        return {"error": str(error), "kind": type(error).__name__}
    if isinstance(error, OSError):
        name = ""
        if error.filename is not None:
            name = error.filename
            name = f" ({name.decode('utf-8', 'replace') if isinstance(name, bytes) else name})"
        reason = (error.strerror or str(error)).lower()
        return {"error": f"cannot {step}: {reason}{name}", "kind": KernelError.__name__}
    # a fault of this program, or of the spec: its kind and place tell more than a message
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" in {code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return {
        "error": f"cannot {step}: {type(error).__name__}: {error}{place}",
        "kind": KernelError.__name__,
    }
