"""A client at a container's standard streams: copies them until the container ends or the user
types the detach keys.
"""

from __future__ import annotations

import _signal
import _socket
import fcntl
import posix
import select
import termios

from proa.errors import InvalidArgument, Unavailable
from proa.lean.channel import checked
from proa.lean.record import record
from proa.monitor.frames import HEADER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proa.lean.channel import Channel

DETACH_KEYS = "ctrl-p,ctrl-q"
_CHUNK = 64 * 1024
_MOST_WAITING = 256 * 1024
_HANG_UP = select.POLLHUP | select.POLLERR
_NOT_FORWARDED = frozenset(
    (
        _signal.SIGCHLD,
        _signal.SIGPIPE,
        _signal.SIGURG,
        _signal.SIGWINCH,
        _signal.SIGTTIN,
        _signal.SIGTTOU,
        _signal.SIGTSTP,
        _signal.SIGCONT,
        _signal.SIGKILL,
        _signal.SIGSTOP,
    )
)


@record
class Ends:
    """The client's own ends of the streams, descriptors or memory. None: not connected."""

    stdin: int | bytes | None
    """bytes: they are sent, and then the end"""
    stdout: int | bytearray | None
    """bytearray: output is added to it; one may serve both"""
    stderr: int | bytearray | None


class Detached(Exception):
    """The user typed the detach keys; the container goes on."""


