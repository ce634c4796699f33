"""Processes by descriptor: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).

A pidfd never means another process that was given the same number later. It is readable
(poll) once the process has ended.
"""

from __future__ import annotations

import select

from proa.kernel.libc import syscall, syscall_with_memory

_PIDFD_SEND_SIGNAL = 424
_PIDFD_OPEN = 434
_PIDFD_GETFD = 438


def pidfd_open(pid: int) -> int:
    """A close-on-exec descriptor of the process. Raises ProcessLookupError where there is none."""
    return syscall(_PIDFD_OPEN, pid, 0)


def send_signal(pidfd: int, signal: int) -> None:
    """Send it a signal (0: only ask). Raises ProcessLookupError once it has been reaped."""
    syscall_with_memory(_PIDFD_SEND_SIGNAL, pidfd, signal, None, 0)


def get_descriptor(pidfd: int, number: int) -> int:
    """A duplicate (close-on-exec) of another process's descriptor. Raises OSError."""
    return syscall(_PIDFD_GETFD, pidfd, number, 0)


def wait(pidfd: int, timeout: float | None = None) -> bool:
    """Wait until the process has ended, at most `timeout` seconds; whether it has."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))
