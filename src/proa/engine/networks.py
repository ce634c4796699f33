"""The networks of an engine: make, find, list, remove, and connect containers with them."""

from __future__ import annotations

import posix

from proa.engine import endpoints
from proa.engine.config import EndpointConfig
from proa.engine.network import PREDEFINED, bridge_of, find
from proa.errors import (
    Conflict,
    InvalidArgument,
    NetworkNotFound,
    NotFound,
    PermissionDenied,
    Unsupported,
)
from proa.lean import clock
from proa.lean.record import record
from proa.network.address import Subnet, packed, subnet, unpacked
from proa.store.networks import NetworkRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.engine.container import Container
    from proa.engine.engine import Engine

    builtins_list = list

DRIVERS = ("bridge", "macvlan", "ipvlan")
"""The drivers of networks that can be made."""
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_LINK_NAME = 15
"""Bytes in the name of an interface at most: IFNAMSIZ without the zero."""


@record
class AddressPool:
    """A subnet of a network, and what is taken from it."""

    subnet: str
    """empty: one that is free"""
    gateway: str = ""
    """empty: the first address"""
    ip_range: str = ""
    """where containers' addresses are taken from; empty: the whole subnet"""
    aux_addresses: Mapping[str, str] | None = None
    """addresses of other hosts, by their names: no container gets them"""


class Network:
    """A network of an engine, as of when it was looked up; `reload` looks again."""

    def __init__(self, engine: Engine, row: NetworkRow) -> None:
        self._engine = engine
        self._row = row

    def __repr__(self) -> str:
        return f"<Network {self.short_id} {self.name}>"

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self._row.id

    @property
    def short_id(self) -> str:
        """The first twelve of them."""
        return self._row.id[:12]

    @property
    def name(self) -> str:
        """Its name."""
        return self._row.name

    @property
    def row(self) -> NetworkRow:
        """Its row in the store."""
        return self._row

    @property
    def containers(self) -> list[Container]:
        """The containers that are connected with it and run."""
        found = []
        for endpoint in self._engine.store.networks.endpoints(network=self.id):
            try:
                found.append(self._engine.containers.get(endpoint.container))
            except NotFound:
                continue  # removed just now
        return found

    @property
    def attrs(self) -> dict[str, Any]:
        """All about it, in the form of `docker network inspect`."""
        return describe(self._engine, self._row)

    def reload(self) -> None:
        """Look again. Raises NetworkNotFound where it was removed."""
        self._row = self._engine.store.networks.find(self.id)

    def connect(
        self,
        container: Container | str,
        *,
        aliases: Sequence[str] = (),
        links: Sequence[str] = (),
        ipv4_address: str = "",
        ipv6_address: str = "",
        link_local_ips: Sequence[str] = (),
        driver_opt: Mapping[str, str] | None = None,
        mac_address: str = "",
        gw_priority: int = 0,
    ) -> None:
        """Connect a container with it, which may run.

        Raises Conflict, InvalidArgument, ContainerNotFound.
        """
        from proa.engine.connect import connect

        wanted = EndpointConfig(
            self.name,
            aliases=tuple(aliases),
            links=tuple(links),
            ipv4_address=ipv4_address or "",
            ipv6_address=ipv6_address or "",
            link_local_ips=tuple(link_local_ips),
            driver_options=driver_opt,
            mac_address=mac_address or "",
            gw_priority=gw_priority,
        )
        connect(self._engine, self._row, self._container(container), wanted)

    def disconnect(self, container: Container | str, *, force: bool = False) -> None:
        """Take a container from it, which may run.

        `force`: also one that is gone. Raises Conflict, ContainerNotFound.
        """
        from proa.engine.connect import disconnect

        disconnect(self._engine, self._row, self._container(container), force=force)

    def _container(self, container: Container | str) -> Container:
        name = container if isinstance(container, str) else container.id
        return self._engine.containers.get(name)

    def remove(self) -> None:
        """Remove it. Raises Conflict where a container that runs is connected with it."""
        if self.name in PREDEFINED:
            raise PermissionDenied(f"{self.name} is a pre-defined network and cannot be removed")
        store = self._engine.store
        if store.networks.is_used(self.id):
            endpoints.settle_holders(store, self.id)
        if users := store.networks.endpoints(network=self.id):
            names = ", ".join(f'name:"{item.config["name"]}" id:"{item.id[:12]}"' for item in users)
            raise Conflict(
                f"error while removing network: network {self.name} has active endpoints ({names});"
                " disconnect or stop these containers first"
            )
        if not store.networks.delete(self.id):
            raise NetworkNotFound(f"network {self.name} not found")
        if self._row.driver == "bridge" and posix.geteuid() == 0:
            from proa.network.sweep import sweep

            sweep(store.root, [bridge_of(self._row)])


