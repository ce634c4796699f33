"""The process that serves published ports by itself: it listens, and connects to the container.

Packets for such a port end on this host, so they pass its INPUT rules as those of any server do. It
costs that the container sees the host as the client, and a copy of each byte.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys

_CHUNK = 1 << 16
_SILENT = 60.0
"""Seconds after which an exchange over UDP is over."""
_MOST = 1024
"""Clients over UDP at a time, for each port."""


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Serve the ports of the argument, until the channel on descriptor 3 is closed."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_serve(json.loads(sys.argv[1])))


async def _serve(plan: list[tuple[int, str, str, int]]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(3, ended.set)
    servers = []
    for descriptor, protocol, address, port in plan:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        own = socket.socket(family, kind, fileno=descriptor)
        own.setblocking(False)
        if protocol == "udp":
            await loop.create_datagram_endpoint(lambda a=address, p=port: _Udp(a, p), sock=own)  # type: ignore[misc]
        else:
            servers.append(await asyncio.start_server(_connection(address, port), sock=own))
    await ended.wait()


def _connection(address: str, port: int):  # type: ignore[no-untyped-def]
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to_there = await asyncio.open_connection(address, port)
        except OSError:
            writer.transport.abort()  # refused there, refused here
            return
        await asyncio.gather(_copy(reader, to_there), _copy(there, writer))
        for end in (writer, to_there):
            end.close()

    return serve


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that comes, and then its end: the other direction may go on."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


class _Udp(asyncio.DatagramProtocol):
    """A port: a socket of its own to the container for each client."""

    def __init__(self, address: str, port: int) -> None:
        self._target = (address, port)
        self._clients: dict[object, _Client] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """It can begin."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        """From a client."""
        client = self._clients.get(addr)
        if client is not None:
            client.send(data)
            return
        if len(self._clients) >= _MOST:
            return
        client = self._clients[addr] = _Client(lambda reply: self._answer(reply, addr))
        client.send(data)
        task = asyncio.ensure_future(self._follow(client, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _answer(self, reply: bytes, client: Any) -> None:
        assert self._transport is not None
        self._transport.sendto(reply, client)

    async def _follow(self, client: _Client, address: object) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(lambda: client, remote_addr=self._target)
            await client.over()
        except OSError:
            pass
        finally:
            client.close()
            self._clients.pop(address, None)


class _Client(asyncio.DatagramProtocol):
    """One client over UDP, as seen from the container."""

    def __init__(self, answer) -> None:  # type: ignore[no-untyped-def]
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self._heard = True

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """What came before this can be sent on."""
        self._transport = transport
        for data in self._waiting:
            transport.sendto(data)
        self._waiting.clear()

    def send(self, data: bytes) -> None:
        """To the container."""
        self._heard = True
        if self._transport is not None:
            self._transport.sendto(data)
        elif len(self._waiting) < 16:
            self._waiting.append(data)

    def datagram_received(self, data: bytes, _addr: object) -> None:
        """From the container."""
        self._heard = True
        self._answer(data)

    async def over(self) -> None:
        """Wait until nothing has been said for a while."""
        while self._heard:
            self._heard = False
            await asyncio.sleep(_SILENT)

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()
