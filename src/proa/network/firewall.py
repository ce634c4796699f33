"""Our one table of nftables, `inet proa`: who may talk to whom, and which ports are published.

It is there as long as there is a bridge of ours. Its rules never change: bridges and published
ports are elements of its sets and maps, so that the first port and the thousandth cost the same,
and so does a packet. `nft list table inet proa` shows it.

A base chain that accepts does not overrule another table's that drops: what the host's own tables
and those of Docker or Podman forbid stays forbidden (see `forwarding.open_filter_table`).
"""

from __future__ import annotations

from errno import EEXIST, ENOENT

from proa.kernel import nftables as nft
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proa.kernel.netlink import Message, Netlink
    from proa.network.address import Subnet

TABLE = "proa"
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_FAMILY = nft.INET
_NAME, _PROTOCOL, _PORT, _V4, _V6 = (
    *(nft.INTERFACE, nft.PROTOCOL, nft.SERVICE, nft.ADDRESS4, nft.ADDRESS6),
)
_SETS: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = (
    # all of our bridges; those that reach nothing outside; those whose addresses are replaced by
    # the host's on the way out; (bridge, bridge) of those whose containers may talk to each other
    ("bridges", (_NAME,), ()),
    ("internal", (_NAME,), ()),
    ("masquerade", (_NAME,), ()),
    ("open", (_NAME, _NAME), ()),
    # the addresses of containers
    ("subnets4", (_V4,), ()),
    ("subnets6", (_V6,), ()),
    # the interfaces between which this host did not forward before we needed forwarding
    ("uplinks4", (_NAME,), ()),
    ("uplinks6", (_NAME,), ()),
    # published ports: on any address of this host, and on one
    ("ports4", (_PROTOCOL, _PORT), (_V4, _PORT)),
    ("ports6", (_PROTOCOL, _PORT), (_V6, _PORT)),
    ("addresses4", (_V4, _PROTOCOL, _PORT), (_V4, _PORT)),
    ("addresses6", (_V6, _PROTOCOL, _PORT), (_V6, _PORT)),
)
_LOOPBACK = (b"\x7f\0\0\0", 8)
_ESTABLISHED_RELATED = 2 | 4


@record
class Published:
    """A port of this host that leads into a container."""

    protocol: str
    """tcp, udp, sctp"""
    host: bytes
    """the address of the host; all zero: any"""
    host_port: int
    address: bytes
    """the container's"""
    port: int
    owner: str = ""
    """the container's id"""


def plan() -> list[Message]:
    """All that the table consists of, without elements."""
    messages = [nft.add_table(_FAMILY, TABLE)]
    for number, (name, key, value) in enumerate(_SETS, 1):
        ranges = name.startswith("subnets")
        messages.append(nft.add_set(_FAMILY, TABLE, name, key, value, number=number, ranges=ranges))
    for name, kind, hook, priority in (
        ("guard", "filter", nft.PREROUTING, nft.RAW),
        ("prerouting", "nat", nft.PREROUTING, nft.DSTNAT),
        ("output", "nat", nft.OUTPUT, nft.DSTNAT),
        ("postrouting", "nat", nft.POSTROUTING, nft.SRCNAT),
        ("forward", "filter", nft.FORWARD, nft.FILTER),
    ):
        messages.append(nft.add_base_chain(_FAMILY, TABLE, name, kind, hook, priority))
    messages.append(nft.add_chain(_FAMILY, TABLE, "published"))
    messages += [
        nft.add_rule(_FAMILY, TABLE, chain, expressions) for chain, expressions in _rules()
    ]
    return messages


