"""An init that is this process itself, for hosts without a program for it: it passes signals on,
reaps orphans, and ends as the container's command does.

The first process has all rights of the command by then, and no other; it is not dumpable, so that
the command cannot look into it. What it does is what tini(1) and catatonit(1) do.
"""

from __future__ import annotations

import _signal
import posix

from proa.kernel.libc import function
from proa.kernel.process import set_name, set_subreaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

    from proa.runtime.steps import Steps

NAME = "proa-init"
_OWN = (
    *(_signal.SIGFPE, _signal.SIGILL, _signal.SIGSEGV, _signal.SIGBUS, _signal.SIGABRT),
    *(_signal.SIGTRAP, _signal.SIGSYS, _signal.SIGTTIN, _signal.SIGTTOU),
)
"""What is about this process itself, or its terminal."""
_ARGUMENTS = (45, 46)
"""arg_start and arg_end among the fields of /proc/self/stat from the third on: proc_pid_stat(5)"""


def fork(steps: Steps, arguments: Sequence[str]) -> None:
    """Returns in a child, which is to execute the command; this process stays as init."""
    every = set(_signal.valid_signals()) - set(_OWN)
    # where the pid namespace is another's, orphans would go to its init
    set_subreaper(True)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, every)
    _rename(arguments)
    child = posix.fork()
    if child:
        # the command's success, or failure, is the child's to tell
        steps.channel.close()
        _stay(child, every - {_signal.SIGKILL, _signal.SIGSTOP})
    posix.setpgid(0, 0)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTTOU,))
    if posix.isatty(0):
        # what is typed is for the command alone
        posix.tcsetpgrp(0, posix.getpgrp())
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _stay(child: int, signals: set[int]) -> Never:
    try:
        while True:
            number = _signal.sigwait(signals)
            if number == _signal.SIGCHLD:
                _reap(child)
                continue
            try:
                posix.kill(child, number)
            except ProcessLookupError:
                continue
    finally:
        posix._exit(1)


def _reap(child: int) -> None:
    """Take all that has ended; with the command we end."""
    while True:
        pid, status = posix.waitpid(-1, posix.WNOHANG)
        if pid == 0:
            return
        if pid == child:
            if posix.WIFSIGNALED(status):
                posix._exit(128 + posix.WTERMSIG(status))
            posix._exit(posix.WEXITSTATUS(status))


def _rename(arguments: Sequence[str]) -> None:
    """Be called in lists of processes what we are, not what we were: that is the host's affair."""
    set_name(NAME)
    try:
        descriptor = posix.open("/proc/self/stat", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            fields = posix.read(descriptor, 4096).rpartition(b")")[2].split()
        finally:
            posix.close(descriptor)
        start, end = (int(fields[number]) for number in _ARGUMENTS)
    except (OSError, LookupError, ValueError):
        return  # no /proc: nobody sees it either
    if start:
        words = "\0".join((NAME, "--", *arguments)).encode("utf-8", "surrogateescape")
        # the last byte stays zero: what follows are the variables
        text = words[: end - start - 1].ljust(end - start, b"\0")
        function("memmove", "LpL")(start, text, len(text))
