"""The way of a packet to a published port, in words: what `proa network explain` shows."""

from __future__ import annotations

from proa.errors import NotFound
from proa.kernel import netlink as rt
from proa.kernel import nftables as nft
from proa.network import firewall
from proa.network.address import unpacked
from proa.network.forwarding import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from proa.engine.containers import ContainerSummary
    from proa.engine.engine import Engine
    from proa.kernel.netlink import Netlink

_FAMILIES = {nft.INET: "inet", nft.IPV4: "ip", nft.IPV6: "ip6"}


def explain(engine: Engine, port: int, protocol: str) -> list[tuple[str, str]]:
    """(step, what happens there) for packets to a port of this host. Raises NotFound."""
    holders = [
        (item, address, inside)
        for item in engine.containers.summaries(all=True)
        for inside, kind, address, outside in item.ports
        if (outside, kind) == (port, protocol)
    ]
    if not holders:
        raise NotFound(
            f"no container publishes port {port}/{protocol}; see 'proa ps' for those that are"
            " published, and 'ss -ltnup' for who else listens"
        )
    filter = nft.connect()
    try:
        lines: list[tuple[str, str]] = []
        for item, address, inside in holders:
            lines += _one(filter, item, address, port, protocol, inside)
        return lines
    finally:
        filter.close()


def _one(
    filter: Netlink, item: ContainerSummary, address: str, port: int, protocol: str, inside: int
) -> Iterable[tuple[str, str]]:
    shown = f"[{address}]" if ":" in address else address
    yield "published", f"{shown}:{port}/{protocol} by container {item.name} ({item.id[:12]})"
    yield "held", f"by a bound socket of its monitor: no other program can have port {port}"
    family = 6 if ":" in address else 4
    found = next(
        (
            entry
            for entry in firewall.published(filter)
            if (entry.owner, entry.host_port, entry.protocol) == (item.id, port, protocol)
            and len(entry.address) == (16 if family == 6 else 4)
        ),
        None,
    )
    if found is None:
        yield "arrives", "at a proxy, a process of this host: INPUT rules apply"
        yield from _chains(filter, nft.INPUT, family)
        yield "goes on", f"as a connection of the proxy to port {inside} of the container"
        return
    target = unpacked(found.address)
    whole = f"[{target}]" if family == 6 else target
    place = "addresses" if any(found.host) else "ports"
    yield (
        "prerouting",
        f"inet proa: for an address of this host, map {place}{family} changes the destination to"
        f" {whole}:{found.port}",
    )
    switch = "net/ipv6/conf/all/forwarding" if family == 6 else "net/ipv4/ip_forward"
    on = read(switch) != "0"
    yield "routing", f"{switch.replace('/', '.')} is {'on' if on else 'OFF: nothing is forwarded'}"
    yield "INPUT", "is not passed: the packet is forwarded; rules there do not apply to it"
    yield from _chains(filter, nft.FORWARD, family)
    yield "forward", "inet proa: accepted, since its destination was changed ('ct status dnat')"
    yield "bridge", _bridge(found.address)
    yield (
        "restrict",
        f"in a table of your own: add rule inet mine forward meta l4proto {protocol} ct original"
        f" proto-dst {port} ip saddr != 192.0.2.0/24 drop; or publish by a proxy: -o"
        " proa.publish=proxied",
    )


def _chains(filter: Netlink, hook: int, family: int) -> Iterable[tuple[str, str]]:
    """The chains of others at a hook: a drop in any of them is final."""
    name = {nft.INPUT: "INPUT", nft.FORWARD: "FORWARD"}[hook]
    for chain in nft.base_chains(filter):
        fits = chain.family in (nft.INET, nft.IPV6 if family == 6 else nft.IPV4)
        if not fits or chain.hook != hook or chain.table == firewall.TABLE:
            continue
        policy = "drops" if chain.drops else "accepts"
        text = f"{_FAMILIES.get(chain.family, '?')} {chain.table} {chain.name}"
        known = [
            comment
            for _, comment in nft.rules(filter, chain.family, chain.table, chain.name)
            if comment.startswith("proa ")
        ]
        allowed = f", and has rules for {known[0].removeprefix('proa ')} (ours)" if known else ""
        yield name, f"{text}: {policy} what no rule decides about{allowed}; a drop here is final"


def _bridge(address: bytes) -> str:
    with rt.Netlink() as netlink:
        family = rt.INET if len(address) == 4 else rt.INET6
        bits = len(address) * 8
        number = int.from_bytes(address, "big")
        names = {link.index: link for link in rt.links(netlink)}
        for route in rt.routes(netlink, family):
            shift = bits - route.prefix
            start = int.from_bytes(route.destination, "big")
            if route.prefix and number >> shift == start >> shift and route.index in names:
                link = names[route.index]
                return f"{link.name}, which is {'up' if link.up else 'DOWN'}"
    return "there is no route to the container"
