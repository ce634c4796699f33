"""Bridges: made when the first container comes, removed when the last one has gone."""

from __future__ import annotations

from errno import EEXIST, EOPNOTSUPP, EPERM, EPROTONOSUPPORT

from proa.errors import Conflict, KernelError, PermissionDenied, Unsupported
from proa.kernel import netlink as rt
from proa.kernel import nftables as nft
from proa.network import firewall, forwarding
from proa.network.address import hardware_address, packed, subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.kernel.netlink import Link, Netlink
    from proa.network.endpoint import Bridge

_ALIAS = "proa network "
_LINK_LOCAL = (packed("fe80::1"), 64)


def ensure(bridge: Bridge, *, route: Netlink, filter: Netlink) -> Link:
    """The link of the bridge, made where it is missing. The caller holds the namespace's lock.

    Raises Conflict, PermissionDenied, KernelError.
    """
    link = rt.find_link(route, bridge.name)
    if link is not None:
        if link.alias != _ALIAS + bridge.network:
            raise Conflict(
                f"there is an interface {bridge.name} already, which is not this network's; make"
                " the network with another -o com.docker.network.bridge.name"
            )
        return link
    try:
        return _make(bridge, route, filter)
    except OSError as error:
        remove(bridge, route=route, filter=filter)
        raise explained(error, f"make the bridge {bridge.name}") from error
    except BaseException:
        remove(bridge, route=route, filter=filter)
        raise


def _make(bridge: Bridge, route: Netlink, filter: Netlink) -> Link:
    gateways = [(packed(address), prefix) for address, prefix in bridge.gateways]
    if any(len(address) == 16 for address, _ in gateways):
        # what is asked on behalf of others, for the address of a neighbour, comes from this one
        gateways.append(_LINK_LOCAL)
    own = gateways[0][0] if gateways else bytes.fromhex(bridge.network[:8])
    route.do(
        rt.new_bridge(bridge.name, mtu=bridge.mtu, address=hardware_address(own)),
        *rt.bring_up(bridge.name, alias=_ALIAS + bridge.network),
    )
    link = rt.find_link(route, bridge.name)
    assert link is not None
    if gateways:
        route.do(*(rt.add_address(link.index, address, prefix) for address, prefix in gateways))
    firewall.add_bridge(filter, _membership(bridge))
    if not bridge.internal:
        # so that what the host sends to a published port of 127.0.0.1 may leave by the bridge
        forwarding.write(f"net/ipv4/conf/{bridge.name}/route_localnet", "1")
        for family in {4 if len(address) == 4 else 6 for address, _ in gateways}:
            forwarding.switch_on(family, route=route, filter=filter)
        forwarding.open_filter_table(bridge.name, filter=filter)
    return link


def _membership(bridge: Bridge) -> firewall.Membership:
    return firewall.Membership(
        bridge.name,
        internal=bridge.internal,
        masquerade=bridge.masquerade,
        open=bridge.open,
        subnets=tuple(map(subnet, bridge.subnets)),
    )


def remove(bridge: Bridge, *, route: Netlink, filter: Netlink) -> None:
    """Remove a bridge, and with the last one the table. The caller holds the namespace's lock."""
    name = bridge.name
    bridges = nft.elements(filter, nft.INET, firewall.TABLE, "bridges")
    if [item.key for item in bridges] == [nft.interface(name)]:
        for family in (4, 6):
            forwarding.switch_off(family, route=route, filter=filter, bridge=name)
    firewall.remove_bridge(filter, _membership(bridge))
    forwarding.close_filter_table(name, filter=filter)
    link = rt.find_link(route, name)
    for port in rt.links(route, master=link.index) if link is not None else ():
        # of a container that is gone, and has left a connection that is still being closed
        try:
            route.do(rt.delete_link(port.name))
        except OSError:
            continue
    try:
        route.do(rt.delete_link(name))
    except OSError:
        return  # it was gone


def is_made(bridge: Bridge, route: Netlink) -> bool:
    """Whether the bridge is there."""
    link = rt.find_link(route, bridge.name)
    return link is not None and link.alias == _ALIAS + bridge.network


def explained(error: OSError, deed: str) -> Exception:
    """What the kernel's refusal means."""
    if error.errno == EPERM:
        return PermissionDenied(
            f"cannot {deed}: networks take CAP_NET_ADMIN, which this process lacks; use"
            " --network none or host"
        )
    if error.errno in (EOPNOTSUPP, EPROTONOSUPPORT):
        return Unsupported(
            f"cannot {deed}: this kernel cannot do it ({error.strerror}); try 'modprobe -a"
            " nf_tables bridge veth', or use --network none or host"
        )
    if error.errno == EEXIST:
        return Conflict(f"cannot {deed}: {error.strerror}")
    return KernelError(f"cannot {deed}: {error.strerror}")
