"""A log that another process keeps: messages, a connection, and what happens where that fails.

A message that cannot be sent at once waits. Where the other side is slow, as many wait as the
buffer takes; then the container's output is left in its pipes (mode=blocking), or further messages
are lost (non-blocking). Where the other side is gone, we connect again and again, ever less often,
and what finds the buffer full is lost in both modes. What is lost is counted, and told.
"""

from __future__ import annotations

import _socket
import posix
import select
import time
from errno import EAGAIN, ECONNREFUSED, EINPROGRESS, EMSGSIZE

from proa.errors import Unavailable
from proa.monitor.log import LineLog
from proa.monitor.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import Any

    from proa.monitor.loop import Loop, Timer
else:
    from _collections import deque  # its C alone: collections brings half of the library

PATIENCE = 10.0
"""Seconds to connect in when a container starts, and to deliver the rest when it has ended."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0
"""Seconds between two attempts to connect."""
_LAST_PAUSE = 0.5
"""The same after the container's end, when nobody waits for long."""


class Target:
    """Where messages go: `addresses` of socket(2), tried in turn."""

    def __init__(self, name: str, kind: int, addresses: list[tuple[int, Any]]) -> None:
        self.name = name
        self.kind = kind
        """SOCK_DGRAM, SOCK_STREAM"""
        self.addresses = addresses
        """(family, address)"""


