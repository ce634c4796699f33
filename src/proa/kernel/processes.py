"""Finds processes by what they have in common: proc(5). For where no cgroup keeps them together."""

from __future__ import annotations

import posix
import time

from proa.errors import TimedOut
from proa.kernel import pidfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE = 0.002


def in_mount_namespace(link: str) -> list[int]:
    """The processes in the mount namespace that /proc/PID/ns/mnt calls `link`, and those below
    them, which may have gone to another; zombies are in none.

    Of processes that this one may not look at nothing is known.
    """
    found = {pid for pid in _all() if _mount_namespace(pid) == link}
    pending = list(found)
    while pending:
        for child in _children(pending.pop()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return sorted(found)


def kill_in_mount_namespace(link: str, *, timeout: float = 10.0) -> None:
    """Kill them, and return when none is left. Raises TimedOut, naming those that do not die."""
    deadline = time.monotonic() + timeout
    while pids := [pid for pid in in_mount_namespace(link) if _is_alive(pid)]:
        if time.monotonic() > deadline:
            left = " ".join(map(str, pids))
            raise TimedOut(f"processes of the container do not die: {left}")
        for pid in pids:
            try:
                descriptor = pidfd.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                # looked at again: the number may be another's by now
                if _mount_namespace(pid) == link or pid in in_mount_namespace(link):
                    pidfd.send_signal(descriptor, 9)
            except ProcessLookupError:
                continue
            finally:
                posix.close(descriptor)
        time.sleep(_PAUSE)


def kill_tree(pid: int) -> None:
    """Kill `pid` and all processes below it; `pid`, a child of this process's, is left to reap.

    Each is stopped before its children are looked for: what has a stop signal pending has no
    further children.
    """
    found: dict[int, None] = {}
    while True:
        pending = [pid]
        before = len(found)
        while pending:
            current = pending.pop()
            if current not in found:
                found[current] = None
                _signal(current, 19)  # SIGSTOP
            pending += _children(current)
        if len(found) == before:
            break
    for current in found:
        _signal(current, 9)


def _signal(pid: int, number: int) -> None:
    try:
        posix.kill(pid, number)
    except ProcessLookupError:
        return


def _all() -> Iterator[int]:
    return (int(name) for name in posix.listdir("/proc") if name.isdigit())


def _mount_namespace(pid: int) -> str:
    try:
        return posix.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        tasks = posix.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            descriptor = posix.open(
                f"/proc/{pid}/task/{task}/children", posix.O_RDONLY | posix.O_CLOEXEC
            )
        except OSError:
            continue
        try:
            while part := posix.read(descriptor, 1 << 16):
                found += [int(number) for number in part.split()]
        except OSError:
            continue
        finally:
            posix.close(descriptor)
    return found


def _is_alive(pid: int) -> bool:
    try:
        descriptor = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        return posix.read(descriptor, 4096).rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False
    finally:
        posix.close(descriptor)
