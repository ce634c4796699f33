"""The engine's events, for all who wait for something: read by one thread, told to many."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from proa.engine.events import Events

if TYPE_CHECKING:
    from proa.engine.engine import Engine
    from proa.engine.events import Event


class Subscription:
    """What happens to one container from now on."""

    def __init__(self, hub: Hub, id: str) -> None:
        self._hub = hub
        self._id = id
        self.events: asyncio.Queue[Event] = asyncio.Queue()

    def __enter__(self) -> Subscription:
        self._hub.listeners.setdefault(self._id, set()).add(self)
        return self

    def __exit__(self, *_: object) -> None:
        listeners = self._hub.listeners[self._id]
        listeners.discard(self)
        if not listeners:
            del self._hub.listeners[self._id]

    async def next(self, timeout: float) -> Event | None:
        """The next event; None after `timeout` seconds."""
        try:
            return await asyncio.wait_for(self.events.get(), timeout)
        except TimeoutError:
            return None


class Hub:
    """Tells subscribers what happens to their containers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._events: Events | None = None
        self.listeners: dict[str, set[Subscription]] = {}

    def subscribe(self, id: str) -> Subscription:
        """For use as a context manager: what happens to the container `id` within."""
        return Subscription(self, id)

    def start(self) -> None:
        """Begin to read."""
        self._events = Events(self._engine.store, filters={"type": ["container"]})
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), daemon=True).start()

    def close(self) -> None:
        """End."""
        if self._events is not None:
            self._events.close()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._events is not None
        for event in self._events:
            if loop.is_closed():
                return
            loop.call_soon_threadsafe(self._tell, event)

    def _tell(self, event: Event) -> None:
        for listener in self.listeners.get(event.id, ()):
            listener.events.put_nowait(event)