class Networks:
    """Networks by name, and ways to make new ones."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> Network:
        """The network of that name, id or id prefix. Raises NetworkNotFound, AmbiguousName."""
        return Network(self._engine, find(self._engine.store, name))

    def list(
        self,
        names: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> builtins_list[Network]:
        """The networks by name, predefined ones among them.

        `filters`: as `proa network ls --filter` has them, one value or several: driver, id, label,
        name, scope, type, dangling.
        """
        from proa.engine.network_filters import matching

        wanted = {
            name: [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
            for name, value in (filters or {}).items()
        }
        for key, given in (("name", names), ("id", ids)):
            if given:
                wanted.setdefault(key, []).extend(given)
        store = self._engine.store
        for name in PREDEFINED:
            find(store, name)
        found = sorted(store.networks.list(), key=lambda row: row.name)
        return [Network(self._engine, row) for row in matching(store, found, wanted)]

    def create(
        self,
        name: str,
        *,
        driver: str | None = None,
        options: Mapping[str, str] | None = None,
        ipam: Sequence[AddressPool] | Mapping[str, Any] = (),
        internal: bool = False,
        labels: Mapping[str, str] | Sequence[str] | None = None,
        enable_ipv4: bool = True,
        enable_ipv6: bool = False,
        attachable: bool = False,
        ipam_driver: str = "default",
        ipam_options: Mapping[str, str] | None = None,
        check_duplicate: bool | None = None,
        scope: str | None = None,
        ingress: bool | None = None,
    ) -> Network:
        """Make a network; its bridge is made when the first container comes.

        `ipam`: pools, or docker-py's IPAMConfig. `check_duplicate` is docker-py's: names are
        unique anyway. Raises AlreadyExists, InvalidArgument, Conflict, NoSpace, Unsupported.
        """
        del check_duplicate
        if ingress or scope not in (None, "", "local"):
            raise Unsupported("networks of a swarm are not available: the scope is local")
        if isinstance(labels, list | tuple):
            labels = dict(str(item).partition("=")[::2] for item in labels)
        driver = driver or "bridge"
        options = {str(key): str(value) for key, value in (options or {}).items()}
        _check(name, driver, ipam_driver, options)
        pools, ipam_options = _pools(ipam, ipam_options)
        store = self._engine.store
        with store.database.transaction():
            chosen = self._choose(pools, driver, ipv4=enable_ipv4, ipv6=enable_ipv6)
            if internal and driver != "bridge":
                chosen = [{**pool, "gateway": ""} for pool in chosen]
            id = posix.urandom(32).hex()
            row = NetworkRow(
                id=id,
                name=name,
                driver=driver,
                config={
                    "ipam": chosen,
                    "ipam_options": dict(ipam_options or {}),
                    "options": options,
                    "labels": dict(labels or {}),  # type: ignore[arg-type]
                    "internal": internal,
                    "ipv4": enable_ipv4,
                    "ipv6": enable_ipv6,
                    "attachable": attachable,
                },
            )
            store.networks.insert(row)
        return Network(self._engine, store.networks.find(id))

    def prune(self, filters: Mapping[str, str | Sequence[str]] | None = None) -> dict[str, Any]:
        """Remove those that no container refers to: `NetworksDeleted`, names or None.

        `filters`: `label`, `label!` and `until`, one value or several. Raises InvalidArgument.
        """
        from proa.engine.network_filters import unused

        several = {
            name: [value] if isinstance(value, str) else list(value)
            for name, value in (filters or {}).items()
        }
        deleted = []
        for row in unused(self._engine.store, several):
            try:
                Network(self._engine, row).remove()
            except (Conflict, NetworkNotFound):
                continue  # someone has come, or was faster
            deleted.append(row.name)
        self._engine.store.events.add("network", "prune", "", {"reclaimed": "0"})
        return {"NetworksDeleted": deleted or None}

    def _choose(
        self, pools: Sequence[AddressPool], driver: str, *, ipv4: bool, ipv6: bool
    ) -> builtins_list[dict[str, Any]]:
        """The pools, complete and checked, and one for each family that has none."""
        from proa.network.pool import check_free, choose4, choose6

        if not (ipv4 or ipv6):
            raise InvalidArgument("IPv4 or IPv6 must be enabled")
        networks = self._engine.store.networks.list()
        found: list[dict[str, Any]] = []
        seen: list[Subnet] = []
        for pool in pools:
            whole = subnet(pool.subnet, exact=True) if pool.subnet else None
            if whole is None:
                continue
            if whole.bits == 128 and not ipv6:
                raise InvalidArgument(
                    f"the subnet {whole} is one of IPv6, which is not enabled; add --ipv6"
                )
            if any(whole.overlaps(other) for other in seen):
                raise Conflict(
                    f"multiple overlapping subnet configuration is not supported: {whole}"
                )
            seen.append(whole)
            if driver == "bridge":
                check_free(whole, [row for row in networks if row.driver == "bridge"])
            found.append(_complete(pool, whole))
        loose = next((pool for pool in pools if not pool.subnet), AddressPool(""))
        if ipv4 and not any(item.bits == 32 for item in seen):
            if loose.gateway or loose.ip_range:
                raise InvalidArgument("no subnet for the gateway or ip-range; add --subnet")
            found.append(_complete(loose, choose4(networks)))
        if ipv6 and not any(item.bits == 128 for item in seen):
            found.append(_complete(AddressPool(""), choose6()))
        if not ipv4:
            found = [pool for pool in found if ":" in pool["subnet"]]
        return found


def _check(name: str, driver: str, ipam_driver: str, options: Mapping[str, str]) -> None:
    if name in PREDEFINED or name == "default":
        raise PermissionDenied(f"operation is not permitted on predefined {name} network")
    if not name or not set(name) <= _NAME or name[0] in "_.-":
        raise InvalidArgument(
            f"invalid network name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-]* is allowed"
        )
    if driver in ("host", "null", "none"):
        raise PermissionDenied(f'only one instance of "{driver}" network is allowed')
    if driver not in DRIVERS:
        raise NotFound(f"could not find plugin {driver}: there are {', '.join(DRIVERS)}")
    if ipam_driver not in ("", "default"):
        raise Unsupported(f"IPAM driver {ipam_driver} is not available; leave --ipam-driver away")
    link = options.get("com.docker.network.bridge.name", "")
    if len(link.encode()) > _LINK_NAME or "/" in link or " " in link:
        raise InvalidArgument(f"{link} is no name for an interface: 15 bytes at most")
    mtu = options.get("com.docker.network.driver.mtu", "0")
    if not mtu.isdecimal() or int(mtu) > 65535:
        raise InvalidArgument(f"invalid value {mtu} for com.docker.network.driver.mtu")
    if (way := options.get("proa.publish", "forwarded")) not in ("forwarded", "proxied"):
        raise InvalidArgument(f"invalid value {way} of proa.publish: say forwarded or proxied")
    if driver == "bridge":
        return
    from proa.network.link_modes import MODES

    mode = options.get(f"{driver}_mode", "")
    if mode not in MODES[driver]:
        raise InvalidArgument(
            f"unknown {driver} mode {mode}: there are {', '.join(filter(None, MODES[driver]))}"
        )
    if not options.get("parent"):
        raise InvalidArgument(
            f"a {driver} network needs an interface of this host; add -o parent=INTERFACE"
        )


def _pools(
    ipam: Sequence[AddressPool] | Mapping[str, Any], options: Mapping[str, str] | None
) -> tuple[list[AddressPool], Mapping[str, str] | None]:
    if not isinstance(ipam, dict):
        return list(ipam), options  # type: ignore[arg-type]
    pools = [
        AddressPool(
            item.get("Subnet") or "",
            item.get("Gateway") or "",
            item.get("IPRange") or "",
            item.get("AuxiliaryAddresses") or item.get("AuxAddress"),
        )
        for item in ipam.get("Config") or ()
    ]
    return pools, options or ipam.get("Options")


def _complete(pool: AddressPool, whole: Subnet) -> dict[str, Any]:
    """A pool as the database has it. Raises InvalidArgument."""
    if pool.gateway:
        gateway = packed(pool.gateway)
        if not whole.contains(gateway):
            raise InvalidArgument(f"no matching subnet for gateway {pool.gateway}: not in {whole}")
    else:
        gateway = whole.at(whole.usable[0])
    found: dict[str, Any] = {"subnet": str(whole), "gateway": unpacked(gateway)}
    if pool.gateway:
        found["gateway_given"] = True
    if pool.ip_range:
        within = subnet(pool.ip_range)
        if not (whole.contains(within.network) and within.prefix >= whole.prefix):
            raise InvalidArgument(f"no matching subnet for range {pool.ip_range}: not in {whole}")
        found["ip_range"] = str(within)
    if pool.aux_addresses:
        for name, address in pool.aux_addresses.items():
            if not whole.contains(packed(address)):
                raise InvalidArgument(f"no matching subnet for aux-address {name}={address}")
        found["aux"] = dict(pool.aux_addresses)
    return found


def describe(engine: Engine, row: NetworkRow) -> dict[str, Any]:
    """A network in the form of `docker network inspect`."""
    config = row.config
    pools = []
    for pool in config.get("ipam", ()):
        shown: dict[str, Any] = {"Subnet": pool["subnet"]}
        if pool.get("ip_range"):
            shown["IPRange"] = pool["ip_range"]
        if pool.get("gateway"):
            shown["Gateway"] = pool["gateway"]
        if pool.get("aux"):
            shown["AuxiliaryAddresses"] = dict(pool["aux"])
        pools.append(shown)
    predefined = row.name in PREDEFINED
    return {
        "Name": row.name,
        "Id": row.id,
        "Created": clock.from_nanoseconds(row.created),
        "Scope": "local",
        "Driver": row.driver,
        "EnableIPv4": bool(config.get("ipv4", True)),
        "EnableIPv6": bool(config.get("ipv6", False)),
        "IPAM": {
            "Driver": "default",
            "Options": None if predefined else dict(config.get("ipam_options") or {}),
            "Config": pools or None,
        },
        "Internal": bool(config.get("internal")),
        "Attachable": bool(config.get("attachable")),
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            endpoint.container: {
                "Name": _name_of(engine, endpoint.container, endpoint.config),
                "EndpointID": endpoint.id,
                "MacAddress": endpoint.config.get("mac", ""),
                "IPv4Address": _with_prefix(row, endpoint.addresses, 4),
                "IPv6Address": _with_prefix(row, endpoint.addresses, 16),
            }
            for endpoint in engine.store.networks.endpoints(network=row.id)
        },
        "Options": dict(config.get("options") or {}),
        "Labels": dict(config.get("labels") or {}),
    }


def _name_of(engine: Engine, container: str, config: Mapping[str, Any]) -> str:
    try:
        return engine.store.containers.find(container).name
    except NotFound:
        return str(config.get("name", ""))


def _with_prefix(row: NetworkRow, addresses: Sequence[bytes], size: int) -> str:
    """The address of this size in bytes, with its subnet's prefix length."""
    for address in addresses:
        for pool in row.config.get("ipam", ()):
            whole = subnet(pool["subnet"])
            if len(address) == size and whole.contains(address):
                return f"{unpacked(address)}/{whole.prefix}"
    return ""


def names_of(request: Mapping[str, Any]) -> tuple[str, ...]:
    """The networks of a container, by its request in the database."""
    mode = str(request.get("network_mode", "default"))
    if mode in ("none", "host"):
        return (mode,)
    return tuple(item["network"] for item in request.get("networks", ()))