class RemoteLog(LineLog):
    """Turns records into messages by `form` (stream, record without its line end, whether it is
    only a piece of a line) and sends them to `target`. `report` is told what goes wrong.
    """

    def __init__(
        self,
        loop: Loop,
        target: Target,
        form: Callable[[str, bytes, bool], bytes],
        *,
        blocking: bool,
        buffer: int,
        report: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._loop = loop
        self._target = target
        self._form = form
        self._blocking = blocking
        self._limit = buffer
        self._report = report
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._sent = 0
        """bytes of the first message that have left already"""
        self._socket: _socket.socket | None = None
        self._connecting = False
        self._timer: Timer | None = None
        self._pause = _FIRST_PAUSE
        self._tried = 0
        self._lost = 0
        self._opened = False
        self._closed = False
        self._reason = ""
        """why it could not be reached the last time"""
        self._reported = ""
        self._held = False
        self._hold: Callable[[], None] | None = None
        self._release: Callable[[], None] | None = None

    def open(self) -> None:
        """Connect, when the container starts. Raises Unavailable."""
        deadline = time.monotonic() + PATIENCE
        for _ in self._target.addresses:
            self._connect()
            if self._connecting and self._socket is not None:
                poll = select.poll()
                poll.register(self._socket.fileno(), select.POLLOUT)
                if poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    self._connected()
                else:
                    self._break("it does not answer")
            if self._socket is not None:
                self._opened = True
                return
        raise Unavailable(f"the log target {self._target.name} cannot be reached: {self._reason}")

    def flow(self, hold: Callable[[], None], release: Callable[[], None]) -> None:
        """Whom to tell when no more output should be read for now, and when it should be again."""
        self._hold, self._release = hold, release
        if self._held:
            hold()

    @property
    def delivered(self) -> bool:
        """Whether nothing waits any more."""
        return not self._queue

    def _append(self, stream: str, records: list[bytes]) -> None:
        for record in records:
            line = record.removesuffix(b"\n")
            self._send(self._form(stream, line, line is record))

    def _end(self) -> None:
        """Nothing more comes; what waits is delivered while the monitor stays."""
        self._closed = True
        if self._queue and self._socket is None:
            # once more, and soon: nobody waits long for the monitor of a container that has ended
            self._loop.cancel(self._timer)
            self._pause = _FIRST_PAUSE
            self._connect()
        elif self._lost:
            self._tell_lost()

    def _give_up(self) -> None:
        self._lost += len(self._queue)
        self._queue.clear()
        self._size = 0
        self._tell_lost()

    def _tell_lost(self) -> None:
        self._report(f"{self._lost} lines were lost: the log target was away or too slow")

    # -- sending

    def _send(self, message: bytes) -> None:
        # what was read before the container's output was held up has its place all the same
        full = self._size + len(message) > self._limit and self._queue
        if full and not (self._blocking and self._is_connected):
            self._lose()
            return
        self._queue.append(message)
        self._size += len(message)
        if self._is_connected and len(self._queue) == 1:
            self._drain()
        if self._blocking and self._size >= self._limit and self._is_connected:
            self._set_held(True)

    def _drain(self) -> None:
        while self._queue and self._socket is not None:
            message = self._queue[0]
            try:
                sent = self._socket.send(message[self._sent :], _socket.MSG_NOSIGNAL)
            except OSError as error:
                if not self._failed(error, message):
                    break
                continue
            if self._target.kind == _socket.SOCK_STREAM:
                self._sent += sent
                if self._sent < len(message):
                    continue
            self._drop_first()
        self._watch()
        if self._size <= self._limit // 2:
            self._set_held(False)

    def _failed(self, error: OSError, message: bytes) -> bool:
        """What to do about an error of send(2); whether to go on at once."""
        if error.errno == EAGAIN:
            return False
        if error.errno == EMSGSIZE and self._target.kind == _socket.SOCK_DGRAM:
            self._send_large(message)
            return True
        family = self._target.addresses[0][0]
        if error.errno == ECONNREFUSED and family != _socket.AF_UNIX:
            # of a datagram that was sent before: icmp(7). Nobody is there, and may be any time
            self._tell(f"{error.strerror}")
            self._lose()
            return True
        self._break(str(error.strerror))
        return False

    def _send_large(self, message: bytes) -> None:
        """A message beyond what a datagram takes; a target that knows how overrides this."""
        del message
        self._drop_first()
        self._lose()

    def _lose(self) -> None:
        if not self._lost:
            self._report("lines are lost: the log target is away, or too slow")
        self._lost += 1

    def _drop_first(self) -> None:
        self._size -= len(self._queue.popleft())
        self._sent = 0

    def _set_held(self, held: bool) -> None:
        if held == self._held:
            return
        self._held = held
        call = self._hold if held else self._release
        if call is not None:
            call()

    # -- the connection

    @property
    def _is_connected(self) -> bool:
        return self._socket is not None and not self._connecting

    def _connect(self) -> None:
        self._timer = None
        family, address = self._target.addresses[self._tried % len(self._target.addresses)]
        self._tried += 1
        kind = self._target.kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self._socket = _socket.socket(family, kind)
        try:
            self._socket.connect(address)
        except OSError as error:
            if error.errno in (EINPROGRESS, EAGAIN):
                self._connecting = True
                self._watch()
                return
            self._break(str(error.strerror))
            return
        self._connected()

    def _connected(self) -> None:
        assert self._socket is not None
        error = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if error:
            self._break(posix.strerror(error))
            return
        self._connecting = False
        self._pause = _FIRST_PAUSE
        self._reported = ""
        self._drain()

    def _break(self, reason: str) -> None:
        """The connection is gone: have another one soon."""
        self._reason = reason
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        self._socket = None
        self._connecting = False
        self._sent = 0
        if not self._opened:
            return
        self._tell(reason)
        # nobody waits for one who is not there
        self._set_held(False)
        if self._closed and self._pause > _LAST_PAUSE:
            self._give_up()
            return
        self._timer = self._loop.after(self._pause, self._connect)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _tell(self, reason: str) -> None:
        """Report it once for each outage."""
        if reason != self._reported:
            self._reported = reason
            self._report(f"the log target {self._target.name} cannot be reached: {reason}")

    def _watch(self) -> None:
        if self._socket is None:
            return
        events = WRITE if self._queue or self._connecting else 0
        if self._target.kind == _socket.SOCK_STREAM:
            events |= READ
        self._loop.watch(self._socket.fileno(), events, self._ready)

    def _ready(self, events: int) -> None:
        if self._connecting:
            self._connected()
            return
        if events & READ and self._target.kind == _socket.SOCK_STREAM:
            assert self._socket is not None
            try:
                gone = not self._socket.recv(4096)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                self._break("it has closed the connection")
                return
        if events & select.POLLERR and self._target.kind == _socket.SOCK_DGRAM:
            assert self._socket is not None
            self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        self._drain()
