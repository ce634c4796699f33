"""Containers: their rows in the database."""

from __future__ import annotations

import time

from proa.errors import AlreadyExists, AmbiguousName, ContainerNotFound, ImageNotFound
from proa.lean.json import dumps, loads
from proa.lean.record import record
from proa.oci.digest import Digest, is_hex
from proa.store.database import Constraint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.store.database import Database, Row

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
    """The containers of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, container: ContainerRow) -> int:
        """Add a container; its row number.

        The same statement checks that the image is there, and from then on the container keeps
        the image's layers from being collected. Raises AlreadyExists, ImageNotFound.
        """
        try:
            return self._database.insert(
                "INSERT INTO containers (id, name, image, layers, created, config, state) VALUES"
                " (?1, ?2, ?3, CASE ?3 WHEN '' THEN ?4"
                " ELSE (SELECT layers FROM images WHERE id = ?3) END, ?5, ?6, ?7)",
                (
                    container.id,
                    container.name,
                    container.image,
                    dumps(list(container.layers)),
                    container.created or time.time_ns(),
                    dumps(container.config),
                    dumps(container.state),
                ),
            )
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
        """The containers made from the image of this id, the newest first."""
        rows = self._database.all(_SELECT + "WHERE image = ?1 ORDER BY row DESC", (image,))
        return [_container(row) for row in rows]

    def list(self) -> list[ContainerRow]:
        """All containers, the newest first."""
        return [_container(row) for row in self._database.all(_SELECT + "ORDER BY row DESC")]

    def set_state(self, id: str, state: Mapping[str, Any]) -> None:
        """Replace the container's state. Raises ContainerNotFound."""
        self._change(id, "UPDATE containers SET state = ?2 WHERE id = ?1", dumps(state))

    def set_config(self, id: str, config: Mapping[str, Any]) -> None:
        """Replace the container's configuration. Raises ContainerNotFound."""
        self._change(id, "UPDATE containers SET config = ?2 WHERE id = ?1", dumps(config))

    def rename(self, id: str, name: str) -> None:
        """Give the container another name. Raises AlreadyExists, ContainerNotFound."""
        try:
            self._change(id, "UPDATE containers SET name = ?2 WHERE id = ?1", name)
        except Constraint:
            raise self._taken(name, id) from None

    def delete(self, id: str) -> bool:
        """Remove the row; whether there was one."""
        return self._database.run("DELETE FROM containers WHERE id = ?1", (id,)) > 0

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
