"""Networks, the endpoints by which containers are connected, and the addresses given out."""

from __future__ import annotations

import time

from proa.errors import AlreadyExists, AmbiguousName, Conflict, NetworkNotFound
from proa.lean.json import dumps, loads
from proa.lean.record import record
from proa.oci.digest import is_hex
from proa.store.database import Constraint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.store.database import Database, Row
    from proa.store.events import Events

    builtins_list = list

_SELECT = "SELECT id, name, driver, created, config FROM networks "
_ENDPOINTS = "SELECT id, network, container, created, config FROM endpoints "


@record
class NetworkRow:
    """A network as the database has it."""

    id: str
    """64 hexadecimal digits"""
    name: str
    driver: str
    """bridge, host, null, macvlan, ipvlan"""
    config: Mapping[str, Any]
    created: int = 0
    """nanoseconds since 1970; 0 in a new one: now"""


@record
class EndpointRow:
    """A container's connection with a network, while the container runs."""

    id: str
    network: str
    container: str
    config: Mapping[str, Any]
    addresses: tuple[bytes, ...] = ()
    """IPv4 first"""
    created: int = 0


class Networks:
    """The networks of a store."""

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._events = events

    def insert(self, network: NetworkRow, *, note: bool = True) -> None:
        """Add a network; `note`: as an event too. Raises AlreadyExists."""
        try:
            with self._database.transaction():
                self._database.run(
                    "INSERT INTO networks (id, name, driver, created, config) VALUES (?,?,?,?,?)",
                    (
                        network.id,
                        network.name,
                        network.driver,
                        network.created or time.time_ns(),
                        dumps(network.config),
                    ),
                )
                if note:
                    self._note("create", network.id, network.name, network.driver)
        except Constraint:
            raise AlreadyExists(f"network with name {network.name} already exists") from None

    def find(self, text: str) -> NetworkRow:
        """The network of that name, id or id prefix. Raises NetworkNotFound, AmbiguousName."""
        row = self._database.one(_SELECT + "WHERE name = ?1 OR id = ?1", (text,))
        if row is not None:
            return _network(row)
        if 0 < len(text) <= 64 and is_hex(text):
            rows = self._database.all(
                _SELECT + "WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 2", (text,)
            )
            if len(rows) == 1:
                return _network(rows[0])
            if rows:
                raise AmbiguousName(
                    f"several networks have ids that begin with {text!r}; give more digits"
                )
        raise NetworkNotFound(f"network {text} not found; see 'proa network ls'")

    def by_id(self, id: str) -> NetworkRow | None:
        """The network of that id, or None."""
        row = self._database.one(_SELECT + "WHERE id = ?1", (id,))
        return _network(row) if row is not None else None

    def list(self) -> list[NetworkRow]:
        """All networks, in the order in which they were made."""
        return [_network(row) for row in self._database.all(_SELECT + "ORDER BY created, rowid")]

    def set_config(self, id: str, config: Mapping[str, Any]) -> None:
        """Replace a network's configuration."""
        self._database.run("UPDATE networks SET config = ?2 WHERE id = ?1", (id, dumps(config)))

    def delete(self, id: str) -> bool:
        """Remove a network; whether there was one. Raises Conflict where it has endpoints."""
        try:
            with self._database.transaction():
                row = self._database.one("SELECT name, driver FROM networks WHERE id = ?1", (id,))
                if row is None:
                    return False
                self._database.run("DELETE FROM networks WHERE id = ?1", (id,))
                self._note("destroy", id, row[0], row[1])
            return True
        except Constraint:
            raise Conflict(f"network {id[:12]} has active endpoints") from None

    # -- endpoints

    def add_endpoint(self, endpoint: EndpointRow) -> None:
        """Add an endpoint with its addresses, within the caller's transaction.

        Raises Conflict where an address has an owner, or the container is connected already.
        """
        try:
            self._database.run(
                "INSERT INTO endpoints (id, network, container, created, config)"
                " VALUES (?,?,?,?,?)",
                (
                    endpoint.id,
                    endpoint.network,
                    endpoint.container,
                    endpoint.created or time.time_ns(),
                    dumps(endpoint.config),
                ),
            )
            for address in endpoint.addresses:
                self._database.run(
                    "INSERT INTO addresses (network, address, endpoint) VALUES (?,?,?)",
                    (endpoint.network, address, endpoint.id),
                )
            self._note_endpoint("connect", endpoint.network, endpoint.container)
        except Constraint as error:
            if "FOREIGN KEY" in error.rule:
                raise NetworkNotFound(
                    f"network {endpoint.network[:12]} was removed in the meantime"
                ) from None
            raise Conflict("address already in use") from None

    def taken(self, network: str) -> builtins_list[bytes]:
        """All addresses of a network that are given out."""
        rows = self._database.all("SELECT address FROM addresses WHERE network = ?1", (network,))
        return [bytes(row[0]) for row in rows]

    def endpoints(
        self, *, network: str | None = None, container: str | None = None
    ) -> builtins_list[EndpointRow]:
        """The endpoints of a network, of a container, or of both; the oldest first."""
        column, value = ("network", network) if network is not None else ("container", container)
        rows = self._database.all(
            f"{_ENDPOINTS}WHERE {column} = ?1 ORDER BY created, rowid",
            (value,),
        )
        found = []
        for id, of, owner, created, config in rows:
            if container is not None and owner != container:
                continue
            addresses = self._database.all(
                "SELECT address FROM addresses WHERE endpoint = ?1 ORDER BY length(address)", (id,)
            )
            found.append(
                EndpointRow(
                    id=id,
                    network=of,
                    container=owner,
                    config=loads(config),
                    addresses=tuple(bytes(row[0]) for row in addresses),
                    created=created,
                )
            )
        return found

    def is_used(self, network: str) -> bool:
        """Whether the network has an endpoint."""
        row = self._database.one("SELECT 1 FROM endpoints WHERE network = ?1 LIMIT 1", (network,))
        return row is not None

    def release(self, container: str, network: str | None = None) -> int:
        """Remove the endpoints of a container, or its one in `network`; how many there were."""
        with self._database.transaction():
            rows = self._database.all(
                "SELECT id, network FROM endpoints WHERE container = ?1", (container,)
            )
            found = [row for row in rows if network in (None, row[1])]
            for id, of in found:
                self._database.run("DELETE FROM endpoints WHERE id = ?1", (id,))
                self._note_endpoint("disconnect", of, container)
        return len(found)

    def _note(self, action: str, id: str, name: str, driver: str, container: str = "") -> None:
        attributes = {"name": name, "type": driver}
        if container:
            attributes["container"] = container
        self._events.add("network", action, id, attributes)

    def _note_endpoint(self, action: str, network: str, container: str) -> None:
        row = self._database.one("SELECT name, driver FROM networks WHERE id = ?1", (network,))
        if row is not None:
            self._note(action, network, row[0], row[1], container)


def _network(row: Row) -> NetworkRow:
    id, name, driver, created, config = row
    return NetworkRow(id=id, name=name, driver=driver, created=created, config=loads(config))
