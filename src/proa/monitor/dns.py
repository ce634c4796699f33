"""The name server of an engine's containers: a process that lives as long as one of them does.

It is no daemon: monitors start it, hand it the sockets on which their containers ask, and start it
again where it dies. It ends with the last of them.
"""

from __future__ import annotations

import _signal
import _socket
import fcntl
import posix
import struct
import sys

import dnslib

from proa.errors import ProaError
from proa.lean.channel import accept, listen
from proa.monitor.forward import Forwarder
from proa.monitor.loop import READ, Loop
from proa.monitor.names import SOCKET
from proa.network.names import Names
from proa.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proa.lean.channel import Channel

    Answer = Callable[[bytes], None]

_TTL = 5
"""Seconds for which an answer may be kept: containers come and go."""
_LARGEST = 1232
"""Bytes of an answer over UDP for who says nothing else but EDNS; 512 without: RFC 6891."""
_IDLE = 10.0
"""Seconds that a TCP connection may be silent."""
_FIRST = 1.0
"""Seconds that the process waits for the first container."""


def main() -> None:
    """Serve the engine whose root is the argument; never returns."""
    for signal in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM):
        _signal.signal(signal, _signal.SIG_IGN if signal != _signal.SIGTERM else _signal.SIG_DFL)
    posix.chdir("/")
    Server(sys.argv[1]).run()
    posix._exit(0)


