"""Finds subnets that nobody uses: not another network, and not this host."""

from __future__ import annotations

import posix

from proa.errors import Conflict, InvalidArgument, NoSpace
from proa.kernel import netlink as rt
from proa.network.address import Subnet, subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proa.store.networks import NetworkRow

_POOLS = (("172.17.0.0/16", 16, 15), ("192.168.0.0/16", 20, 16))
"""Docker's default pools: the first subnet, the prefix length of each, how many."""


def subnets_of(network: NetworkRow) -> list[Subnet]:
    """The subnets of a network."""
    return [subnet(item["subnet"]) for item in network.config.get("ipam", ())]


def host_subnets(*, apart: str = "") -> list[Subnet]:
    """What this host has routes to: without the default route, and those by the link `apart`."""
    found = []
    with rt.Netlink() as netlink:
        link = rt.find_link(netlink, apart) if apart else None
        for family in (rt.INET, rt.INET6):
            found += [
                Subnet(route.destination, route.prefix)
                for route in rt.routes(netlink, family)
                # link-local: on every link
                if route.prefix
                and route.destination[:1] != b"\xfe"
                and (link is None or route.index != link.index)
            ]
    return found


def choose4(networks: Iterable[NetworkRow], *, first: bool = False) -> Subnet:
    """A free subnet of IPv4. Raises NoSpace.

    `first`: for the network `bridge`, which has the first pool if it can; others leave it to it.
    """
    taken = [item for network in networks for item in subnets_of(network)] + host_subnets()
    candidates = list(_candidates())
    if not first:
        candidates = [*candidates[1:], candidates[0]]
    for candidate in candidates:
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise NoSpace(
        "all predefined address pools have been fully subnetted: no subnet is free; remove networks"
        " with 'proa network prune', or give one with --subnet"
    )


def _candidates() -> Iterator[Subnet]:
    for text, prefix, count in _POOLS:
        start = subnet(text)
        for number in range(count):
            yield Subnet(start.at(start.first + (number << (32 - prefix))), prefix)


def choose6() -> Subnet:
    """A unique local subnet of IPv6, random as RFC 4193 wants it: it collides with none."""
    return Subnet(b"\xfd" + posix.urandom(7) + bytes(8), 64)


def check_free(wanted: Subnet, networks: Iterable[NetworkRow]) -> None:
    """Refuse a subnet that another network has. Raises Conflict."""
    for network in networks:
        for other in subnets_of(network):
            if wanted.overlaps(other):
                raise Conflict(
                    f"invalid pool request: pool {wanted} overlaps with {other} of network"
                    f" {network.name}; give another --subnet"
                )


def gateway_of(wanted: Subnet, ip_range: Subnet | None, given: bytes | None) -> bytes:
    """The gateway: the one given, or the first address. Raises InvalidArgument."""
    del ip_range
    if given is None:
        return wanted.at(wanted.usable[0])
    if not wanted.contains(given):
        raise InvalidArgument(f"no matching subnet for gateway: it is not in {wanted}")
    return given
