"""What the routes share: the engine, what happens in it, and who waits for a start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from proa.api.answers import in_thread
from proa.api.hub import Hub
from proa.errors import Conflict, ProaError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from proa.engine.container import Container
    from proa.engine.engine import Engine

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
    Route = tuple[str, str, Handler]


class Waiting:
    """A client that is attached to a container before it starts."""

    def __init__(self, inner: socket.socket, how: dict[str, Any]) -> None:
        self.inner = inner
        """the monitor's end of its streams"""
        self.how = how


class Service:
    """One server of an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.hub = Hub(engine)
        self.taken: set[asyncio.Task[None]] = set()
        """who copies between clients and processes"""
        self._waiting: dict[str, list[Waiting]] = {}

    def is_busy(self) -> bool:
        """Whether clients are connected whose connections are not HTTP's any more."""
        return bool(self.taken)

    async def container(self, request: web.Request) -> Container:
        """The container that the path names. Raises ContainerNotFound."""
        return await in_thread(self.engine.containers.get, request.match_info["name"])

    def copy(self, work: Coroutine[Any, Any, None]) -> None:
        """Go on with a client whose connection is not HTTP's any more."""
        task = asyncio.get_running_loop().create_task(work)
        self.taken.add(task)
        task.add_done_callback(self.taken.discard)

    def wait_for_start(self, id: str, waiting: Waiting) -> None:
        """Attach `waiting` when the container starts."""
        self._waiting.setdefault(id, []).append(waiting)

    def give_up(self, id: str, waiting: Waiting) -> bool:
        """Do not wait any more; whether it was still waiting."""
        found = self._waiting.get(id, [])
        if waiting not in found:
            return False
        found.remove(waiting)
        if not found:
            del self._waiting[id]
        waiting.inner.close()
        return True

    async def start(self, container: Container) -> None:
        """Start a container with those attached who wait for it. Raises as `Container.start`."""
        waiting = self._waiting.pop(container.id, [])
        try:
            if not waiting:
                await in_thread(self.engine.containers.start, container)
                return
            first, *others = waiting
            await in_thread(
                self.engine.containers.start,
                container,
                stream=first.inner.fileno(),
                attach=first.how,
            )
            for other in others:
                await in_thread(container.attach_stream, other.inner.fileno(), other.how)
        finally:
            for one in waiting:
                one.inner.close()

    async def adopt(self, id: str) -> None:
        """Attach those who wait for a start that somebody else has made."""
        for waiting in self._waiting.pop(id, []):
            try:
                container = await in_thread(self.engine.containers.get, id)
                await in_thread(container.attach_stream, waiting.inner.fileno(), waiting.how)
            except (ProaError, Conflict):
                pass  # it has ended already
            finally:
                waiting.inner.close()


async def readable(descriptor: int) -> None:
    """Wait until there is something to read."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, tell)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
