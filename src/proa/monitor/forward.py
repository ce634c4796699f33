"""Asks the name servers of the host, or of a container's choice, and waits for none of them."""

from __future__ import annotations

import _socket
import posix
import struct

from proa.monitor.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proa.monitor.loop import Loop, Timer

    Done = Callable[[bytes | None], None]

_PATIENCE = 3.0
"""Seconds for one server."""
_PORT = 53
_MOST = 256
"""Questions that are waited for at a time; the oldest gives way."""


class Forwarder:
    """Sends queries on."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._file: tuple[int, tuple[str, ...]] = (-1, ())
        self._open: list[Exchange] = []

    def host_servers(self) -> tuple[str, ...]:
        """The servers of the host's resolv.conf(5) as it is now."""
        try:
            changed = posix.stat("/etc/resolv.conf").st_mtime_ns
            if changed != self._file[0]:
                with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
                    words = [line.split() for line in file]
                found = tuple(
                    line[1] for line in words if line[:1] == ["nameserver"] and len(line) > 1
                )
                self._file = (changed, found)
        except OSError:
            return ()
        return self._file[1]

    def ask(self, servers: Sequence[str], query: bytes, done: Done, *, tcp: bool) -> None:
        """Ask one server after the other; `done` gets the first answer, or None."""
        while len(self._open) >= _MOST:
            self._open[0].give_up()
        exchange = Exchange(self._loop, list(servers), query, tcp)

        def finished(reply: bytes | None) -> None:
            if exchange in self._open:
                self._open.remove(exchange)
            done(reply)

        self._open.append(exchange)
        exchange.begin(finished)


class Exchange:
    """One query, and the servers that are left to be asked."""

    def __init__(self, loop: Loop, servers: list[str], query: bytes, tcp: bool) -> None:
        self._loop = loop
        self._servers = servers
        self._query = query
        self._tcp = tcp
        self._done: Done | None = None
        self._socket: _socket.socket | None = None
        self._timer: Timer | None = None
        self._data = b""

    def begin(self, done: Done) -> None:
        """Ask the first one."""
        self._done = done
        self._next()

    def give_up(self) -> None:
        """Wait no longer."""
        self._servers.clear()
        self._next()

    def _next(self) -> None:
        self._close()
        while self._servers:
            server = self._servers.pop(0)
            try:
                self._send(server)
            except OSError:
                self._close()
                continue
            self._timer = self._loop.after(_PATIENCE, self._next)
            return
        self._finish(None)

    def _send(self, server: str) -> None:
        # a zone may follow an address, as in fe80::1%eth0: _socket understands it
        family = _socket.AF_INET6 if ":" in server else _socket.AF_INET
        kind = _socket.SOCK_STREAM if self._tcp else _socket.SOCK_DGRAM
        # a socket, and so a port, for each query: who cannot see it must guess that too
        self._socket = _socket.socket(family, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
        try:
            self._socket.connect((server, _PORT))
        except BlockingIOError:
            pass  # TCP: it is on its way
        if self._tcp:
            self._loop.watch(self._socket.fileno(), WRITE, self._write)
        else:
            self._socket.send(self._query)
            self._loop.watch(self._socket.fileno(), READ, self._read)

    def _write(self, _events: int) -> None:
        assert self._socket is not None
        try:
            self._socket.send(struct.pack(">H", len(self._query)) + self._query)
        except OSError:
            self._next()
            return
        self._loop.watch(self._socket.fileno(), READ, self._read)

    def _read(self, _events: int) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(65535)
        except BlockingIOError:
            return
        except OSError:
            self._next()
            return
        if not self._tcp:
            if data[:2] == self._query[:2]:
                self._finish(data)
            return
        if not data:
            self._next()
            return
        self._data += data
        if len(self._data) >= 2:
            size = struct.unpack_from(">H", self._data)[0]
            if len(self._data) >= 2 + size:
                self._finish(self._data[2 : 2 + size])

    def _finish(self, reply: bytes | None) -> None:
        self._close()
        done, self._done = self._done, None
        if done is not None:
            done(reply)

    def _close(self) -> None:
        self._loop.cancel(self._timer)
        self._timer = None
        self._data = b""
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
