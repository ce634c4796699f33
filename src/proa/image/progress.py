"""What is told of a transfer while it goes on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_OFTEN = 0.1
"""Seconds between two notices of how far a transfer has got."""


@record
class Progress:
    """A notice, as Docker gives them while it pulls and pushes."""

    status: str
    """Downloading, Download complete, Pull complete, Pushed, …"""
    id: str = ""
    """of what: the beginning of a layer's digest, or a tag; empty for all of it"""
    current: int | None = None
    """bytes so far, where it is about bytes"""
    total: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As Docker's API has it in a stream (JSONMessage)."""
        found: dict[str, Any] = {"status": self.status}
        if self.current is not None:
            found["progressDetail"] = {"current": self.current, "total": self.total}
        if self.id:
            found["id"] = self.id
        return found


class Meter:
    """Counts the bytes of one transfer, and tells of them now and then."""

    def __init__(
        self,
        tell: Callable[[Progress], None],
        status: str,
        id: str,
        total: int,
        current: int = 0,
    ) -> None:
        self._tell = tell
        self._status = status
        self._id = id
        self._total = total
        self.current = current
        self._next = 0.0

    def add(self, size: int) -> None:
        """So many bytes more."""
        self.reach(self.current + size)

    def reach(self, current: int) -> None:
        """So many bytes in all."""
        self.current = current
        moment = time.monotonic()
        if moment >= self._next:
            self._next = moment + _OFTEN
            self._tell(Progress(self._status, self._id, self.current, self._total))


class Stop(threading.Event):
    """An event that also wakes those who wait for something else."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def set(self) -> None:
        """Stop everybody."""
        super().set()
        self._wake()
