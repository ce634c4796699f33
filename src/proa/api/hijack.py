"""Taking a connection over: after its request it carries a byte stream, both ways.

A client asks for `Upgrade: tcp` and gets 101, or, of old, does not ask and gets 200. From then on
the connection is not HTTP's any more: aiohttp is left with a socket that is closed, and we have a
duplicate of it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from proa.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.abc import AbstractStreamWriter

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_CHUNK = 1 << 17


class Taken(web.StreamResponse):
    """What a handler returns whose connection was taken over."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing is written any more: for aiohttp the client is gone."""
        del request
        raise ConnectionResetError


async def take_over(request: web.Request, kind: str) -> tuple[socket.socket, bytes]:
    """The request's connection as a socket that does not block, after the answer's head.

    Also what the client has sent already. Raises InvalidArgument where the connection is
    encrypted, and so no plain socket.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError
    if transport.get_extra_info("sslcontext") is not None:
        raise InvalidArgument("attach and exec are not available over TLS")
    upgrade = "upgrade" in request.headers.get("Connection", "").lower()
    first = "101 UPGRADED" if upgrade else "200 OK"
    more = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
    own = transport.get_extra_info("socket")
    transport.pause_reading()
    taken = socket.socket(fileno=os.dup(own.fileno()))
    taken.setblocking(False)
    # of what came with the request's last piece, aiohttp has kept what it did not understand
    early = bytes(getattr(request.protocol, "_message_tail", b""))
    transport.abort()
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(
        taken, f"HTTP/1.1 {first}\r\nContent-Type: {kind}\r\n{more}\r\n".encode()
    )
    return taken, early


async def join(
    client: socket.socket,
    inner: socket.socket,
    *,
    early: bytes,
    stdin: bool,
    keys: bytes = b"",
    last: Callable[[], Awaitable[None]] | None = None,
) -> bool:
    """Copy between a client and a process until the process's output ends; closes both.

    The end of the client's input, where `stdin`, is passed on; without it the client is only
    listened to. `keys`: what the client types to leave. `last` is awaited before the client is
    told of the end. Whether the client has left.
    """
    inner.setblocking(False)
    leave = Leave(keys)
    try:
        incoming = asyncio.ensure_future(
            _input(client, inner, early if stdin else b"", stdin, leave)
        )
        outgoing = asyncio.ensure_future(_copy(inner, client))
        try:
            await asyncio.wait((incoming, outgoing), return_when=asyncio.FIRST_COMPLETED)
            if not leave.typed:
                await outgoing
                if last is not None:
                    await last()
        finally:
            for task in (incoming, outgoing):
                task.cancel()
            await asyncio.gather(incoming, outgoing, return_exceptions=True)
        return leave.typed
    finally:
        inner.close()
        try:
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        client.close()


class Leave:
    """Looks for the keys by which a user leaves, in what is typed."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""
        self.typed = False

    def passed(self, data: bytes) -> bytes:
        """What of `data` goes on to the process."""
        if not self._keys:
            return data
        passed = bytearray()
        for value in data:
            key = bytes((value,))
            if self._keys.startswith(self._held + key):
                self._held += key
                if self._held == self._keys:
                    self.typed = True
                    return bytes(passed)
                continue
            passed += self._held
            self._held = key if self._keys.startswith(key) else b""
            if not self._held:
                passed += key
        return bytes(passed)


async def _input(
    client: socket.socket, inner: socket.socket, early: bytes, stdin: bool, leave: Leave
) -> None:
    loop = asyncio.get_running_loop()
    data = early
    try:
        while True:
            if data and stdin:
                passed = leave.passed(data)
                if passed:
                    await loop.sock_sendall(inner, passed)
                if leave.typed:
                    return
            data = await loop.sock_recv(client, _CHUNK)
            if not data:
                break
    except OSError:
        pass  # the process takes no more, or the client is gone
    if stdin:
        try:
            inner.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    # a client that has said all it has to say still listens
    await asyncio.get_running_loop().create_future()


async def _copy(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    try:
        while count := await loop.sock_recv_into(source, buffer):
            await loop.sock_sendall(target, view[:count])
    except OSError:
        return