class Attachment:
    """Copies between `ends` and `stream` until the process has ended.

    `channel` brings the exit code: `{"exited": code}`. With `left` in a message, or with `gone`
    in one before it, the monitor leaves to `on_end`, which is given the message, what is to be done
    then. `on_detach` is called where the user leaves. `resize` names the operation that tells the
    monitor the terminal's size. `redraw`: whoever is attached late sees what is there already.
    """

    def __init__(
        self,
        ends: Ends,
        stream: _socket.socket,
        channel: Channel,
        *,
        tty: bool,
        sig_proxy: bool = False,
        detach_keys: str = DETACH_KEYS,
        resize: str = "resize",
        redraw: bool = False,
        on_end: Callable[[dict[str, Any]], None] | None = None,
        on_detach: Callable[[], None] | None = None,
    ) -> None:
        self._ends = ends
        self._stream = stream
        self._channel = channel
        self._tty = tty
        self._sig_proxy = sig_proxy
        keys = parse_detach_keys(detach_keys)
        self._keys = keys if tty else b""
        self._typed = b""
        self._resize = resize
        self._redraw = redraw
        self._on_end = on_end
        self._on_detach = on_detach
        self._received = b""
        given = ends.stdin
        self._stdin = given if isinstance(given, int) else -1
        self._waiting = bytearray(given if isinstance(given, bytes) else b"")
        self._input_over = self._stdin < 0
        self._output_over = False
        self._result: dict[str, Any] | None = None
        self._poll = select.poll()

    def run(self) -> int:
        """Copy to the end; the exit code. Raises Detached, and what the monitor reports."""
        terminal = self._stdin
        if terminal < 0 or not self._tty or not posix.isatty(terminal):
            return self._run_with_signals()
        saved = termios.tcgetattr(terminal)
        termios.tcsetattr(terminal, termios.TCSANOW, _raw(saved))
        try:
            return self._run_with_signals()
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, saved)

    def _run_with_signals(self) -> int:
        if not (self._sig_proxy or self._tty):
            return self._copy(-1)
        reader, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        former: dict[int, Any] = {}
        try:
            wakeup = _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        except ValueError:
            # not the main thread: the process's signals are not ours to take
            posix.close(reader)
            posix.close(writer)
            return self._copy(-1)
        try:
            if self._tty:
                former[_signal.SIGWINCH] = _signal.signal(_signal.SIGWINCH, _take_note)
                self._send_size()
            if self._sig_proxy:
                for number in _forwarded():
                    former[number] = _signal.signal(number, _take_note)
            return self._copy(reader)
        finally:
            for number, handler in former.items():
                _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)
            _signal.set_wakeup_fd(wakeup)
            posix.close(reader)
            posix.close(writer)

    def _copy(self, signals: int) -> int:
        stream, channel = self._stream.fileno(), self._channel.fileno()
        posix.set_blocking(stream, False)
        actions: dict[int, Callable[[int], None]] = {
            stream: self._stream_ready,
            channel: self._channel_ready,
        }
        self._poll.register(stream, select.POLLIN)
        self._poll.register(channel, select.POLLIN)
        if self._stdin >= 0:
            actions[self._stdin] = self._input_ready
            self._poll.register(self._stdin, select.POLLIN)
        elif self._ends.stdin is not None:
            self._send_input()
        if signals >= 0:
            actions[signals] = lambda _events: self._forward(signals)
            self._poll.register(signals, select.POLLIN)
        while not (self._output_over and self._result is not None):
            for descriptor, events in self._poll.poll():
                actions[descriptor](events)
        return int(checked(self._result)["exited"])

    def _stream_ready(self, events: int) -> None:
        if events & select.POLLOUT:
            self._send_input()
        if not events & (select.POLLIN | _HANG_UP):
            return
        try:
            data = posix.read(self._stream.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._output_over = True
            self._poll.unregister(self._stream.fileno())
            self._end_input()
        elif self._tty:
            _write(self._ends.stdout, data)
        else:
            self._unframe(data)

    def _unframe(self, data: bytes) -> None:
        data = self._received + data
        at = 0
        while len(data) - at >= HEADER.size:
            kind, length = HEADER.unpack_from(data, at)
            end = at + HEADER.size + length
            if end > len(data):
                break
            target = self._ends.stderr if kind == 2 else self._ends.stdout
            _write(target, data[at + HEADER.size : end])
            at = end
        self._received = data[at:]

    def _channel_ready(self, _events: int) -> None:
        received = self._channel.receive()
        if received is None:
            raise Unavailable("the container's monitor is gone; 'proa ps -a' shows what is left")
        message = received[0]
        if message.get("gone") and self._on_end is not None:
            self._on_end(message)
        if "exited" in message or message.get("error"):
            self._result = message
            # the monitor may end now, and with it the channel, before we have read all output
            self._poll.unregister(self._channel.fileno())
            if message.get("left") and self._on_end is not None:
                self._on_end(message)
                self._channel.send({"op": "done"})
            self._end_input()
            if message.get("error"):
                self._output_over = True

    def _input_ready(self, _events: int) -> None:
        try:
            data = posix.read(self._stdin, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: the terminal is gone, or we are in the background
        if not data:
            self._end_input()
            return
        if self._keys:
            data = self._without_detach_keys(data)
        self._waiting += data
        self._send_input()

    def _send_input(self) -> None:
        stream = self._stream.fileno()
        try:
            while self._waiting:
                del self._waiting[: posix.write(stream, self._waiting[:_CHUNK])]
        except BlockingIOError:
            self._poll.modify(stream, select.POLLIN | select.POLLOUT)
            if len(self._waiting) > _MOST_WAITING and not self._input_over:
                self._poll.modify(self._stdin, 0)
            return
        except OSError:
            self._waiting.clear()  # the container takes no more
        if self._output_over:
            return
        self._poll.modify(stream, select.POLLIN)
        if not self._input_over:
            self._poll.modify(self._stdin, select.POLLIN)
        elif not self._waiting:
            self._shut_down()

    def _end_input(self) -> None:
        if self._input_over:
            return
        self._input_over = True
        self._poll.unregister(self._stdin)
        if not self._waiting:
            self._shut_down()

    def _shut_down(self) -> None:
        try:
            self._stream.shutdown(_socket.SHUT_WR)
        except OSError:
            return

    def _without_detach_keys(self, data: bytes) -> bytes:
        """Input less the keys that may be the beginning of the detach sequence."""
        passed = bytearray()
        for value in data:
            key = bytes((value,))
            if self._keys.startswith(self._typed + key):
                self._typed += key
                if self._typed == self._keys:
                    if self._on_detach is not None:
                        self._on_detach()
                    raise Detached
                continue
            passed += self._typed
            self._typed = b""
            if self._keys.startswith(key):
                self._typed = key
            else:
                passed += key
        return bytes(passed)

    def _forward(self, reader: int) -> None:
        for number in posix.read(reader, 64):
            if number == _signal.SIGWINCH:
                self._send_size()
            elif self._result is None:
                self._ask({"op": "kill", "signal": number})

    def _send_size(self) -> None:
        for descriptor in (self._ends.stdin, self._ends.stdout):
            if isinstance(descriptor, int) and posix.isatty(descriptor):
                rows, columns = terminal_size(descriptor)
                if self._redraw:
                    # the size may be what it was: a program draws anew only where it changes
                    self._redraw = False
                    self._ask({"op": self._resize, "rows": rows ^ 1, "columns": columns})
                self._ask({"op": self._resize, "rows": rows, "columns": columns})
                return

    def _ask(self, message: dict[str, Any]) -> None:
        try:
            self._channel.send(message)
        except Unavailable:
            return  # it has ended: its last message is on the way


def parse_detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `a,b` as the bytes that a terminal sends; empty: none.

    Raises InvalidArgument.
    """
    keys = bytearray()
    for name in text.split(",") if text else ():
        if len(name) == 1 and name.isascii():
            keys += name.encode()
        elif len(name) == 6 and name.startswith("ctrl-"):
            letter = ord(name[5].upper())
            if not 0x40 <= letter <= 0x5F:
                raise InvalidArgument(f"detach keys {text}: there is no {name}")
            keys.append(letter - 0x40)
        else:
            raise InvalidArgument(
                f"detach keys {text}: {name} is neither a character nor ctrl- and a letter"
            )
    return bytes(keys)


def terminal_size(descriptor: int) -> tuple[int, int]:
    """Rows and columns of a terminal (ioctl_tty(2), TIOCGWINSZ)."""
    answer = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    return int.from_bytes(answer[0:2], "little"), int.from_bytes(answer[2:4], "little")


def _raw(attributes: list[Any]) -> list[Any]:
    """Terminal attributes that pass every byte on unchanged (termios(3), cfmakeraw)."""
    input_, output, control, local, *rest, characters = attributes
    input_ &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    output &= ~termios.OPOST
    local &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    control = control & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    characters = list(characters)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [input_, output, control, local, *rest, characters]


def _forwarded() -> list[int]:
    return [number for number in range(1, 32) if number not in _NOT_FORWARDED]


def _take_note(_number: int, _frame: object) -> None:
    """The wakeup descriptor has it."""


def _write(target: int | bytearray | None, data: bytes) -> None:
    if target is None:
        return
    if isinstance(target, bytearray):
        target += data
        return
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(target, view) :]
        except BlockingIOError:
            select.select((), (target,), ())
