"""Which names mean which addresses, for each container: what the name server answers with.

All of it comes from the database; it is read again when the database has changed.
"""

from __future__ import annotations

from proa.errors import NotFound
from proa.lean.record import record
from proa.network.address import unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.store.store import Store

DEFAULT = "bridge"
"""The network that has no names, as with Docker."""


@record
class View:
    """What one container sees."""

    names: Mapping[str, tuple[str, ...]]
    """lower-case name → addresses"""
    reverse: Mapping[str, str]
    """address → name"""
    servers: tuple[str, ...] = ()
    """whom it wants to be asked about other names; none said: the host's"""
    outside: bool = True
    """whether it may learn other names at all: with internal networks alone it reaches nothing"""


class Names:
    """The names of all containers of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = -1
        self._views: dict[str, View] = {}

    def view(self, container: str) -> View:
        """What the container sees now."""
        row = self._store.database.one("PRAGMA data_version")
        version = int(row[0]) if row else 0
        if version != self._version:
            self._views.clear()
            self._version = version
        found = self._views.get(container)
        if found is None:
            found = self._views[container] = self._look(container)
        return found

    def _look(self, container: str) -> View:
        networks = self._store.networks
        names: dict[str, list[str]] = {}
        reverse: dict[str, str] = {}
        outside = False
        request = self._request(container)
        own_links: dict[str, str] = {}
        for endpoint in networks.endpoints(container=container):
            network = networks.by_id(endpoint.network)
            if network is None:
                continue
            outside = outside or not network.config.get("internal")
            if network.name == DEFAULT:
                continue
            links = (*(endpoint.config.get("links") or ()), *(request.get("links") or ()))
            for link in links:
                target, _, alias = str(link).partition(":")
                own_links[(alias or target).lower()] = target.lower()
            for other in networks.endpoints(network=network.id):
                addresses = [unpacked(address) for address in other.addresses]
                known = self._names_of(other.container, other.config)
                for name in known:
                    for shown in (name, f"{name}.{network.name}".lower()):
                        _add(names, shown, addresses)
                for address in addresses:
                    reverse.setdefault(address, f"{known[0]}.{network.name}")
        for alias, target in own_links.items():
            if target in names:
                _add(names, alias, names[target])
        return View(
            {name: tuple(found) for name, found in names.items()},
            reverse,
            tuple(request.get("dns") or ()),
            outside,
        )

    def _names_of(self, container: str, config: Mapping[str, Any]) -> list[str]:
        """Its name, which can change while it runs, first."""
        try:
            name = self._store.containers.find(container).name
        except NotFound:
            name = str(config.get("name", ""))
        found = [name, *(config.get("aliases") or ()), container[:12], str(config.get("hostname"))]
        return list(dict.fromkeys(item.lower() for item in found if item))

    def _request(self, container: str) -> Mapping[str, Any]:
        try:
            request: Mapping[str, Any] = self._store.containers.find(container).config["request"]
        except NotFound:
            return {}
        return request


def _add(names: dict[str, list[str]], name: str, addresses: list[str]) -> None:
    found = names.setdefault(name, [])
    found += [address for address in addresses if address not in found]
