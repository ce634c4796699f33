"""Netlink sockets, and the messages of rtnetlink(7): links, addresses, routes.

A message is made by a function here and sent by a `Netlink`, several at a time if wanted: the
kernel does them in order, and has answered all when the call that sends them returns.
"""

from __future__ import annotations

import _socket
import posix
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

ROUTE, NETFILTER = 0, 12
"""The protocols of netlink(7) that are used here."""
INET, INET6 = _socket.AF_INET, _socket.AF_INET6

NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26

REQUEST, ACK, DUMP, EXCLUSIVE, CREATE, APPEND, REPLACE = 1, 4, 0x300, 0x200, 0x400, 0x800, 0x100
NESTED = 0x8000
UP = 1
"""IFF_UP of netdevice(7)."""

# if_link.h
ADDRESS, NAME, MTU, LINK, MASTER, LINK_INFO, NET_NS_FD, ALIAS, AF_SPEC = (
    *(1, 3, 4, 5, 10, 18, 28, 20, 26),
)
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_PEER = 1
_AF_BRIDGE, _PORT, _PORT_HAIRPIN, _PORT_ISOLATED = 7, 12, 4, 33
_INET6_ADDR_GEN_MODE, _GEN_NONE = 8, 1
# if_addr.h, rtnetlink.h
_LOCAL, _BROADCAST, _FLAGS = 2, 4, 8
_NODAD = 0x02
_DESTINATION, _OIF, _GATEWAY, _PRIORITY, _TABLE = 1, 4, 5, 6, 15
_MAIN, _BOOT, _UNIVERSE, _LINK_SCOPE, _UNICAST = 254, 3, 0, 253, 1

_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11


class Message:
    """One message to the kernel, without its length and number."""

    def __init__(self, kind: int, flags: int, payload: bytes) -> None:
        self.kind = kind
        self.flags = flags | REQUEST
        self.payload = payload