class Server:
    """Answers the containers of one engine."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._loop = Loop()
        self._names = Names(Store(root))
        self._forwarder = Forwarder(self._loop)
        self._clients: dict[int, tuple[Channel, list[_socket.socket]]] = {}
        self._turn = 0

    def run(self) -> None:
        """Serve until the last container is gone; at once back where another server is there."""
        directory = f"{self._root}/run"
        try:
            lock = posix.open(
                f"{directory}/names.lock", posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o600
            )
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            listener = listen(directory, SOCKET)
        except (BlockingIOError, FileNotFoundError):
            return
        self._loop.watch(listener.fileno(), READ, lambda _events: self._accept(listener))
        waiting = [True]
        self._loop.after(_FIRST, waiting.clear)
        while waiting or self._clients:
            self._loop.step()
            if self._clients:
                waiting.clear()
        for name in (SOCKET, "names.lock"):
            try:
                posix.unlink(f"{directory}/{name}")
            except FileNotFoundError:
                continue

    def _accept(self, listener: _socket.socket) -> None:
        try:
            channel = accept(listener)
        except BlockingIOError:
            return
        self._clients[channel.fileno()] = (channel, [])
        self._loop.watch(channel.fileno(), READ, lambda _events: self._receive(channel))

    def _receive(self, channel: Channel) -> None:
        """A monitor hands sockets over, or has gone."""
        try:
            received = channel.receive()
        except (ProaError, OSError, ValueError):
            received = None
        if received is None:
            self._leave(channel)
            return
        message, descriptors = received
        container = str(message.get("container"))
        sockets = self._clients[channel.fileno()][1]
        for descriptor, kind in zip(descriptors, ("udp", "tcp"), strict=False):
            style = _socket.SOCK_DGRAM if kind == "udp" else _socket.SOCK_STREAM
            socket = _socket.socket(_socket.AF_INET, style, 0, fileno=descriptor)
            sockets.append(socket)
            call = self._ask if kind == "udp" else self._connect
            self._watch(socket, container, call)

    def _watch(
        self, socket: _socket.socket, container: str, call: Callable[[_socket.socket, str], None]
    ) -> None:
        self._loop.watch(socket.fileno(), READ, lambda _events: call(socket, container))

    def _leave(self, channel: Channel) -> None:
        _, sockets = self._clients.pop(channel.fileno())
        self._loop.forget(channel.fileno())
        for socket in sockets:
            self._loop.forget(socket.fileno())
            socket.close()
        channel.close()

    # -- queries

    def _ask(self, socket: _socket.socket, container: str) -> None:
        """A query over UDP."""
        try:
            data, address = socket.recvfrom(65535)
        except OSError:
            return

        def answer(reply: bytes) -> None:
            try:
                socket.sendto(_fitting(data, reply), address)
            except OSError:
                return  # the container is gone, or asks no more

        self._query(container, data, answer, tcp=False)

    def _connect(self, listener: _socket.socket, container: str) -> None:
        """A connection over TCP, which may bring several queries."""
        try:
            descriptor, _ = listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        Connection(
            self._loop,
            _socket.socket(fileno=descriptor),
            lambda data, answer: self._query(container, data, answer, tcp=True),
        )

    def _query(self, container: str, data: bytes, answer: Answer, *, tcp: bool) -> None:
        try:
            query = dnslib.DNSRecord.parse(data)
        except dnslib.DNSError:
            return  # what is no query has no answer
        if query.header.qr or not query.questions:
            return
        try:
            view = self._names.view(container)
        except ProaError:
            answer(_failure(query, dnslib.RCODE.SERVFAIL))
            return
        own = self._own(query, view)
        if own is not None:
            answer(own)
        elif not view.outside:
            answer(_failure(query, dnslib.RCODE.SERVFAIL))
        else:
            servers = view.servers or self._forwarder.host_servers()
            failure = _failure(query, dnslib.RCODE.SERVFAIL)
            self._forwarder.ask(servers, data, lambda reply: answer(reply or failure), tcp=tcp)

    def _own(self, query: Any, view: Any) -> bytes | None:
        """The answer about one of ours; None: others have to be asked."""
        question = query.questions[0]
        name = str(question.qname).rstrip(".").lower()
        kind = question.qtype
        if kind == dnslib.QTYPE.PTR:
            address = _reversed(name)
            known = view.reverse.get(address) if address else None
            if known is None:
                return None
            reply = query.reply(aa=0, ra=1)
            record = dnslib.PTR(f"{known}.")
            reply.add_answer(dnslib.RR(question.qname, kind, ttl=_TTL, rdata=record))
            return bytes(reply.pack())
        addresses = view.names.get(name)
        if addresses is None:
            return None
        reply = query.reply(aa=0, ra=1)
        self._turn += 1
        for ipv6, wanted, make in (
            (False, dnslib.QTYPE.A, dnslib.A),
            (True, dnslib.QTYPE.AAAA, dnslib.AAAA),
        ):
            if kind not in (wanted, dnslib.QTYPE.ANY):
                continue
            found = [address for address in addresses if (":" in address) == ipv6]
            start = self._turn % len(found) if found else 0
            for address in (*found[start:], *found[:start]):
                record = make(address)
                reply.add_answer(dnslib.RR(question.qname, wanted, ttl=_TTL, rdata=record))
        return bytes(reply.pack())


class Connection:
    """A TCP connection: queries and answers, each with its length before it (RFC 1035, 4.2.2)."""

    def __init__(
        self, loop: Loop, socket: _socket.socket, query: Callable[[bytes, Answer], None]
    ) -> None:
        self._loop = loop
        self._socket = socket
        self._query = query
        self._data = b""
        socket.setblocking(False)
        loop.watch(socket.fileno(), READ, self._read)
        self._timer = loop.after(_IDLE, self._close)

    def _read(self, _events: int) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._data += data
        while len(self._data) >= 2:
            size = struct.unpack_from(">H", self._data)[0]
            if len(self._data) < 2 + size:
                break
            query, self._data = self._data[2 : 2 + size], self._data[2 + size :]
            self._query(query, self._answer)

    def _answer(self, reply: bytes) -> None:
        if self._socket.fileno() < 0:
            return
        try:
            self._socket.settimeout(1.0)
            self._socket.sendall(struct.pack(">H", len(reply)) + reply)
            self._socket.setblocking(False)
        except OSError:
            self._close()

    def _close(self) -> None:
        self._loop.cancel(self._timer)
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()


def _failure(query: Any, code: int) -> bytes:
    reply = query.reply(ra=1)
    reply.header.rcode = code
    return bytes(reply.pack())


def _fitting(query: bytes, reply: bytes) -> bytes:
    """The reply, or where it is too long for UDP its beginning, marked as truncated."""
    try:
        asked = dnslib.DNSRecord.parse(query)
        sizes = [record.edns_len for record in asked.ar if record.rtype == dnslib.QTYPE.OPT]
        most = max(512, *sizes) if sizes else 512
        if len(reply) <= most:
            return reply
        parsed = dnslib.DNSRecord.parse(reply)
        return bytes(parsed.truncate().pack())
    except (dnslib.DNSError, AttributeError):
        return reply


def _reversed(name: str) -> str | None:
    """The address that a name below in-addr.arpa or ip6.arpa stands for, or None."""
    labels = name.split(".")
    if labels[-2:] == ["in-addr", "arpa"] and len(labels) == 6:
        return ".".join(reversed(labels[:4]))
    if labels[-2:] == ["ip6", "arpa"] and len(labels) == 34:
        digits = "".join(reversed(labels[:32]))
        try:
            return _socket.inet_ntop(_socket.AF_INET6, bytes.fromhex(digits))
        except ValueError:
            return None
    return None
