"""Reading events: what has happened, and what happens from now on.

A reader asks the database for what came after the last event it has, and sleeps until a file in
the engine's root directory changes: a commit writes to the database's log there. The write comes
a moment before the commit can be seen. So a reader that was woken and finds nothing new asks
whether someone is committing: who can take the right to write knows that nobody is.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument, Unavailable
from proa.kernel.inotify import Watch
from proa.lean.json import dumps, loads
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Self

    from proa.store.database import Row
    from proa.store.store import Store

    Moment = int | float | datetime | None

OBJECTS = ("config", "container", "daemon", "network", "node", "plugin", "secret", "service",
           "volume")  # fmt: skip
FILTERS = (*OBJECTS, "event", "image", "label", "scope", "type")
_LONGEST = 86400.0
"""Seconds that poll(2) can be asked to wait: its milliseconds have 31 bits."""
_GRACE = 250_000_000
"""Nanoseconds by which an event may become visible after it has happened."""


@record
class Event:
    """Something that happened."""

    type: str
    """container, image, network, volume, builder"""
    action: str
    """create, start, `exec_create: sh -c ls`, …"""
    id: str
    """of the object; empty where there is none"""
    attributes: Mapping[str, str]
    """name, image and labels, and more by action"""
    time: int
    """nanoseconds since 1970"""
    number: int
    """in the order in which events have become visible"""

    @property
    def attrs(self) -> dict[str, Any]:
        """It in the form of Docker's API."""
        found: dict[str, Any] = {}
        if self.type == "container":
            image = self.attributes.get("image", "")
            found = {"status": self.action, "id": self.id, "from": image}
        elif self.type == "image":
            found = {"status": self.action, "id": self.id}
        return {
            **found,
            "Type": self.type,
            "Action": self.action,
            "Actor": {"ID": self.id, "Attributes": dict(self.attributes)},
            "scope": "local",
            "time": self.time // 1_000_000_000,
            "timeNano": self.time,
        }


class Events:
    """The events of a store from a moment on, one after the other, without an end unless `until`.

    No event is missed. A reader that falls so far behind that events were removed before it has
    seen them is told so, by Unavailable. `close` may be called by another thread.
    """

    def __init__(
        self,
        store: Store,
        *,
        since: int | None = None,
        until: int | None = None,
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`since`, `until`: nanoseconds since 1970; without either, what comes from now on.

        Raises InvalidArgument for an unknown filter, LimitExceeded where too much is watched.
        """
        self._passes = matcher(filters or {})
        self._store = store
        self._since = since
        self._until = until
        self._closed = False
        self._watch = Watch(store.root)
        self._read = store.events.last() if since is None and until is None else 0
        self._ready: deque[Event] = deque()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while not self._ready:
            if self._closed or not (self._fetch() or self._wait()):
                self._watch.close()
                self._closed = True
                raise StopIteration
        return self._ready.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it: whoever waits for the next event finds none."""
        if not self._closed:
            self._closed = True
            self._watch.interrupt()

    def _fetch(self) -> bool:
        """Read on; whether there was anything."""
        rows = self._store.events.after(self._read)
        if not rows:
            return False
        if self._read and rows[0][0] != self._read + 1:
            raise Unavailable(
                f"{rows[0][0] - self._read - 1} events were removed before they were read; read"
                " faster, or begin anew"
            )
        self._read = rows[-1][0]
        for event in map(_event, rows):
            early = self._since is not None and event.time < self._since
            late = self._until is not None and event.time > self._until
            if not early and not late and self._passes(event):
                self._ready.append(event)
        return True

    def _wait(self) -> bool:
        """Sleep until there may be more; whether there may."""
        while not self._closed:
            seconds = None
            if self._until is not None:
                left = self._until + _GRACE - time.time_ns()
                if left <= 0:
                    return False
                seconds = min(left / 1e9, _LONGEST)
            if self._watch.wait(seconds):
                self._await_commit()
                return True
        return False

    def _await_commit(self) -> None:
        """Wait while somebody writes: what is written can be seen after that."""
        pause = 0.0005
        while self._store.events.last() == self._read and self._store.database.is_being_written():
            time.sleep(pause)
            pause = min(pause * 2, 0.05)


class EventStream:
    """Events as docker-py gives them: lines of JSON, or with `decode` what they say."""

    def __init__(self, events: Events, *, decode: bool) -> None:
        self._events = events
        self._decode = decode

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        found = next(self._events).attrs
        return found if self._decode else dumps(found).encode() + b"\n"

    def close(self) -> None:
        """End it; for any thread."""
        self._events.close()


def matcher(filters: Mapping[str, Sequence[str]]) -> Callable[[Event], bool]:
    """Whether an event passes: of one filter's values any, of all filters each, of labels all.

    As in Docker, objects may be named by the beginning of their names or ids. Raises
    InvalidArgument.
    """
    tests = [_test(name, tuple(values)) for name, values in filters.items()]
    return lambda event: all(passes(event) for passes in tests)


def _test(name: str, values: tuple[str, ...]) -> Callable[[Event], bool]:
    match name:
        case "event":
            # `exec_create` means all of them, whatever they execute
            return lambda event: event.action in values or event.action.partition(":")[0] in values
        case "type":
            return lambda event: event.type in values
        case "scope":
            return lambda _event: "local" in values
        case "label":
            return lambda event: all(_has(event.attributes, value) for value in values)
        case "image":
            return lambda event: any(text in values for text in _image_names(event))
        case _ if name in OBJECTS:
            return lambda event: (
                event.type == name
                and (
                    event.id.startswith(values)
                    or event.attributes.get("name", "").startswith(values)
                )
            )
    raise InvalidArgument(f"invalid filter '{name}'; there are {', '.join(sorted(FILTERS))}")


def _has(attributes: Mapping[str, str], wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in attributes and (not equals or attributes[name] == value)


def _image_names(event: Event) -> Iterator[str]:
    name = event.attributes.get("name" if event.type == "image" else "image", "")
    for text in (event.id, name):
        yield text
        head, slash, tail = text.rpartition("/")
        yield head + slash + tail.partition("@")[0].partition(":")[0]


def nanoseconds(moment: Moment) -> int | None:
    """A moment as docker-py takes it, a datetime or seconds since 1970."""
    if moment is None:
        return None
    if isinstance(moment, datetime):
        moment = moment.timestamp()
    return int(moment * 1_000_000_000)


def _event(row: Row) -> Event:
    number, moment, type, action, id, attributes = row
    return Event(type, action, id, loads(attributes), moment, number)