def _rules() -> list[tuple[str, tuple[bytes, ...]]]:
    ipv4, ipv6 = nft.family_is(nft.IPV4), nft.family_is(nft.IPV6)
    loopback = nft.destination_in(*_LOOPBACK)
    redirected = (*nft.is_redirected(), nft.MASQUERADE)
    bridged, to_bridge = nft.iifname_in("bridges"), nft.oifname_in("bridges")
    return [
        # route_localnet, which ports on the host's loopback need, would let a container reach
        # what listens there
        ("guard", (*bridged, *ipv4, *loopback, nft.DROP)),
        # a neighbour's packet to 127.0.0.1 must not become one to a port that is published there
        ("prerouting", (*ipv4, *loopback, nft.RETURN)),
        ("prerouting", (*nft.destination_is_local(), nft.jump("published"))),
        ("output", (*nft.destination_is_local(), nft.jump("published"))),
        ("published", (*ipv4, *nft.redirect(nft.IPV4, "addresses4", by_address=True))),
        ("published", (*ipv4, *nft.redirect(nft.IPV4, "ports4", by_address=False))),
        ("published", (*ipv6, *nft.redirect(nft.IPV6, "addresses6", by_address=True))),
        ("published", (*ipv6, *nft.redirect(nft.IPV6, "ports6", by_address=False))),
        # out into the world
        (
            "postrouting",
            (
                *nft.iifname_in("masquerade"),
                *nft.oifname_in("bridges", inside=False),
                nft.MASQUERADE,
            ),
        ),
        # From a container to a published port, its own too: the answer has to come back this way.
        # By addresses, since the module br_netfilter has bridged packets pass here too, which
        # came in by no interface.
        *(
            (
                "postrouting",
                (*version, *nft.source_is(version_of, name), *to_bridge, *redirected),
            )
            for version, version_of, name in (
                (ipv4, nft.IPV4, "subnets4"),
                (ipv6, nft.IPV6, "subnets6"),
            )
        ),
        # from the host's loopback to a published port
        ("postrouting", (*ipv4, *nft.source_in(*_LOOPBACK), *to_bridge, nft.MASQUERADE)),
        ("forward", (*nft.state_in(_ESTABLISHED_RELATED), nft.ACCEPT)),
        ("forward", (*ipv4, *nft.iifname_in("uplinks4"), *nft.oifname_in("uplinks4"), nft.DROP)),
        ("forward", (*ipv6, *nft.iifname_in("uplinks6"), *nft.oifname_in("uplinks6"), nft.DROP)),
        ("forward", (*nft.interfaces_in("open"), nft.ACCEPT)),
        ("forward", (*nft.iifname_in("internal"), nft.DROP)),
        ("forward", (*nft.oifname_in("internal"), nft.DROP)),
        ("forward", (*to_bridge, *nft.is_redirected(), nft.ACCEPT)),
        ("forward", (*to_bridge, nft.DROP)),
    ]


@record
class Membership:
    """What the rules know of a bridge."""

    bridge: str
    internal: bool = False
    masquerade: bool = True
    open: bool = True
    """its containers may talk to each other"""
    subnets: tuple[Subnet, ...] = ()


def _elements(members: Membership) -> list[tuple[str, list[nft.Element]]]:
    name = nft.interface(members.bridge)
    found = [("bridges", [nft.Element(name)])]
    if members.internal:
        found.append(("internal", [nft.Element(name)]))
    elif members.masquerade:
        found.append(("masquerade", [nft.Element(name)]))
    if members.open:
        found.append(("open", [nft.Element(name + name)]))
    for range_ in members.subnets:
        family = 4 if range_.bits == 32 else 6
        end = (range_.last + 1) % (1 << range_.bits)
        ends = [nft.Element(range_.network), nft.Element(range_.at(end), end=True)]
        found.append((f"subnets{family}", ends))
    return found


def add_bridge(netlink: Netlink, members: Membership) -> None:
    """Let the rules know a bridge; the table is made where it is missing. Raises OSError."""
    added = [nft.add_elements(_FAMILY, TABLE, name, items) for name, items in _elements(members)]
    try:
        nft.commit(netlink, added)
    except OSError as error:
        if error.errno != ENOENT:
            raise
        nft.commit(netlink, [*plan(), *added])


