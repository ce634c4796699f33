"""A loop over descriptors and deadlines: what a monitor needs of an event loop."""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.POLLIN | select.POLLHUP | select.POLLERR
WRITE = select.POLLOUT


class Timer:
    """A call that is to be made once, at a moment of the monotonic clock."""

    def __init__(self, moment: float, call: Callable[[], None]) -> None:
        self.moment = moment
        self.call = call


class Loop:
    """Calls back when a descriptor is ready or a timer is due. One thread, no reentrance."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []

    def watch(self, descriptor: int, events: int, call: Callable[[int], None]) -> None:
        """Call `call(events)` whenever `descriptor` is ready; replaces an earlier watch."""
        self._calls[descriptor] = call
        self._poll.register(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Watch `descriptor` no more; call this before closing it."""
        if self._calls.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Make the call in so many seconds."""
        timer = Timer(time.monotonic() + seconds, call)
        self._timers.append(timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Take a timer back; one that is past, or None, does no harm."""
        if timer in self._timers:
            self._timers.remove(timer)

    def step(self) -> None:
        """Wait for the next thing to happen, and let it."""
        timeout: float | None = None
        if self._timers:
            nearest = min(timer.moment for timer in self._timers)
            timeout = max(0.0, (nearest - time.monotonic()) * 1000 + 1)
        for descriptor, events in self._poll.poll(timeout):
            call = self._calls.get(descriptor)
            if call is not None:
                call(events)
        now = time.monotonic()
        for timer in [timer for timer in self._timers if timer.moment <= now]:
            self._timers.remove(timer)
            timer.call()
