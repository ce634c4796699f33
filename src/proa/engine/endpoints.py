"""What a start has to know of a container's networks: endpoints, ports, files.

The addresses are given out here, and the rest is the monitor's: a plan is plain data.
"""

from __future__ import annotations

import fcntl
import posix

from proa.engine import hosts
from proa.engine.config import EndpointConfig
from proa.engine.network import BRIDGE, bridge_of, find, is_free
from proa.errors import Conflict, InvalidArgument, NetworkNotFound, NoSpace, NotFound
from proa.lean.record import replace
from proa.network.address import packed, subnet, unpacked
from proa.network.endpoint import Endpoint, to_message
from proa.network.ipam import allocate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from proa.engine.config import ContainerConfig
    from proa.store.containers import ContainerRow
    from proa.store.networks import EndpointRow, NetworkRow
    from proa.store.store import Store


PUBLISH = "proa.publish"
"""The option, of a network or an endpoint, that says how ports are published."""
_WAYS = ("forwarded", "proxied")


def has_own(config: ContainerConfig) -> bool:
    """Whether the container is connected with networks that have to be made."""
    mode = config.network_mode
    return mode not in ("none", "host") and not mode.startswith("container:")


def has_names(config: ContainerConfig) -> bool:
    """Whether the container asks our name server: on every network but the default one."""
    return any(item.network != BRIDGE for item in config.networks)


def wanted(config: ContainerConfig) -> tuple[EndpointConfig, ...]:
    """The endpoints that were asked for; the one of the network mode first."""
    first = next((item for item in config.networks if item.network == config.network_mode), None)
    if first is None:
        first = EndpointConfig(config.network_mode)
    return (first, *(item for item in config.networks if item is not first))


class Starting:
    """The networks of a container that is about to be started.

    Nobody else starts it meanwhile: its directory is locked until `close`.
    """

    def __init__(self, store: Store, row: ContainerRow, config: ContainerConfig) -> None:
        self._store = store
        self._row = row
        self._config = config
        flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
        self._lock = posix.open(store.path("containers", row.id), flags)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def plan(self) -> dict[str, Any] | None:
        """Give the container its addresses, and write its hosts file; what its monitor is told.

        None: its network is another's, or none. Raises NetworkNotFound, Conflict, NoSpace,
        InvalidArgument.
        """
        store, row, config = self._store, self._row, self._config
        if not has_own(config):
            return None
        if store.networks.endpoints(container=row.id):
            if _has_monitor(store, row):
                raise Conflict(f"container {row.name} is running already")
            release(store, row.id)
        made: list[tuple[NetworkRow, EndpointConfig, EndpointRow]] = []
        try:
            for number, item in enumerate(config.networks):
                network = usable(store, find(store, item.network))
                endpoint = allocate_for(store, network, row, config, item, f"eth{number}")
                made.append((network, item, endpoint))
            endpoints = _endpoints(made)
            write_hosts(store, row, config)
        except BaseException:
            release(store, row.id)
            raise
        return {
            "endpoints": [to_message(endpoint) for endpoint in endpoints],
            "ports": _ports(row, config, made[0][0]) if made else [],
            "names": has_names(config),
        }

    def take_back(self) -> None:
        """It could not be started."""
        release(self._store, self._row.id)

    def close(self) -> None:
        """Let others start it."""
        posix.close(self._lock)


def _has_monitor(store: Store, row: ContainerRow) -> bool:
    from proa.monitor.lock import MonitorLocks

    locks = MonitorLocks(store.root)
    try:
        return bool(locks.holder(row.row))
    finally:
        locks.close()


def allocate_for(
    store: Store,
    network: NetworkRow,
    row: ContainerRow,
    config: ContainerConfig,
    item: EndpointConfig,
    interface: str,
) -> EndpointRow:
    """An endpoint for a container, which is to have `interface`. Raises NoSpace, Conflict …"""
    asked = [address for address in (item.ipv4_address, item.ipv6_address) if address]
    mac = item.mac_address or (config.mac_address if item.network == config.network_mode else "")
    known = {
        "name": row.name,
        "hostname": str(row.config["hostname"]),
        "aliases": list(item.aliases),
        "links": list(item.links),
        "interface": interface,
        "driver_options": dict(item.driver_options or {}),
    }
    try:
        return allocate(store, network, row.id, known, wanted=asked, mac=mac)
    except (Conflict, NoSpace):
        # whoever has died without giving its addresses back does so now
        if not settle_holders(store, network.id):
            raise
        return allocate(store, network, row.id, known, wanted=asked, mac=mac)


