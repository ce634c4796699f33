"""Routes of a container's streams: attach, logs, stats, and its files as archives."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import threading
from typing import TYPE_CHECKING

from aiohttp import web

from proa.api import hijack, parameters
from proa.api.answers import Refusal, answer, in_thread, nothing
from proa.api.service import Waiting
from proa.engine.attach import DETACH_KEYS, parse_detach_keys
from proa.errors import Conflict, InvalidArgument
from proa.monitor.frames import HEADER, STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from proa.api.service import Route, Service
    from proa.engine.container import Container

_LIVE = ("running", "paused", "restarting")
_TAR = "application/x-tar"
_TOGETHER = 1 << 16
"""Bytes that are written at once where they are there already."""
_DETACH_MULTIPLEXED = (1, 42)
"""The first version that names framed streams as such."""


class Streams:
    """Handlers of streams."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._engine = service.engine

    def routes(self) -> list[Route]:
        """Method, path and handler of each."""
        one = "/containers/{name}"
        return [
            ("POST", f"{one}/attach", self._attach),
            ("GET", f"{one}/attach/ws", self._attach_web_socket),
            ("GET", f"{one}/logs", self._logs),
            ("GET", f"{one}/stats", self._stats),
            ("GET", f"{one}/export", self._export),
            ("HEAD", f"{one}/archive", self._stat_archive),
            ("GET", f"{one}/archive", self._get_archive),
            ("PUT", f"{one}/archive", self._put_archive),
        ]

    # -- standard streams

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        wanted = _wanted(request)
        tty = container.config.tty
        keys = b""
        if tty and wanted["stdin"]:
            keys = parse_detach_keys(parameters.text(request, "detachKeys") or DETACH_KEYS)
        kind = stream_kind(request, tty=tty)
        if not parameters.flag(request, "stream"):
            client, _ = await hijack.take_over(request, kind)
            if parameters.flag(request, "logs"):
                await _send_log(client, container, wanted, tty=tty)
            client.close()
            return hijack.Taken()
        if container.status == "paused":
            raise Conflict(
                f"container {container.name} is paused, unpause the container before attach"
            )
        ours, theirs = socket.socketpair()
        waiting = None
        if container.status in _LIVE:
            with theirs:
                await in_thread(container.attach_stream, theirs.fileno(), wanted)
        else:
            waiting = Waiting(theirs, wanted)
            self._service.wait_for_start(container.id, waiting)
        try:
            client, early = await hijack.take_over(request, kind)
            if parameters.flag(request, "logs"):
                await _send_log(client, container, wanted, tty=tty)
        except BaseException:
            ours.close()
            if waiting is not None:
                self._service.give_up(container.id, waiting)
            raise
        # from here on the client is not the request's any more
        self._service.copy(
            self._serve(container, client, ours, waiting, early, wanted["stdin"], keys)
        )
        return hijack.Taken()

    async def _serve(
        self,
        container: Container,
        client: socket.socket,
        ours: socket.socket,
        waiting: Waiting | None,
        early: bytes,
        stdin: bool,
        keys: bytes,
    ) -> None:
        watcher = None
        if waiting is not None:
            watcher = asyncio.ensure_future(self._watch_start(container.id))
        try:
            if await hijack.join(client, ours, early=early, stdin=stdin, keys=keys):
                await in_thread(container.note, (("detach", 0, {}),))
        finally:
            if waiting is not None:
                self._service.give_up(container.id, waiting)
            if watcher is not None:
                watcher.cancel()

    async def _watch_start(self, id: str) -> None:
        """Attach who waits also where somebody else starts the container."""
        with self._service.hub.subscribe(id) as subscription:
            while True:
                event = await subscription.next(3600.0)
                if event is not None and event.action == "start":
                    await self._service.adopt(id)
                    return

    async def _attach_web_socket(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        wanted = _wanted(request)
        ours, theirs = socket.socketpair()
        with theirs:
            await in_thread(container.attach_stream, theirs.fileno(), wanted)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        response = web.WebSocketResponse()
        with ours:
            await response.prepare(request)

            async def listen() -> None:
                async for message in response:
                    if message.type in (web.WSMsgType.TEXT, web.WSMsgType.BINARY):
                        data = message.data
                        await loop.sock_sendall(
                            ours, data.encode() if isinstance(data, str) else data
                        )

            listener = asyncio.ensure_future(listen())
            try:
                while data := await loop.sock_recv(ours, _TOGETHER):
                    await response.send_bytes(data)
            finally:
                listener.cancel()
        await response.close()
        return response

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        wanted = {name for name in STREAMS if parameters.flag(request, name)}
        if not wanted:
            raise InvalidArgument("Bad parameters: you must choose at least one stream")
        follow = parameters.flag(request, "follow")
        tail = parameters.text(request, "tail", "all")
        tty = container.config.tty
        details = b""
        if parameters.flag(request, "details"):
            pairs = await in_thread(container.log_details)
            details = ",".join(f"{name}={value}" for name, value in pairs.items()).encode() + b" "
        ended = threading.Event()
        entries = await in_thread(
            container.log_entries,
            follow=follow,
            tail=int(tail) if tail.isascii() and tail.isdecimal() else None,
            since=parameters.moment(request, "since"),
            until=parameters.moment(request, "until"),
            ended=ended,
        )
        stamps = parameters.flag(request, "timestamps")

        def pieces() -> Iterator[bytes]:
            for entry in entries:
                if entry.stream not in wanted:
                    continue
                data = details + entry.data
                if stamps:
                    data = entry.time.encode() + b" " + data
                yield data if tty else HEADER.pack(STREAMS[entry.stream], len(data)) + data

        response = web.StreamResponse(headers={"Content-Type": stream_kind(request, tty=tty)})
        return await send(request, response, pieces(), ended.set, gather=not follow)

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if not parameters.flag(request, "stream", True):
            one_shot = parameters.flag(request, "one-shot")
            found = await in_thread(container.stats, stream=False, one_shot=one_shot)
            return answer(found)
        stop = threading.Event()

        def lines() -> Iterator[bytes]:
            for found in container.stats(decode=True):
                if stop.is_set():
                    return
                yield json.dumps(found).encode() + b"\n"

        return await send(request, response, lines(), stop.set)

    # -- files

    async def _export(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        pieces = await in_thread(container.export)
        return await send(request, _archive(), pieces)

    async def _stat_archive(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        pieces, found = await in_thread(container.get_archive, _path(request))
        await in_thread(_close, pieces)
        return web.Response(headers={"X-Docker-Container-Path-Stat": _encoded(found)})

    async def _get_archive(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        pieces, found = await in_thread(container.get_archive, _path(request))
        response = _archive()
        response.headers["X-Docker-Container-Path-Stat"] = _encoded(found)
        return await send(request, response, pieces)

    async def _put_archive(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        path = _path(request)
        await in_thread(container.put_archive, path, Body(request))
        return nothing(200)


class Body(io.RawIOBase):
    """The body of a request, to be read in another thread than the server's."""

    def __init__(self, request: web.Request) -> None:
        self._content = request.content
        self._loop = asyncio.get_running_loop()

    def readable(self) -> bool:
        """It can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; b'' at the end. Raises InvalidArgument where the client is gone."""
        reading = asyncio.run_coroutine_threadsafe(
            self._content.read(size if size > 0 else _TOGETHER), self._loop
        )
        try:
            return reading.result()
        except (web.RequestPayloadError, ConnectionError, asyncio.CancelledError):
            raise InvalidArgument("the request's body has ended early") from None

    def readinto(self, buffer: Any, /) -> int:
        """As RawIOBase has it."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def stream_kind(request: web.Request, *, tty: bool) -> str:
    """The content type of a container's streams."""
    if tty or request[parameters.VERSION] < _DETACH_MULTIPLEXED:
        return hijack.RAW
    return hijack.MULTIPLEXED


async def send(
    request: web.Request,
    response: web.StreamResponse,
    pieces: Iterable[bytes],
    stop: Callable[[], None] = lambda: None,
    *,
    gather: bool = False,
) -> web.StreamResponse:
    """Send pieces that come from a thread, no faster than the client takes them.

    `stop` is called where the client goes away. `gather`: small pieces need not go at once.
    An error before the first piece is raised; a later one ends the answer early.
    """
    loop = asyncio.get_running_loop()
    response.enable_chunked_encoding()
    iterator = iter(pieces)

    def work() -> None:
        pending = bytearray()
        try:
            for piece in iterator:
                pending += piece
                if gather and len(pending) < _TOGETHER:
                    continue
                asyncio.run_coroutine_threadsafe(_write(request, response, pending), loop).result()
                pending = bytearray()
            asyncio.run_coroutine_threadsafe(_write(request, response, pending), loop).result()
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            _close(iterator)

    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        stop()
        raise
    await response.write_eof()
    return response


async def _write(request: web.Request, response: web.StreamResponse, data: bytearray) -> None:
    if not response.prepared:
        await response.prepare(request)
    if data:
        await response.write(bytes(data))


def _close(pieces: Any) -> None:
    if hasattr(pieces, "close"):
        pieces.close()


async def _send_log(
    client: socket.socket, container: Container, wanted: dict[str, bool], *, tty: bool
) -> None:
    loop = asyncio.get_running_loop()
    entries = await in_thread(lambda: list(container.log_entries()))
    for entry in entries:
        if wanted.get(entry.stream):
            head = b"" if tty else HEADER.pack(STREAMS[entry.stream], len(entry.data))
            await loop.sock_sendall(client, head + entry.data)


def _wanted(request: web.Request) -> dict[str, bool]:
    return {name: parameters.flag(request, name) for name in ("stdin", "stdout", "stderr")}


def _path(request: web.Request) -> str:
    path = parameters.text(request, "path")
    if not path:
        raise Refusal(400, "missing parameter: path")
    return path


def _encoded(found: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(found).encode()).decode()


def _archive() -> web.StreamResponse:
    return web.StreamResponse(headers={"Content-Type": _TAR})
