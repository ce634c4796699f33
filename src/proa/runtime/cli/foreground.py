"""Stays with a container's process: passes signals on, copies its terminal, gives its exit code."""

from __future__ import annotations

import _signal
import posix
import select

from proa.kernel import pidfd, tty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_NOT_PASSED_ON = (
    *(_signal.SIGCHLD, _signal.SIGKILL, _signal.SIGSTOP, _signal.SIGPIPE, _signal.SIGURG),
    *(_signal.SIGWINCH, _signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGTSTP),
)


def stay(pid: int, process: int, terminal: int | None) -> int:
    """Wait for the child `pid` with the pidfd `process`; its exit code.

    `terminal`: the master of its terminal, which is connected to ours.
    """
    reader, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in range(1, 32):
        if number not in _NOT_PASSED_ON or (number == _signal.SIGWINCH and terminal is not None):
            _signal.signal(number, _take_note)
    saved = None
    if terminal is not None and posix.isatty(0):
        import termios

        saved = termios.tcgetattr(0)
        termios.tcsetattr(0, termios.TCSANOW, _raw(saved))
        tty.set_size(terminal, *tty.get_size(0))
    try:
        _copy(process, terminal, reader)
    finally:
        if saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
    return code_of(posix.waitpid(pid, 0)[1])


def code_of(status: int) -> int:
    """The exit code that stands for a wait status; 128 + N where signal N ended it."""
    code = posix.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _copy(process: int, terminal: int | None, signals: int) -> None:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(signals, select.POLLIN)
    if terminal is not None:
        poll.register(terminal, select.POLLIN)
        poll.register(0, select.POLLIN)
    ended = False
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(0 if ended else None)}
        if signals in ready:
            _pass_on(process, posix.read(signals, 64), terminal)
        if terminal is not None and terminal in ready and not _pass(terminal, 1):
            poll.unregister(terminal)
            ready.discard(terminal)
        if terminal is not None and 0 in ready and not _pass(0, terminal):
            poll.unregister(0)
        if process in ready:
            # what it wrote last is still in the terminal
            ended = True
            poll.unregister(process)
        if ended and (terminal is None or terminal not in ready):
            return


def _pass(source: int, target: int) -> bool:
    try:
        data = posix.read(source, 65536)
        view = memoryview(data)
        while view:
            view = view[posix.write(target, view) :]
    except OSError:
        return False
    return bool(data)


def _pass_on(process: int, numbers: Iterable[int], terminal: int | None) -> None:
    for number in numbers:
        try:
            if number == _signal.SIGWINCH and terminal is not None:
                tty.set_size(terminal, *tty.get_size(0))
            else:
                pidfd.send_signal(process, number)
        except OSError:
            continue


def _raw(saved: list[Any]) -> list[Any]:
    """The attributes of a terminal that passes everything through: cfmakeraw(3)."""
    import termios

    changed = [*saved]
    changed[0] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    changed[1] &= ~termios.OPOST
    changed[2] = changed[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    changed[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    return changed


def _take_note(_signal: int, _frame: object) -> None:
    """The number arrives by the wake-up descriptor."""
