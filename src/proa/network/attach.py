"""Connects a running container with its networks: links, addresses, routes, published ports.

This is the monitor's part; who gets which address was decided before (see `ipam`).
"""

from __future__ import annotations

import _socket
import posix
import time
from errno import ENODEV

from proa.errors import Conflict, InvalidArgument, Unsupported
from proa.kernel import netlink as rt
from proa.kernel import nftables as nft
from proa.kernel.namespace import CLONE_NEWNET, setns
from proa.network import bridge as bridges
from proa.network import firewall
from proa.network.address import mac_bytes, packed, unpacked
from proa.network.bridge import explained
from proa.network.endpoint import Bridge, Endpoint, from_message
from proa.network.forwarding import read
from proa.network.link_modes import MODES
from proa.network.lock import NamespaceLock
from proa.network.ports import Ports, Wanted, host_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.kernel.netlink import Netlink


_CALL = "net/bridge/bridge-nf-call-"
_PATIENCE = 0.2
"""Seconds that the kernel has to remove the links of a container that has ended."""


class Connections:
    """All connections of one container, for as long as its monitor runs it."""

    def __init__(self, container: str, plan: Mapping[str, Any]) -> None:
        """`plan`: `endpoints`, and `ports` as lists of the fields of `Wanted`."""
        self._container = container
        self._endpoints = [from_message(item) for item in plan["endpoints"]]
        self._wanted = [Wanted(*item) for item in plan.get("ports", ())]
        self._ports = Ports()
        self._published: list[firewall.Published] = []
        self._links: dict[str, str] = {}
        """of bridges: the host's end of the link, by the network's id"""
        self._made: list[str] = []
        """of all links that were made, the names at the host's end"""
        self._filter: Netlink | None = None
        self.proxied: list[tuple[int, tuple[str, str, int]]] = []
        """what a proxy has to serve: descriptor, and where to: protocol, address, port"""

    @property
    def ports(self) -> list[list[Any]]:
        """[container's port, protocol, host's address, host's port] of what is published."""
        return [
            [item.port, item.protocol, item.address, item.host_port] for item in self._ports.held
        ]

    @property
    def bridges(self) -> list[Bridge]:
        """The bridges that are used."""
        return [item.bridge for item in self._endpoints if item.bridge]

    def begin(self, pid: int) -> None:
        """Connect the new network namespace of the process `pid` with everything.

        Raises Conflict, PermissionDenied, KernelError …; then nothing is left.
        """
        self._links = {}
        self._made = self._made[-64:]  # of a container that is started again and again
        try:
            self._hold()
            for endpoint in self._endpoints:
                self._attach(endpoint, pid)
            self._publish()
        except BaseException:
            self.end()
            raise

    def connect(self, endpoint: Endpoint, pid: int) -> None:
        """Connect the container, which runs, with a further network. Raises as `begin`."""
        try:
            self._attach(endpoint, pid)
        except BaseException:
            self._detach(endpoint)
            raise
        self._endpoints.append(endpoint)
        self._publish()

    def disconnect(self, network: str, pid: int) -> None:
        """Take the container, which runs, from a network. Raises Conflict."""
        endpoint = next((item for item in self._endpoints if item.network == network), None)
        if endpoint is None:
            raise Conflict("the container is not connected to this network")
        self._endpoints.remove(endpoint)
        addresses = [packed(address) for address, _ in endpoint.addresses]
        gone = [port for port in self._published if port.address in addresses]
        firewall.unpublish(self._rules(), gone)
        self._published = [port for port in self._published if port not in gone]
        if endpoint.bridge is None:
            self._inside(pid, lambda netlink: netlink.do(rt.delete_link(endpoint.interface)))
        self._detach(endpoint)
        if gone or (self.proxied and endpoint.publishes):
            self.proxied = []
            self._ports.close()
        self._publish()

    def route(self, routes: Sequence[tuple[str, str]], pid: int) -> None:
        """Replace the container's default routes: (gateway, interface)."""

        def change(netlink: Netlink) -> None:
            for family in (rt.INET, rt.INET6):
                try:
                    netlink.do(rt.delete_default_route(family))
                except OSError:
                    continue  # there was none
            for gateway, interface in routes:
                index = _socket.if_nametoindex(interface)
                netlink.do(rt.add_route(index, packed(gateway)))

        self._inside(pid, change)

    def end(self) -> None:
        """Take the ports back. The links have gone with the container's network namespace."""
        if self._published:
            firewall.unpublish(self._rules(), self._published)
            self._published = []
        self.proxied = []
        self._ports.close()

    def close(self) -> None:
        """Close what it takes time to close, and see to it that the links go."""
        self._remove_links()
        if self._filter is not None:
            self._filter.close()
            self._filter = None

    # -- inside

    def _remove_links(self) -> None:
        """They go with the container's network namespace, as soon as the kernel comes to that.

        Unless a connection of the container's is still being closed: that keeps the namespace for
        minutes (tcp(7), tcp_orphan_retries).
        """
        deadline = time.monotonic() + _PATIENCE
        with rt.Netlink() as netlink:
            for name in self._made:
                while rt.find_link(netlink, name) is not None:
                    if time.monotonic() < deadline:
                        time.sleep(_PATIENCE / 10)
                        continue
                    try:
                        netlink.do(rt.delete_link(name))
                    except OSError:
                        break  # it has just gone
        self._made.clear()

    def _rules(self) -> Netlink:
        if self._filter is None:
            self._filter = nft.connect()
        return self._filter

    def _attach(self, endpoint: Endpoint, pid: int) -> None:
        namespace = posix.open(f"/proc/{pid}/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            with rt.Netlink() as netlink:
                if endpoint.bridge is not None:
                    self._add_veth(endpoint, endpoint.bridge, netlink, namespace)
                else:
                    _add_child(endpoint, netlink, namespace)
            self._within(namespace, lambda netlink: _configure(endpoint, netlink))
        except OSError as error:
            deed = f"connect the container with network {endpoint.name}"
            raise explained(error, deed) from error
        finally:
            posix.close(namespace)

    def _add_veth(
        self, endpoint: Endpoint, bridge: Bridge, netlink: Netlink, namespace: int
    ) -> None:
        name = f"veth{posix.urandom(4).hex()[:7]}"
        with NamespaceLock():
            master = bridges.ensure(bridge, route=netlink, filter=self._rules())
            netlink.do(
                rt.new_veth(
                    name,
                    master=master.index,
                    mtu=endpoint.mtu,
                    peer=endpoint.interface,
                    peer_address=mac_bytes(endpoint.mac),
                    namespace=namespace,
                ),
                *rt.bring_up(name),
            )
            # with br_netfilter the way from a container to its own published port is bridged
            hairpin = self._wanted and "1" in (read(f"{_CALL}iptables"), read(f"{_CALL}ip6tables"))
            if hairpin or not bridge.open:
                index = _socket.if_nametoindex(name)
                netlink.do(rt.change_port(index, hairpin=bool(hairpin), isolated=not bridge.open))
        self._links[endpoint.network] = name
        self._made.append(name)

    def _detach(self, endpoint: Endpoint) -> None:
        name = self._links.pop(endpoint.network, None)
        if name is None:
            return
        with rt.Netlink() as netlink:
            try:
                netlink.do(rt.delete_link(name))
            except OSError as error:
                if error.errno != ENODEV:
                    raise

    def _hold(self) -> dict[int, str]:
        """Hold the ports for the first endpoint that can publish them; its addresses by family."""
        endpoint = next((item for item in self._endpoints if item.publishes), None)
        if endpoint is None or not self._wanted:
            return {}
        addresses = {6 if ":" in address else 4: address for address, _ in endpoint.addresses}
        if not self._ports.held:
            self._ports.take(self._wanted, families=sorted(addresses))
        return addresses

    def _publish(self) -> None:
        """Publish the ports by the first endpoint that can, unless that is done."""
        addresses = {} if self._published or self.proxied else self._hold()
        if not addresses:
            return
        published = [
            firewall.Published(
                item.protocol,
                host_bytes(item.address),
                item.host_port,
                packed(addresses[6 if ":" in item.address else 4]),
                item.port,
                self._container,
            )
            for item in self._ports.held
        ]
        if any(item.proxied for item in self._endpoints if item.publishes):
            targets = [(port.protocol, unpacked(port.address), port.port) for port in published]
            descriptors = [descriptor for descriptor, _ in self._ports.listen()]
            self.proxied = list(zip(descriptors, targets, strict=True))
            return
        try:
            firewall.publish(self._rules(), published)
        except OSError as error:
            raise explained(error, "publish the container's ports") from error
        self._published = published

    def _inside(self, pid: int, work: Any) -> None:
        namespace = posix.open(f"/proc/{pid}/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            self._within(namespace, work)
        except OSError as error:
            raise explained(error, "change the container's network") from error
        finally:
            posix.close(namespace)

    def _within(self, namespace: int, work: Any) -> None:
        """Do `work` with a socket of the container's network namespace."""
        own = posix.open("/proc/self/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            setns(namespace, CLONE_NEWNET)
            try:
                with rt.Netlink() as netlink:
                    work(netlink)
            finally:
                setns(own, CLONE_NEWNET)
        finally:
            posix.close(own)


def _configure(endpoint: Endpoint, netlink: Netlink) -> None:
    """What is done in the container's network namespace."""
    index = _socket.if_nametoindex(endpoint.interface)
    ipv6 = any(":" in address for address, _ in endpoint.addresses)
    netlink.do(
        *rt.bring_up(index, link_local=ipv6),
        *(rt.add_address(index, packed(address), prefix) for address, prefix in endpoint.addresses),
        *(rt.add_route(index, packed(address)) for address in endpoint.gateways),
    )


def _add_child(endpoint: Endpoint, netlink: Netlink, namespace: int) -> None:
    """A link on top of one of the host's: macvlan, ipvlan."""
    parent = rt.find_link(netlink, endpoint.parent)
    if parent is None:
        raise InvalidArgument(
            f"network {endpoint.name}: this host has no interface {endpoint.parent}; make the"
            " network anew with -o parent=INTERFACE"
        )
    try:
        netlink.do(
            rt.new_child(
                endpoint.driver,
                endpoint.interface,
                parent=parent.index,
                mode=MODES[endpoint.driver][endpoint.mode],
                mtu=endpoint.mtu,
                address=mac_bytes(endpoint.mac) if endpoint.driver == "macvlan" else b"",
                namespace=namespace,
            )
        )
    except OSError as error:
        if error.errno in (95, 22):  # EOPNOTSUPP: no such kind of link in this kernel
            raise Unsupported(
                f"network {endpoint.name}: this kernel makes no {endpoint.driver} links on"
                f" {endpoint.parent} ({error.strerror}); use the driver bridge"
            ) from None
        raise
