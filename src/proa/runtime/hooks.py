"""Runs hooks: programs that the spec names for moments of a container's life.

runtime-spec, "POSIX-platform Hooks". Each gets the container's state as JSON on its standard
input. Where they run:

- prestart, createRuntime: by the creator in its own namespaces, once the container's are made and
  its mounts are, before pivot_root;
- createContainer: by the first process in the container's namespaces, before pivot_root, so the
  path is still one of the host;
- startContainer: by the first process in the container, right before its command;
- poststart, poststop: by whoever starts or deletes the container, in its own namespaces.
"""

from __future__ import annotations

import _signal
import posix
import select

from proa.errors import InvalidArgument, KernelError, TimedOut
from proa.kernel import pidfd
from proa.lean import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

KINDS = (
    *("prestart", "createRuntime", "createContainer"),
    *("startContainer", "poststart", "poststop"),
)
_MOST_OUTPUT = 4096
_IGNORED = (_signal.SIGPIPE, _signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)


def check(hooks: Mapping[str, Any]) -> None:
    """See that each hook is one. Raises InvalidArgument."""
    for kind, entries in hooks.items():
        if kind not in KINDS:
            raise InvalidArgument(f"no such kind of hook: {kind}; there are {', '.join(KINDS)}")
        for entry in entries or ():
            path = entry.get("path")
            if not isinstance(path, str) or not path.startswith("/"):
                raise InvalidArgument(f"the path of a {kind} hook must be absolute: {path!r}")
            timeout = entry.get("timeout")
            if timeout is not None and int(timeout) <= 0:
                raise InvalidArgument(f"the timeout of the hook {path} must be more than 0 s")


def run(hooks: Sequence[Mapping[str, Any]], state: Mapping[str, Any]) -> None:
    """Run `hooks` one after the other, each to its end.

    Raises KernelError where one cannot be executed or ends with another code than 0, with the
    end of what it wrote; TimedOut where it takes longer than its timeout: it is killed then.
    """
    data = json.dumps(state).encode()
    for hook in hooks:
        _run(hook, data)


def _run(hook: Mapping[str, Any], state: bytes) -> None:
    path = str(hook["path"])
    arguments = [str(argument) for argument in hook.get("args") or ()] or [path]
    environment = {}
    for item in hook.get("env") or ():
        name, _, value = str(item).partition("=")
        environment[name] = value
    source = posix.memfd_create("state", posix.MFD_CLOEXEC)
    reader, writer = posix.pipe2(posix.O_CLOEXEC)
    try:
        posix.write(source, state)
        posix.lseek(source, 0, 0)
        actions = [
            (posix.POSIX_SPAWN_DUP2, source, 0),
            (posix.POSIX_SPAWN_DUP2, writer, 1),
            (posix.POSIX_SPAWN_DUP2, writer, 2),
        ]
        try:
            pid = posix.posix_spawn(
                path,
                arguments,
                environment,
                file_actions=actions,
                setsigmask=(),
                setsigdef=_IGNORED,
            )
        except OSError as error:
            raise KernelError(
                f"cannot execute the hook {path}: {(error.strerror or '').lower()}"
            ) from None
        posix.close(writer)
        writer = -1
        _wait(path, pid, reader, hook.get("timeout"))
    finally:
        for descriptor in (source, reader, writer):
            if descriptor >= 0:
                posix.close(descriptor)


def _wait(path: str, pid: int, reader: int, timeout: Any) -> None:
    """Wait for the hook and for its output, of which the end is kept."""
    process = pidfd.pidfd_open(pid)
    try:
        output = _collect(process, reader, timeout)
        if output is None:
            pidfd.send_signal(process, _signal.SIGKILL)
            posix.waitpid(pid, 0)
            raise TimedOut(f"the hook {path} did not end within {timeout} s; it was killed")
    finally:
        posix.close(process)
    code = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        text = output.decode("utf-8", "replace").strip().replace("\n", "; ")
        raise KernelError(f"the hook {path} {how}" + (f": {text}" if text else ""))


def _collect(process: int, reader: int, timeout: Any) -> bytes | None:
    """What it writes until it ends; None where that takes too long."""
    import time

    deadline = None if timeout is None else time.monotonic() + int(timeout)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(reader, select.POLLIN)
    posix.set_blocking(reader, False)
    output = b""
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = [descriptor for descriptor, _ in poll.poll(left)]
        if not ready:
            return None
        if reader in ready:
            data = _read(reader)
            if not data:
                # something it started may keep the other end open: only its own end counts
                poll.unregister(reader)
            output = (output + data)[-_MOST_OUTPUT:]
        elif process in ready:
            return output


def _read(descriptor: int) -> bytes:
    try:
        return posix.read(descriptor, 65536)
    except BlockingIOError:
        return b""
