"""A container's network in the form of `docker inspect`."""

from __future__ import annotations

from proa.errors import NetworkNotFound
from proa.network.address import subnet, unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.engine.config import ContainerConfig, EndpointConfig
    from proa.store.containers import ContainerRow
    from proa.store.networks import EndpointRow, NetworkRow
    from proa.store.store import Store

_NO_ADDRESS = {
    "EndpointID": "",
    "Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "MacAddress": "",
}
"""What Docker shows of a network without addresses."""


def network_settings(store: Store, config: ContainerConfig, row: ContainerRow) -> dict[str, Any]:
    """The part `NetworkSettings`."""
    pid = row.state.get("pid")
    networks = _networks(store, config, row)
    default = networks.get("bridge", {}) if config.network_mode == "bridge" else {}
    return {
        "Bridge": "",
        "SandboxID": row.id if pid else "",
        "SandboxKey": f"/proc/{pid}/ns/net" if pid else "",
        "Ports": _ports(row),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{name: default.get(name, value) for name, value in _NO_ADDRESS.items()},
        "Networks": networks,
    }


def _ports(row: ContainerRow) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not row.state.get("pid"):
        return found
    for text in row.config["process"].get("exposed_ports") or ():
        found[text if "/" in text else f"{text}/tcp"] = None
    for port, protocol, address, host_port in row.state.get("ports") or ():
        binding = {"HostIp": address, "HostPort": str(host_port)}
        found[f"{port}/{protocol}"] = [*(found.get(f"{port}/{protocol}") or ()), binding]
    return found


def _networks(store: Store, config: ContainerConfig, row: ContainerRow) -> dict[str, Any]:
    mode = config.network_mode
    if mode.startswith("container:"):
        return {}
    if mode in ("none", "host"):
        return {mode: _network(store, mode, None, None, row)}
    endpoints = {item.network: item for item in store.networks.endpoints(container=row.id)}
    found = {}
    for item in config.networks:
        network = _find(store, item.network)
        endpoint = endpoints.get(network.id) if network is not None else None
        found[item.network] = _network(store, item.network, item, endpoint, row)
    return found


def _find(store: Store, name: str) -> NetworkRow | None:
    try:
        return store.networks.find(name)
    except NetworkNotFound:
        return None


def _network(
    store: Store,
    name: str,
    item: EndpointConfig | None,
    endpoint: EndpointRow | None,
    row: ContainerRow,
) -> dict[str, Any]:
    network = _find(store, name)
    aliases = list(item.aliases) if item is not None else []
    asked = (
        {
            key: value
            for key, value in (
                ("IPv4Address", item.ipv4_address),
                ("IPv6Address", item.ipv6_address),
                ("LinkLocalIPs", list(item.link_local_ips)),
            )
            if value
        }
        if item is not None
        else {}
    )
    custom = name not in ("bridge", "host", "none")
    names = [row.name, *aliases, row.id[:12], str(row.config["hostname"])]
    found: dict[str, Any] = {
        "IPAMConfig": asked or None,
        "Links": (list(item.links) if item is not None else []) or None,
        "Aliases": aliases or None,
        "DriverOpts": (dict(item.driver_options or {}) if item is not None else {}) or None,
        "GwPriority": item.gw_priority if item is not None else 0,
        "NetworkID": network.id if network is not None else "",
        **_NO_ADDRESS,
        "DNSNames": list(dict.fromkeys(names)) if custom else None,
    }
    if item is not None and item.mac_address:
        found["MacAddress"] = item.mac_address
    if endpoint is not None and network is not None:
        found["EndpointID"] = endpoint.id
        found["MacAddress"] = endpoint.config.get("mac", "")
        for address in endpoint.addresses:
            found.update(_address(network, address))
    return found


def _address(network: NetworkRow, address: bytes) -> dict[str, Any]:
    for pool in network.config.get("ipam", ()):
        whole = subnet(pool["subnet"])
        if not whole.contains(address):
            continue
        gateway = "" if network.config.get("internal") else pool.get("gateway", "")
        if len(address) == 4:
            return {
                "IPAddress": unpacked(address),
                "IPPrefixLen": whole.prefix,
                "Gateway": gateway,
            }
        return {
            "GlobalIPv6Address": unpacked(address),
            "GlobalIPv6PrefixLen": whole.prefix,
            "IPv6Gateway": gateway,
        }
    return {}


def port_bindings(config: ContainerConfig) -> dict[str, Any]:
    """`HostConfig.PortBindings`: what was asked for."""
    found: dict[str, Any] = {}
    for item in config.published:
        host = "" if not item.first else str(item.first)
        if item.last > item.first:
            host = f"{item.first}-{item.last}"
        found.setdefault(f"{item.port}/{item.protocol}", []).append(
            {"HostIp": item.host_ip, "HostPort": host}
        )
    return found
