"""IPAM: gives out the addresses of a network, each to one endpoint (the database sees to that)."""

from __future__ import annotations

import posix

from proa.errors import Conflict, InvalidArgument, NoSpace
from proa.network.address import (
    free_address,
    hardware_address,
    mac_text,
    packed,
    subnet,
    unpacked,
)
from proa.store.networks import EndpointRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.store.networks import NetworkRow
    from proa.store.store import Store


def allocate(
    store: Store,
    network: NetworkRow,
    container: str,
    config: Mapping[str, Any],
    *,
    wanted: Sequence[str] = (),
    mac: str = "",
) -> EndpointRow:
    """A new endpoint for a container, with an address of each family that the network has.

    `wanted`: addresses that it is to have; `mac` likewise. Raises NoSpace, Conflict,
    InvalidArgument.
    """
    fixed = {len(address): address for address in map(packed, wanted) if address}
    id = posix.urandom(32).hex()
    with store.database.transaction():
        taken = store.networks.taken(network.id)
        chosen = [_choose(network, item, taken, fixed) for item in _by_family(network)]
        if left := [address for address in fixed.values() if address not in chosen]:
            raise InvalidArgument(
                f"invalid endpoint settings: no configured subnet of network {network.name}"
                f" contains {unpacked(left[0])}"
            )
        endpoint = EndpointRow(
            id=id,
            network=network.id,
            container=container,
            config={**config, "mac": mac or _hardware_address(chosen)},
            addresses=tuple(chosen),
        )
        try:
            store.networks.add_endpoint(endpoint)
        except Conflict:
            raise Conflict(
                f"container is connected to network {network.name} already, or its address is in"
                " use"
            ) from None
    return endpoint


def _hardware_address(addresses: Sequence[bytes]) -> str:
    return mac_text(hardware_address(addresses[0] if addresses else posix.urandom(4)))


def _by_family(network: NetworkRow) -> list[list[Mapping[str, Any]]]:
    """The pools of IPv4, then those of IPv6; without the families that there are none of."""
    pools = network.config.get("ipam", ())
    families = (
        [pool for pool in pools if ":" not in pool["subnet"]],
        [pool for pool in pools if ":" in pool["subnet"]],
    )
    return [family for family in families if family]


def _choose(
    network: NetworkRow,
    pools: Sequence[Mapping[str, Any]],
    taken: Sequence[bytes],
    fixed: Mapping[int, bytes],
) -> bytes:
    for pool in pools:
        whole = subnet(pool["subnet"])
        reserved = [packed(address) for address in (pool.get("aux") or {}).values()]
        if pool.get("gateway"):
            reserved.append(packed(pool["gateway"]))
        wanted = fixed.get(whole.bits // 8)
        if wanted is not None:
            if not whole.contains(wanted):
                continue
            low, high = whole.usable
            if wanted in taken or wanted in reserved:
                raise Conflict(
                    f"address already in use: {unpacked(wanted)} of network {network.name}"
                )
            if not low <= int.from_bytes(wanted, "big") <= high:
                raise InvalidArgument(f"{unpacked(wanted)} is no host's address in {whole}")
            return wanted
        within = subnet(pool["ip_range"]) if pool.get("ip_range") else whole
        found = free_address(within, [*taken, *reserved], whole)
        if found is not None:
            return found
    if wanted := fixed.get(subnet(pools[0]["subnet"]).bits // 8):
        raise InvalidArgument(
            f"invalid endpoint settings: no configured subnet of network {network.name} contains"
            f" {unpacked(wanted)}"
        )
    raise NoSpace(
        f"no available IPv{'6' if ':' in pools[0]['subnet'] else '4'} addresses on this network's"
        f" address pools: {network.name} ({network.id[:12]})"
    )