class Netlink:
    """A socket to the kernel, in the network namespace that this process was in when it opened."""

    def __init__(self, protocol: int = ROUTE) -> None:
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
        self._socket = _socket.socket(_socket.AF_NETLINK, kind, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._number = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def do(self, *messages: Message) -> None:
        """Have the kernel do all of it. Raises OSError for the first that it refuses.

        The later ones have been tried by then.
        """
        self._send([(message, message.flags | ACK) for message in messages])
        for _ in self._answers():
            pass

    def do_batch(self, begin: Message, messages: Sequence[Message], end: Message) -> None:
        """As `do`, between two messages that have no answer: nfnetlink's transactions."""
        framed = [(message, message.flags | ACK) for message in messages]
        self._send([(begin, begin.flags), *framed, (end, end.flags)])
        for _ in self._answers():
            pass

    def ask(self, message: Message) -> list[tuple[int, bytes]]:
        """(kind, payload) of each object that the kernel answers a request with."""
        self._send([(message, message.flags)])
        return list(self._answers(wait=True, single=not message.flags & DUMP))

    def _send(self, messages: Sequence[tuple[Message, int]]) -> None:
        packets = []
        for message, flags in messages:
            self._number += 1
            size = _HEADER.size + len(message.payload)
            packets.append(_HEADER.pack(size, message.kind, flags, self._number, 0))
            packets.append(message.payload + bytes(-size % 4))
        self._socket.sendto(b"".join(packets), (0, 0))

    def _answers(self, *, wait: bool = False, single: bool = False) -> Iterator[tuple[int, bytes]]:
        problem: OSError | None = None
        flags = 0 if wait else _socket.MSG_DONTWAIT
        done = False
        while not done:
            try:
                # large enough for whatever the kernel sends at once
                data = self._socket.recv(1 << 18, flags)
            except BlockingIOError:
                break
            at = 0
            while at + _HEADER.size <= len(data):
                size, kind, how, number, _ = _HEADER.unpack_from(data, at)
                payload = data[at + _HEADER.size : at + size]
                at += (size + 3) & ~3
                if wait and number != self._number:
                    continue  # of an earlier request that was given up
                if kind == _ERROR:
                    code = struct.unpack_from("=i", payload)[0]
                    if code and problem is None:
                        problem = OSError(-code, _explained(-code, payload, how))
                    done = done or wait
                elif kind == _DONE:
                    done = True
                else:
                    yield kind, payload
                    done = done or single
        if problem is not None:
            raise problem


def _explained(code: int, payload: bytes, flags: int) -> str:
    """The kernel's own words where it has some (NLMSGERR_ATTR_MSG), else those of errno."""
    reason = posix.strerror(code)
    if flags & 0x200 and flags & 0x100:  # NLM_F_ACK_TLVS, NLM_F_CAPPED: they follow the header
        words = attributes(payload[20:]).get(1, b"").rstrip(b"\0")
        if words:
            return f"{reason}: {words.decode('utf-8', 'replace')}"
    return reason


# -- attributes


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to 4 bytes."""
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits in the machine's order."""
    return struct.pack("=HHI", 8, kind, value)


def text(kind: int, value: str) -> bytes:
    """An attribute of text."""
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that is made of attributes."""
    return attribute(kind | NESTED, b"".join(attributes))


def attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by kind; of several of one kind the last."""
    return dict(each_attribute(data))


def each_attribute(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, value) of all attributes in `data`."""
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + size]
        at += (size + 3) & ~3


# -- links


def _link(index: int = 0, *, up: bool | None = None) -> bytes:
    flags = UP if up else 0
    return struct.pack("=BxHiII", 0, 0, index, flags, 0 if up is None else UP)


def _no_link_local() -> bytes:
    """IPv6 takes no address of its own accord (IN6_ADDR_GEN_MODE_NONE)."""
    mode = attribute(_INET6_ADDR_GEN_MODE, bytes((_GEN_NONE,)))
    return nested(AF_SPEC, nested(INET6, mode))


def new_bridge(name: str, *, mtu: int, address: bytes) -> Message:
    """A bridge, down; `address`: its MAC address, which would be that of a port otherwise."""
    payload = (
        _link()
        + text(NAME, name)
        + attribute(ADDRESS, address)
        + nested(LINK_INFO, text(_INFO_KIND, "bridge"))
    )
    if mtu:
        payload += number(MTU, mtu)
    return Message(NEWLINK, CREATE | EXCLUSIVE, payload)


def new_veth(
    name: str, *, master: int, mtu: int, peer: str, peer_address: bytes, namespace: int
) -> Message:
    """Two links, down: `name` here, at the bridge `master`; `peer` in the network `namespace`.

    `namespace`: a descriptor.
    """
    size = number(MTU, mtu) if mtu else b""
    there = (
        _link()
        + text(NAME, peer)
        + attribute(ADDRESS, peer_address)
        + size
        + number(NET_NS_FD, namespace)
    )
    information = text(_INFO_KIND, "veth") + nested(_INFO_DATA, attribute(_VETH_PEER, there))
    payload = (
        _link() + text(NAME, name) + size + nested(LINK_INFO, information) + number(MASTER, master)
    )
    return Message(NEWLINK, CREATE | EXCLUSIVE, payload)


def new_child(
    kind: str, name: str, *, parent: int, mode: int, mtu: int, address: bytes, namespace: int
) -> Message:
    """A macvlan or ipvlan link (`kind`) on top of `parent`, in the network `namespace`.

    `mode`: MACVLAN_MODE_* or IPVLAN_MODE_* of if_link.h.
    """
    data = number(1, mode) if kind == "macvlan" else attribute(1, struct.pack("=H", mode))
    payload = (
        _link()
        + text(NAME, name)
        + number(LINK, parent)
        + number(NET_NS_FD, namespace)
        + nested(LINK_INFO, text(_INFO_KIND, kind), nested(_INFO_DATA, data))
    )
    if address:
        payload += attribute(ADDRESS, address)
    if mtu:
        payload += number(MTU, mtu)
    return Message(NEWLINK, CREATE | EXCLUSIVE, payload)


def bring_up(link: int | str, *, link_local: bool = False, alias: str = "") -> tuple[Message, ...]:
    """Bring a link, by index or name, up; without `link_local` IPv6 takes no address by itself.

    `alias`: free text that the link keeps.
    """
    named = b"" if isinstance(link, int) else text(NAME, link)
    index = link if isinstance(link, int) else 0
    before = b"" if link_local else _no_link_local()
    if alias:
        before += attribute(ALIAS, alias.encode())
    up = Message(SETLINK, 0, _link(index, up=True) + named)
    return (Message(SETLINK, 0, _link(index) + named + before), up) if before else (up,)


def change_port(index: int, *, hairpin: bool, isolated: bool) -> Message:
    """A bridge's port, by the link's index.

    `hairpin`: what comes in may leave there again. `isolated`: nothing goes to and from other
    ports that are isolated too, only to the bridge itself.
    """
    link = struct.pack("=BxHiII", _AF_BRIDGE, 0, index, 0, 0)
    settings = attribute(_PORT_HAIRPIN, bytes((hairpin,)))
    settings += attribute(_PORT_ISOLATED, bytes((isolated,)))
    return Message(SETLINK, 0, link + nested(_PORT, settings))


def delete_link(name: str) -> Message:
    """Remove the link `name`, and its peer if it has one."""
    return Message(DELLINK, 0, _link() + text(NAME, name))


class Link:
    """What is asked about a link."""

    def __init__(self, payload: bytes) -> None:
        found = attributes(payload[16:])
        self.index: int = struct.unpack_from("=i", payload, 4)[0]
        self.up = bool(struct.unpack_from("=I", payload, 8)[0] & UP)
        self.name = found.get(NAME, b"").rstrip(b"\0").decode("utf-8", "replace")
        self.alias = found.get(ALIAS, b"").rstrip(b"\0").decode("utf-8", "replace")
        self.mtu = _number(found.get(MTU))
        self.master = _number(found.get(MASTER))
        information = attributes(found.get(LINK_INFO, b""))
        self.kind = information.get(_INFO_KIND, b"").rstrip(b"\0").decode("utf-8", "replace")


def _number(value: bytes | None) -> int:
    return struct.unpack("=I", value)[0] if value else 0


def find_link(netlink: Netlink, name: str) -> Link | None:
    """The link `name`, or None."""
    try:
        answers = netlink.ask(Message(GETLINK, 0, _link() + text(NAME, name)))
    except OSError as error:
        if error.errno == 19:  # ENODEV
            return None
        raise
    return Link(answers[0][1]) if answers else None


def links(netlink: Netlink, *, master: int = 0) -> list[Link]:
    """All links, or those at the bridge `master`."""
    payload = _link() + (number(MASTER, master) if master else b"")
    found = [Link(payload) for _, payload in netlink.ask(Message(GETLINK, DUMP, payload))]
    return [link for link in found if not master or link.master == master]


# -- addresses and routes


def add_address(index: int, address: bytes, prefix: int) -> Message:
    """An address (4 or 16 bytes) of a link, with its network's prefix length."""
    family = INET if len(address) == 4 else INET6
    flags = 0 if family == INET else _NODAD  # nobody else has it: it was given out once
    payload = struct.pack("=BBBBI", family, prefix, flags, _UNIVERSE, index)
    payload += attribute(_LOCAL, address) + attribute(1, address)
    if family == INET and prefix < 31:
        whole = int.from_bytes(address, "big") | ((1 << (32 - prefix)) - 1)
        payload += attribute(_BROADCAST, whole.to_bytes(4, "big"))
    return Message(NEWADDR, CREATE | REPLACE, payload)


def add_route(index: int, gateway: bytes | None, family: int = INET, metric: int = 0) -> Message:
    """The default route by way of `gateway`, or simply out of the link."""
    family = family if gateway is None else INET if len(gateway) == 4 else INET6
    scope = _UNIVERSE if gateway else _LINK_SCOPE
    payload = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _MAIN, _BOOT, scope, _UNICAST, 0) + number(
        _OIF, index
    )
    if gateway is not None:
        payload += attribute(_GATEWAY, gateway)
    if metric:
        payload += number(_PRIORITY, metric)
    return Message(NEWROUTE, CREATE | REPLACE, payload)


def delete_default_route(family: int) -> Message:
    """Remove the default route of the main table."""
    payload = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _MAIN, 0, 255, 0, 0)
    return Message(DELROUTE, 0, payload)


class Route:
    """A route of the main table: where to, as (address, prefix length), and by which link."""

    def __init__(self, payload: bytes) -> None:
        self.family, self.prefix = payload[0], payload[1]
        self.kind = payload[7]
        found = attributes(payload[12:])
        size = 4 if self.family == INET else 16
        self.table = _number(found.get(_TABLE)) or payload[4]
        self.destination = found.get(_DESTINATION, bytes(size))
        self.gateway = found.get(_GATEWAY)
        self.index = _number(found.get(_OIF))


def routes(netlink: Netlink, family: int) -> list[Route]:
    """The unicast routes of the main table."""
    payload = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)
    found = [Route(payload) for _, payload in netlink.ask(Message(GETROUTE, DUMP, payload))]
    return [route for route in found if route.table == _MAIN and route.kind == _UNICAST]