def remove_bridge(netlink: Netlink, members: Membership) -> None:
    """Forget a bridge; with the last one the table goes. Raises OSError."""
    others = [item.key for item in nft.elements(netlink, _FAMILY, TABLE, "bridges")]
    key = nft.interface(members.bridge)
    if key not in others:
        return
    if others == [key]:
        nft.commit(netlink, [nft.delete_table(_FAMILY, TABLE)])
        return
    _remove(netlink, _elements(members))


def publish(netlink: Netlink, ports: Sequence[Published]) -> None:
    """Lead ports of this host into containers.

    The caller holds the host's ports: what is there under the same key was left by someone dead.
    Raises OSError.
    """
    if not ports:
        return
    added = [_element(port) for port in ports]
    messages = [nft.add_elements(_FAMILY, TABLE, name, items) for name, items in added]
    try:
        nft.commit(netlink, messages)
    except OSError as error:
        if error.errno != EEXIST:
            raise
        _remove(netlink, added)
        nft.commit(netlink, messages)


def unpublish(netlink: Netlink, ports: Sequence[Published]) -> None:
    """Take them back; those that are gone already do no harm. Raises OSError."""
    if ports:
        _remove(netlink, [_element(port) for port in ports])


def forget(netlink: Netlink, owner: str) -> None:
    """Take all ports of a container back, as far as any are left. Raises OSError."""
    found = [
        (name, [item])
        for name in ("ports4", "ports6", "addresses4", "addresses6")
        for item in nft.elements(netlink, _FAMILY, TABLE, name)
        if item.comment == owner
    ]
    if found:
        _remove(netlink, found)


def published(netlink: Netlink) -> list[Published]:
    """All that is published in this network namespace, by whichever engine."""
    names = {number: name for name, number in PROTOCOLS.items()}
    found = []
    for name in ("ports4", "ports6", "addresses4", "addresses6"):
        size = 4 if name.endswith("4") else 16
        for item in nft.elements(netlink, _FAMILY, TABLE, name):
            host = item.key[:size] if name.startswith("addresses") else bytes(size)
            rest = item.key[len(item.key) - 8 :]
            found.append(
                Published(
                    names.get(rest[0], str(rest[0])),
                    host,
                    int.from_bytes(rest[4:6], "big"),
                    item.value[:size],
                    int.from_bytes(item.value[size : size + 2], "big"),
                    item.comment,
                )
            )
    return found


def _remove(netlink: Netlink, items: Iterable[tuple[str, list[nft.Element]]]) -> None:
    removals = [nft.delete_elements(_FAMILY, TABLE, name, found) for name, found in items]
    try:
        nft.commit(netlink, removals)
        return
    except OSError as error:
        if error.errno != ENOENT:
            raise
    for removal in removals:
        try:
            nft.commit(netlink, [removal])
        except OSError as error:
            if error.errno != ENOENT:
                raise


def _element(port: Published) -> tuple[str, list[nft.Element]]:
    """The map that the port belongs to, and what is there about it."""
    family = "4" if len(port.address) == 4 else "6"
    key = bytes((PROTOCOLS[port.protocol], 0, 0, 0)) + port.host_port.to_bytes(2, "big") + b"\0\0"
    value = port.address + port.port.to_bytes(2, "big") + b"\0\0"
    name = "ports"
    if any(port.host):
        name, key = "addresses", port.host + key
    return name + family, [nft.Element(key, value, port.owner)]


def add_uplinks(netlink: Netlink, family: int, names: Iterable[str]) -> None:
    """Note the interfaces between which this host has not forwarded so far. Raises OSError."""
    items = [nft.Element(nft.interface(name)) for name in names]
    if items:
        nft.commit(netlink, [nft.add_elements(_FAMILY, TABLE, f"uplinks{family}", items)])


def uplinks(netlink: Netlink, family: int) -> list[str]:
    """The interfaces that `add_uplinks` noted."""
    return [
        item.key.rstrip(b"\0").decode("utf-8", "replace")
        for item in nft.elements(netlink, _FAMILY, TABLE, f"uplinks{family}")
    ]