def usable(store: Store, network: NetworkRow) -> NetworkRow:
    """The network, about to be used: the default one has found a place on this host by then."""
    if network.name == BRIDGE and not store.networks.is_used(network.id):
        return is_free(store, network)
    return network


def settle_holders(store: Store, network: str) -> bool:
    """Put the containers in order that have addresses of a network and no monitor; whether any."""
    from proa.engine.recover import settle
    from proa.monitor.lock import MonitorLocks

    found = False
    locks = MonitorLocks(store.root)
    try:
        for endpoint in store.networks.endpoints(network=network):
            try:
                row = store.containers.find(endpoint.container)
            except NotFound:
                continue
            if not locks.holder(row.row):
                settle(store, row)
                before = store.networks.endpoints(container=row.id)
                found = found or endpoint.id not in {item.id for item in before}
    finally:
        locks.close()
    return found


def _endpoints(
    made: Sequence[tuple[NetworkRow, EndpointConfig, EndpointRow]],
) -> list[Endpoint]:
    out = ways_out(made)
    return [endpoint_of(network, row, out) for network, _, row in made]


def ways_out(
    made: Iterable[tuple[NetworkRow, EndpointConfig, EndpointRow]],
) -> dict[str, str]:
    """The gateways that the default routes lead to, with the names of the interfaces.

    One of each family: of the endpoint of the highest priority, then by the network's name.
    """
    found: dict[str, str] = {}
    families: set[int] = set()
    ordered = sorted(made, key=lambda one: (-one[1].gw_priority, one[0].name))
    for network, _, row in ordered:
        if network.config.get("internal"):
            continue
        has = {len(address) for address in row.addresses}
        for pool in network.config.get("ipam", ()):
            gateway = str(pool.get("gateway") or "")
            family = 16 if ":" in gateway else 4
            if gateway and family in has and family not in families:
                families.add(family)
                found[gateway] = str(row.config["interface"])
    return found


def gateways_of(network: NetworkRow) -> list[str]:
    """The gateways of a network."""
    return [pool["gateway"] for pool in network.config.get("ipam", ()) if pool.get("gateway")]


def endpoint_of(
    network: NetworkRow, row: EndpointRow, out: Mapping[str, str] | None = None
) -> Endpoint:
    """The endpoint as the monitor has to know it; `out`: what `ways_out` found."""
    options = network.config.get("options") or {}
    pools = [subnet(pool["subnet"]) for pool in network.config.get("ipam", ())]
    interface = str(row.config["interface"])
    bridge = bridge_of(network) if network.driver == "bridge" else None
    return Endpoint(
        network=network.id,
        name=network.name,
        driver=network.driver,
        interface=interface,
        mac=str(row.config["mac"]),
        addresses=tuple(
            (unpacked(address), next(pool.prefix for pool in pools if pool.contains(address)))
            for address in row.addresses
        ),
        gateways=tuple(gateway for gateway, by in (out or {}).items() if by == interface),
        bridge=bridge,
        parent=str(options.get("parent", "")),
        mode=str(options.get(f"{network.driver}_mode", "")),
        mtu=int(options.get("com.docker.network.driver.mtu") or 0),
        proxied=_is_proxied(options, row),
        publishes=bridge is not None and not bridge.internal,
    )


def _is_proxied(options: Mapping[str, str], row: EndpointRow) -> bool:
    own = row.config.get("driver_options") or {}
    return (own.get(PUBLISH) or options.get(PUBLISH) or "forwarded") == "proxied"


def _ports(row: ContainerRow, config: ContainerConfig, network: NetworkRow) -> list[list[Any]]:
    options = network.config.get("options") or {}
    default = str(options.get("com.docker.network.bridge.host_binding_ipv4", ""))
    if default in ("0.0.0.0", "::"):  # noqa: S104
        default = ""
    found = [
        [item.port, item.protocol, item.host_ip or default, item.first, item.last]
        for item in config.published
    ]
    if config.publish_all:
        known = {(item.port, item.protocol) for item in config.published}
        for text in row.config["process"].get("exposed_ports") or ():
            number, _, protocol = text.partition("/")
            if (int(number), protocol or "tcp") not in known:
                found.append([int(number), protocol or "tcp", default, 0, 0])
    return found


