"""Events: what happened to containers, images, networks and volumes, in the order of commits.

    with store.database.transaction():
        ... the mutation ...
        store.events.add("network", "create", id, {"name": name, "type": "bridge"})

An event is a row that is written in the transaction of what it tells of. Whoever writes has the
only right to, so the numbers are in the order in which events become visible: who has read up to a
number has missed nothing before it. Old ones are removed when there are many, or when they are old.
"""

from __future__ import annotations

import time

from proa.lean.json import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from proa.store.database import Database, Row

    Happening = tuple[str, int, Mapping[str, str]]
    """action, nanoseconds since 1970, attributes beside those that all of the object's have"""

MOST = 16384
"""Events that are kept."""
OLDEST = 30 * 86400 * 1_000_000_000
"""Nanoseconds for which they are kept at most; the newest one stays, since it has the number."""


class Events:
    """The events of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        type: str,
        action: str,
        id: str,
        attributes: Mapping[str, str] | None = None,
        *,
        moment: int = 0,
    ) -> None:
        """Note that `action` has happened to the object `id` of the kind `type`.

        For use within the transaction of the mutation, where there is one. The names are
        Docker's: container create, image tag, network connect … `moment`: nanoseconds since 1970;
        0: now.
        """
        self._database.run(
            "INSERT INTO events (time, type, action, object, attributes) VALUES (?1,?2,?3,?4,?5)",
            (moment or time.time_ns(), type, action, id, dumps(attributes or {}, sort_keys=True)),
        )

    def add_of_container(
        self,
        id: str,
        name: str,
        config: Mapping[str, Any],
        happenings: Iterable[Happening],
    ) -> None:
        """Note what has happened to a container; `config`: as its row has it."""
        common = {
            **config.get("process", {}).get("labels", {}),
            "image": config.get("request", {}).get("image", ""),
            "name": name,
        }
        for action, moment, more in happenings:
            if action == "start":
                self._add_of_volumes("mount", id, config, moment)
            self.add("container", action, id, {**common, **more}, moment=moment)
            if action == "die":
                self._add_of_volumes("unmount", id, config, moment)

    def _add_of_volumes(
        self, action: str, container: str, config: Mapping[str, Any], moment: int
    ) -> None:
        """Note that the volumes of a container are in use, or no longer."""
        for mount in config.get("request", {}).get("mounts") or ():
            if mount.get("kind") != "volume":
                continue
            attributes = {"container": container, "driver": "local"}
            if action == "mount":
                attributes["destination"] = mount["target"]
                attributes["propagation"] = ""
                attributes["read/write"] = "false" if mount.get("read_only") else "true"
            self.add("volume", action, mount["source"], attributes, moment=moment)

    def last(self) -> int:
        """The number of the newest event; 0 where there has been none."""
        row = self._database.one("SELECT max(number) FROM events")
        return (row and row[0]) or 0

    def after(self, number: int, limit: int = 1000) -> list[Row]:
        """The events that came after the one of this number, the oldest first.

        Each as number, nanoseconds since 1970, type, action, id, attributes (JSON).
        """
        return self._database.all(
            "SELECT number, time, type, action, object, attributes FROM events"
            " WHERE number > ?1 ORDER BY number LIMIT ?2",
            (number, limit),
        )

    def trim(self) -> None:
        """Remove old ones. Not for the hot path: it may read all of them."""
        oldest = time.time_ns() - OLDEST
        with self._database.transaction():
            last = self.last()
            self._database.run("DELETE FROM events WHERE number <= ?1", (last - MOST,))
            first = self._database.one("SELECT time FROM events ORDER BY number LIMIT 1")
            if first is not None and first[0] < oldest:
                self._database.run(
                    "DELETE FROM events WHERE time < ?1 AND number < ?2", (oldest, last)
                )
