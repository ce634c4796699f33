"""Makes this host forward packets between bridges and the world, and no more than that.

To forward is a property of the whole network namespace. Where it was off, we switch it on and
note the interfaces that were there: between those nothing is forwarded, as before (see
`firewall`). When our last bridge goes and nobody else has come meanwhile who could need it, it is
switched off again.
"""

from __future__ import annotations

import posix

from proa.errors import PermissionDenied
from proa.kernel import netlink as rt
from proa.kernel import nftables as nft
from proa.network import firewall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.kernel.netlink import Netlink

_SWITCHES = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
_FILTER = ("filter", "FORWARD")
"""The chain of iptables-nft(8)."""


def switch_on(family: int, *, route: Netlink, filter: Netlink) -> None:
    """Forward packets of IPv4 (4) or IPv6 (6). Raises PermissionDenied, OSError."""
    switch = _SWITCHES[family]
    if read(switch) != "0":
        return
    ours = {item.key.rstrip(b"\0").decode() for item in _bridges(filter)}
    names = [link.name for link in rt.links(route) if link.name not in ours]
    # with the loopback interface among them it is never empty: that we did it can be seen
    firewall.add_uplinks(filter, family, names)
    if family == 6:
        # a router takes no routes from others, unless told to: without this the host would
        # lose its own way out (ip-sysctl, accept_ra)
        for name in names:
            if read(f"net/ipv6/conf/{name}/accept_ra") == "1":
                write(f"net/ipv6/conf/{name}/accept_ra", "2")
    write(switch, "1")


def switch_off(family: int, *, route: Netlink, filter: Netlink, bridge: str) -> None:
    """Undo `switch_on`, unless there is somebody else now. `bridge`: our last one."""
    known = firewall.uplinks(filter, family)
    if not known:
        return
    ours = {bridge, *known}
    bridges = {link.index for link in rt.links(route) if link.name == bridge}
    if all(link.name in ours or link.master in bridges for link in rt.links(route)):
        write(_SWITCHES[family], "0")


def open_filter_table(bridge: str, *, filter: Netlink) -> None:
    """Where the host's iptables drop whatever they do not know, as Docker sets them up, let them
    know the bridge.

    What we ourselves forbid is dropped in our own table all the same. The rules are such that
    iptables-nft(8) shows them as its own.
    """
    for family in (nft.IPV4, nft.IPV6):
        if nft.chain_policy(filter, family, *_FILTER) != 0:
            continue
        for match in (nft.iifname(bridge), nft.oifname(bridge)):
            rule = nft.insert_rule(family, *_FILTER, (*match, nft.ACCEPT), f"proa {bridge}")
            nft.commit(filter, [rule])


def close_filter_table(bridge: str, *, filter: Netlink) -> None:
    """Take back what `open_filter_table` did."""
    for family in (nft.IPV4, nft.IPV6):
        found = [
            nft.delete_rule(family, *_FILTER, handle)
            for handle, comment in nft.rules(filter, family, *_FILTER)
            if comment == f"proa {bridge}"
        ]
        if found:
            nft.commit(filter, found)


def _bridges(filter: Netlink) -> list[nft.Element]:
    return nft.elements(filter, nft.INET, firewall.TABLE, "bridges")


def read(name: str) -> str:
    """A kernel parameter of this network namespace; empty where there is none."""
    try:
        descriptor = posix.open(f"/proc/sys/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return posix.read(descriptor, 64).decode().strip()
    finally:
        posix.close(descriptor)


def write(name: str, value: str) -> None:
    """Set a kernel parameter. Raises PermissionDenied."""
    try:
        descriptor = posix.open(f"/proc/sys/{name}", posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(descriptor, value.encode())
        finally:
            posix.close(descriptor)
    except OSError as error:
        raise PermissionDenied(
            f"cannot set {name.replace('/', '.')} to {value} ({error.strerror}): bridges need it;"
            " set it yourself, or use --network none or host"
        ) from None