def write_hosts(store: Store, row: ContainerRow, config: ContainerConfig) -> None:
    """Write the container's hosts file anew, in place: it may be mounted."""
    endpoints = store.networks.endpoints(container=row.id)
    own = [unpacked(address) for endpoint in endpoints for address in endpoint.addresses]
    gateways: list[str] = []
    for endpoint in endpoints:
        gateways = gateways or gateways_of(store.networks.find(endpoint.network))
    hostname = str(row.config["hostname"])
    names = f"{hostname}.{config.domainname} {hostname}" if config.domainname else hostname
    text = hosts.text(
        config.extra_hosts,
        gateways=gateways,
        linked=_linked(store, config),
        own=own,
        names=names,
    )
    path = store.path("containers", row.id, "hosts")
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW
    descriptor = posix.open(path, flags, 0o644)
    try:
        posix.write(descriptor, text.encode("utf-8", "surrogateescape"))
    finally:
        posix.close(descriptor)


def _linked(store: Store, config: ContainerConfig) -> list[tuple[str, str]]:
    """(address, names) of the containers that are linked on the network `bridge`."""
    if config.network_mode != BRIDGE:
        return []  # elsewhere names are the DNS server's business
    network = find(store, BRIDGE)
    found = []
    for link in config.links:
        name, _, alias = link.partition(":")
        other = store.containers.find(name)
        endpoints = store.networks.endpoints(network=network.id, container=other.id)
        if not endpoints:
            raise Conflict(
                f"cannot link to a non running container: /{other.name} AS /{alias or name}; start"
                " it first, on the network bridge"
            )
        names = [alias or name, other.id[:12], other.name]
        shown = " ".join(dict.fromkeys(names))
        found += [(unpacked(address), shown) for address in endpoints[0].addresses]
    return found


def release(store: Store, container: str) -> None:
    """Take a container's addresses back, with what its monitor may have left in the kernel.

    Only where no monitor runs it. Without effect where it has no endpoint.
    """
    endpoints = store.networks.endpoints(container=container)
    if not endpoints:
        return
    used = []
    for endpoint in endpoints:
        try:
            network = store.networks.find(endpoint.network)
        except NetworkNotFound:
            continue
        if network.driver == "bridge":
            used.append(bridge_of(network))
    store.networks.release(container)
    if posix.geteuid() != 0 or not used:
        return
    from proa.kernel import nftables
    from proa.network import firewall
    from proa.network.sweep import sweep

    try:
        filter = nftables.connect()
        try:
            firewall.forget(filter, container)
        finally:
            filter.close()
    except OSError:
        pass  # there are no rules, or they are not ours to change
    sweep(store.root, used)


def check(store: Store, config: ContainerConfig) -> tuple[EndpointConfig, ...]:
    """The endpoints of a container, by the names of their networks.

    Raises NetworkNotFound, InvalidArgument, Conflict for what cannot be connected.
    """
    mode = config.network_mode
    if not has_own(config):
        if config.networks or config.links or config.mac_address:
            raise InvalidArgument(
                f"conflicting options: network mode {mode} has no endpoint: no other network,"
                " address, alias or link"
            )
        return ()
    found: dict[str, EndpointConfig] = {}
    for item in wanted(config):
        network = find(store, item.network)
        if network.name in found:
            raise InvalidArgument(f"network {network.name} is given twice")
        found[network.name] = replace(item, network=network.name)
        if network.driver in ("host", "null"):
            raise Conflict(f"container cannot be connected to network {network.name} beside others")
        way = (item.driver_options or {}).get(PUBLISH, _WAYS[0])
        if way not in _WAYS:
            raise InvalidArgument(f"invalid value {way} of {PUBLISH}: say {' or '.join(_WAYS)}")
        asked = [address for address in (item.ipv4_address, item.ipv6_address) if address]
        if network.name == BRIDGE and (asked or item.aliases):
            raise InvalidArgument(
                "invalid config for network bridge: user specified IP address and network-scoped"
                " aliases are supported on user-defined networks only"
            )
        for address in asked:
            pools = network.config.get("ipam", ())
            if not any(subnet(pool["subnet"]).contains(packed(address)) for pool in pools):
                raise InvalidArgument(
                    f"invalid config for network {network.name}: no configured subnet contains"
                    f" the address {address}"
                )
    return tuple(found.values())
