"""Containers: their rows in the database."""

from __future__ import annotations

import time

from proa.errors import AlreadyExists, AmbiguousName, ContainerNotFound, ImageNotFound
from proa.lean.json import dumps, loads
from proa.lean.record import record
from proa.oci.digest import Digest, is_hex
from proa.store.database import Constraint
from proa.store.events import Events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.store.database import Database, Row
    from proa.store.events import Happening

USE_STEP = 60_000_000_000
"""Nanoseconds within which further uses of an image are not noted: that would be a write each."""
_SELECT = "SELECT row, id, name, image, layers, created, config, state FROM containers "


@record
class ContainerRow:
    """A container as the database has it."""

    id: str
    """64 hexadecimal digits"""
    name: str
    """without Docker's leading `/`"""
    image: str
    """the image's id; empty for a container without one"""
    config: Mapping[str, Any]
    state: Mapping[str, Any]
    created: int = 0
    """nanoseconds since 1970; 0 in a new one: now"""
    layers: tuple[Digest, ...] = ()
    """diff ids, base first; `insert` takes them from the image"""
    row: int = 0
    """its number, never used again; the byte of `run/monitors` that its monitor locks"""


class Containers:
    """The containers of a store.

    What changes a row notes the event in the same transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.events = Events(database)

    def insert(self, container: ContainerRow) -> int:
        """Add a container; its row number.

        The same statement checks that the image is there, and from then on the container keeps
        the image's layers from being collected. Raises AlreadyExists, ImageNotFound.
        """
        now = time.time_ns()
        try:
            with self._database.transaction():
                row = self._database.insert(
                    "INSERT INTO containers (id, name, image, layers, created, config, state)"
                    " VALUES (?1, ?2, ?3, CASE ?3 WHEN '' THEN ?4"
                    " ELSE (SELECT layers FROM images WHERE id = ?3) END, ?5, ?6, ?7)",
                    (
                        container.id,
                        container.name,
                        container.image,
                        dumps(list(container.layers)),
                        container.created or now,
                        dumps(container.config),
                        dumps(container.state),
                    ),
                )
                self._note_use(container.image, now)
                self.events.add_of_container(
                    container.id, container.name, container.config, (("create", now, {}),)
                )
            return row
        except Constraint as error:
            if "containers.layers" in error.rule:
                raise ImageNotFound(
                    f"no such image: {container.image}; it was removed in the meantime"
                ) from None
            raise self._taken(container.name, container.id) from None

    def find(self, text: str) -> ContainerRow:
        """The container of that name (a leading `/` is ignored), id or id prefix, in this order.

        Raises ContainerNotFound, AmbiguousName.
        """
        wanted = text[1:] if text[:1] == "/" else text
        row = self._database.one(_SELECT + "WHERE name = ?1", (wanted,))
        if row is not None:
            return _container(row)
        if len(wanted) <= 64 and is_hex(wanted):
            # 'g' sorts behind all hexadecimal digits
            rows = self._database.all(
                _SELECT + "WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 2", (wanted,)
            )
            if len(rows) == 1 or (rows and rows[0][1] == wanted):
                return _container(rows[0])
            if rows:
                raise AmbiguousName(
                    f"several containers have ids that begin with {wanted!r}; give more digits"
                )
        raise ContainerNotFound(f"no such container: {text}; see 'proa ps --all'")

    def using(self, image: str) -> list[ContainerRow]:
        """The containers made from the image of this id, or with it mounted, newest first."""
        mounted = "id IN (SELECT container FROM mounted_images WHERE image = ?1)"
        rows = self._database.all(
            f"{_SELECT}WHERE image = ?1 OR {mounted} ORDER BY row DESC", (image,)
        )
        return [_container(row) for row in rows]

    def list(self) -> list[ContainerRow]:
        """All containers, the newest first."""
        return [_container(row) for row in self._database.all(_SELECT + "ORDER BY row DESC")]

    def set_state(
        self, id: str, state: Mapping[str, Any], happenings: Sequence[Happening] = ()
    ) -> None:
        """Replace the container's state; what `happenings` led to it. Raises ContainerNotFound."""
        statement = "UPDATE containers SET state = ?2 WHERE id = ?1"
        if not happenings:
            self._change(id, statement, dumps(state))
            return
        with self._database.transaction():
            self._change(id, statement, dumps(state))
            self.note(id, happenings)

    def set_config(self, id: str, config: Mapping[str, Any]) -> None:
        """Replace the container's configuration. Raises ContainerNotFound."""
        with self._database.transaction():
            self._change(id, "UPDATE containers SET config = ?2 WHERE id = ?1", dumps(config))
            self.note(id, (("update", 0, {}),))

    def rename(self, id: str, name: str) -> None:
        """Give the container another name. Raises AlreadyExists, ContainerNotFound."""
        former = self._database.one("SELECT name FROM containers WHERE id = ?1", (id,))
        try:
            with self._database.transaction():
                self._change(id, "UPDATE containers SET name = ?2 WHERE id = ?1", name)
                self.note(id, (("rename", 0, {"oldName": former[0] if former else ""}),))
        except Constraint:
            raise self._taken(name, id) from None

    def delete(self, id: str, happenings: Sequence[Happening] = ()) -> bool:
        """Remove the row; whether there was one. `happenings`: what came before, and is not known
        yet.
        """
        with self._database.transaction():
            config = self.note(id, (*happenings, ("destroy", 0, {})))
            if any(mount.get("kind") == "volume" for mount in _mounts(config)):
                self._database.run(
                    "UPDATE volumes SET used = ?2"
                    " WHERE name IN (SELECT volume FROM volume_uses WHERE container = ?1)",
                    (id, time.time_ns()),
                )
            return self._database.run("DELETE FROM containers WHERE id = ?1", (id,)) > 0

    def note(self, id: str, happenings: Sequence[Happening]) -> Mapping[str, Any]:
        """Note events of the container; its configuration. Nothing where it has been removed."""
        with self._database.transaction():
            row = self._database.one(
                "SELECT name, config, image FROM containers WHERE id = ?1", (id,)
            )
            if row is None:
                return {}
            config: Mapping[str, Any] = loads(row[1])
            self.events.add_of_container(id, row[0], config, happenings)
            for action, moment, _ in happenings:
                if action == "start":
                    self._note_use(row[2], moment)
            return config

    def _note_use(self, image: str, moment: int) -> None:
        if image:
            self._database.run(
                "INSERT INTO image_uses (image, used) VALUES (?1, ?2)"
                " ON CONFLICT DO UPDATE SET used = ?2 WHERE used < ?3",
                (image, moment, moment - USE_STEP),
            )

    def _change(self, id: str, statement: str, value: str) -> None:
        if not self._database.run(statement, (id, value)):
            raise ContainerNotFound(f"no such container: {id}; it was removed in the meantime")

    def _taken(self, name: str, id: str) -> AlreadyExists:
        owner = self._database.one("SELECT id FROM containers WHERE name = ?1", (name,))
        if owner is None or owner[0] == id:
            return AlreadyExists(f"a container with the id {id} exists already")
        return AlreadyExists(
            f'the container name "/{name}" is already in use by container "{owner[0]}"; remove or'
            " rename that container to be able to use the name again"
        )


def _mounts(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return config.get("request", {}).get("mounts") or ()


def _container(row: Row) -> ContainerRow:
    number, id, name, image, layers, created, config, state = row
    return ContainerRow(
        id=id,
        name=name,
        image=image,
        config=loads(config),
        state=loads(state),
        created=created,
        layers=tuple(map(Digest.trusted, loads(layers))),
        row=number,
    )
