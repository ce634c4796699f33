"""nftables by nfnetlink: tables, chains, rules and sets, as messages.

The names are those of nft(8); the numbers those of linux/netfilter/nf_tables.h. Everything that is
sent in one `commit` takes effect at one moment, or not at all.

    rule("filter", "forward", (*iifname("br0"), DROP))

An expression works on registers: what is loaded into REG is compared, looked up or masked there.
"""

from __future__ import annotations

import struct

from proa.kernel.netlink import (
    APPEND,
    CREATE,
    DUMP,
    EXCLUSIVE,
    NETFILTER,
    Message,
    Netlink,
    attribute,
    attributes,
    each_attribute,
    nested,
    text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INET, IPV4, IPV6 = 1, 2, 10
PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = 0, 1, 2, 3, 4
RAW, DSTNAT, FILTER, SRCNAT = -300, -100, 0, 100

_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWTABLE, _DELTABLE, _NEWCHAIN, _GETCHAIN = 0, 2, 3, 4
_NEWRULE, _GETRULE, _DELRULE = 6, 7, 8
_NEWSET, _NEWSETELEM, _GETSETELEM, _DELSETELEM = 9, 12, 13, 14

# types of keys as nft(8) numbers them: it shows sets by them
ADDRESS4, ADDRESS6, PROTOCOL, SERVICE, INTERFACE = 7, 8, 12, 13, 41
SIZES = {ADDRESS4: 4, ADDRESS6: 16, PROTOCOL: 4, SERVICE: 4, INTERFACE: 16}
"""Bytes in a key: each part takes whole registers."""
_INTERVAL, _MAP, _TIMEOUT = 4, 8, 16

REG = 1
"""The first register."""


def _be32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def _message(kind: int, flags: int, family: int, payload: bytes) -> Message:
    return Message(_SUBSYSTEM << 8 | kind, flags, struct.pack(">BBH", family, 0, 0) + payload)


def connect() -> Netlink:
    """A socket for what follows.

    To close it after something was removed takes as long as the kernel's RCU does, 10 to 30 ms:
    close it when nobody waits.
    """
    return Netlink(NETFILTER)


def commit(netlink: Netlink, messages: Sequence[Message]) -> None:
    """Do all of `messages` at once, or nothing. Raises OSError where one is refused."""
    frame = struct.pack(">BBH", 0, 0, _SUBSYSTEM)
    netlink.do_batch(Message(_BATCH_BEGIN, 0, frame), messages, Message(_BATCH_END, 0, frame))


# -- what there is


def chain_policy(netlink: Netlink, family: int, table: str, name: str) -> int | None:
    """The policy of a base chain: 0 drop, 1 accept; None where there is no such chain."""
    try:
        answers = netlink.ask(_message(_GETCHAIN, 0, family, text(1, table) + text(3, name)))
    except OSError:
        return None
    for _, payload in answers:
        policy = attributes(payload[4:]).get(5)
        return int.from_bytes(policy, "big") if policy else None
    return None


def rules(netlink: Netlink, family: int, table: str, chain: str) -> list[tuple[int, str]]:
    """(handle, comment) of the rules of a chain; nothing where there is no such chain."""
    request = _message(_GETRULE, DUMP, family, text(1, table) + text(2, chain))
    try:
        answers = netlink.ask(request)
    except OSError as error:
        if error.errno == 2:  # ENOENT
            return []
        raise
    found = [attributes(payload[4:]) for _, payload in answers]
    return [(int.from_bytes(rule.get(3, b""), "big"), _comment(rule.get(7, b""))) for rule in found]


class BaseChain:
    """A chain that packets pass at a hook."""

    def __init__(self, payload: bytes) -> None:
        found = attributes(payload[4:])
        hook = attributes(found.get(4, b""))
        self.family = payload[0]
        self.table = found.get(1, b"").rstrip(b"\0").decode("utf-8", "replace")
        self.name = found.get(3, b"").rstrip(b"\0").decode("utf-8", "replace")
        self.kind = found.get(7, b"").rstrip(b"\0").decode("utf-8", "replace")
        self.is_base = 4 in found
        self.hook = int.from_bytes(hook.get(1, b""), "big")
        self.priority = int.from_bytes(hook.get(2, b""), "big", signed=True)
        self.drops = found.get(5) == bytes(4)
        """what no rule decides about"""


def base_chains(netlink: Netlink) -> list[BaseChain]:
    """All base chains of this network namespace, in the order in which packets pass them."""
    answers = netlink.ask(_message(_GETCHAIN, DUMP, 0, b""))
    found = [chain for _, payload in answers if (chain := BaseChain(payload)).is_base]
    return sorted(found, key=lambda chain: chain.priority)


class Element:
    """An element of a set or map."""

    def __init__(
        self, key: bytes, value: bytes = b"", comment: str = "", *, end: bool = False
    ) -> None:
        """`end`: it is the first key behind a range."""
        self.key = key
        self.end = end
        self.value = value
        self.comment = comment


def elements(netlink: Netlink, family: int, table: str, name: str) -> list[Element]:
    """What is in a set; nothing where there is no such set."""
    request = _message(_GETSETELEM, DUMP, family, text(1, table) + text(2, name))
    try:
        answers = netlink.ask(request)
    except OSError as error:
        if error.errno == 2:  # ENOENT
            return []
        raise
    found = []
    for _, payload in answers:
        for kind, items in each_attribute(payload[4:]):
            if kind != 3:
                continue
            for _, item in each_attribute(items):
                parts = attributes(item)
                key = attributes(parts.get(1, b"")).get(1, b"")
                value = attributes(parts.get(2, b"")).get(1, b"")
                found.append(Element(key, value, _comment(parts.get(6, b""))))
    return found


def _userdata(comment: str) -> bytes:
    words = comment.encode()[:126] + b"\0"
    return bytes((0, len(words))) + words


def _comment(userdata: bytes) -> str:
    """The text of nft's type-length-value pairs (type 0: comment)."""
    if len(userdata) < 2 or userdata[0] != 0:
        return ""
    return userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode("utf-8", "replace")


# -- tables, chains, sets


def add_table(family: int, name: str) -> Message:
    """A table; no error where there is one."""
    return _message(_NEWTABLE, CREATE, family, text(1, name))


def delete_table(family: int, name: str) -> Message:
    """Remove a table with all that is in it."""
    return _message(_DELTABLE, 0, family, text(1, name))


def add_chain(family: int, table: str, name: str) -> Message:
    """A chain that others jump to."""
    return _message(_NEWCHAIN, CREATE | EXCLUSIVE, family, text(1, table) + text(3, name))


def add_base_chain(
    family: int, table: str, name: str, kind: str, hook: int, priority: int
) -> Message:
    """A chain that packets pass at `hook`; `kind`: filter, nat, route. Its policy is accept."""
    payload = (
        text(1, table)
        + text(3, name)
        + nested(4, _be32(1, hook), _be32(2, priority))
        + _be32(5, 1)
        + text(7, kind)
    )
    return _message(_NEWCHAIN, CREATE | EXCLUSIVE, family, payload)


def add_rule(family: int, table: str, chain: str, expressions: Iterable[bytes]) -> Message:
    """A rule at the end of a chain."""
    payload = text(1, table) + text(2, chain) + nested(4, *expressions)
    return _message(_NEWRULE, CREATE | APPEND, family, payload)


def insert_rule(
    family: int, table: str, chain: str, expressions: Iterable[bytes], comment: str
) -> Message:
    """A rule at the beginning of a chain; `comment` tells whose it is."""
    payload = (
        text(1, table) + text(2, chain) + nested(4, *expressions) + attribute(7, _userdata(comment))
    )
    return _message(_NEWRULE, CREATE, family, payload)


def delete_rule(family: int, table: str, chain: str, handle: int) -> Message:
    """Remove the rule of that number."""
    payload = text(1, table) + text(2, chain) + attribute(3, struct.pack(">Q", handle))
    return _message(_DELRULE, 0, family, payload)


def add_set(
    family: int,
    table: str,
    name: str,
    key: Sequence[int],
    value: Sequence[int] = (),
    *,
    number: int,
    timeout: bool = False,
    ranges: bool = False,
) -> Message:
    """A set of keys of the types `key`; with `value` a map. `number`: unique in the commit.

    `timeout`: elements may go away by themselves. `ranges`: elements are ranges, each given as
    its first key and the first one behind it.
    """
    flags = (_MAP if value else 0) | (_TIMEOUT if timeout else 0) | (_INTERVAL if ranges else 0)
    payload = (
        text(1, table)
        + text(2, name)
        + _be32(3, flags)
        + _be32(4, _type(key))
        + _be32(5, sum(SIZES[kind] for kind in key) if len(key) > 1 else _size(key[0]))
        + _be32(10, number)
    )
    if value:
        payload += _be32(6, _type(value))
        payload += _be32(7, sum(SIZES[kind] for kind in value))
    if tuple(key) == (INTERFACE,):
        # for nft(8), which could not show them otherwise: the key's bytes are in the host's order
        payload += attribute(13, bytes((0, 4)) + struct.pack("=I", 1))
    return _message(_NEWSET, CREATE | EXCLUSIVE, family, payload)


def _size(kind: int) -> int:
    return {PROTOCOL: 1, SERVICE: 2}.get(kind, SIZES[kind])


def _type(kinds: Sequence[int]) -> int:
    """Several types as one number: six bits each, as nft(8) has them."""
    found = 0
    for kind in kinds:
        found = found << 6 | kind
    return found


def add_elements(family: int, table: str, name: str, items: Iterable[Element]) -> Message:
    """Elements of a set; EEXIST where a key of a map is there with another value."""
    return _elements(_NEWSETELEM, CREATE, family, table, name, items)


def delete_elements(family: int, table: str, name: str, items: Iterable[Element]) -> Message:
    """Remove elements; ENOENT where one is not there."""
    return _elements(_DELSETELEM, 0, family, table, name, items)


def _elements(
    kind: int, flags: int, family: int, table: str, name: str, items: Iterable[Element]
) -> Message:
    listed = []
    for item in items:
        parts = nested(1, attribute(1, item.key))
        if item.end:
            parts += _be32(3, 1)
        if kind == _NEWSETELEM and item.value:
            parts += nested(2, attribute(1, item.value))
        if kind == _NEWSETELEM and item.comment:
            parts += attribute(6, _userdata(item.comment))
        listed.append(nested(1, parts))
    return _message(kind, flags, family, text(1, table) + text(2, name) + nested(3, *listed))


def add_temporary(
    family: int, table: str, name: str, keys: Iterable[bytes], seconds: int
) -> Message:
    """Elements that go away by themselves."""
    end = attribute(4, struct.pack(">Q", seconds * 1000))
    listed = [nested(1, nested(1, attribute(1, key)) + end) for key in keys]
    payload = text(1, table) + text(2, name) + nested(3, *listed)
    return _message(_NEWSETELEM, CREATE, family, payload)


def interface(name: str) -> bytes:
    """A key: the name of an interface."""
    return name.encode().ljust(16, b"\0")


# -- expressions


def _expression(name: str, *parts: bytes) -> bytes:
    return nested(1, text(1, name) + nested(2, *parts))


def _meta(key: int, register: int = REG) -> bytes:
    return _expression("meta", _be32(1, register), _be32(2, key))


def _compare(value: bytes, *, equal: bool = True, register: int = REG) -> bytes:
    return _expression(
        "cmp", _be32(1, register), _be32(2, 0 if equal else 1), nested(3, attribute(1, value))
    )


def _in(name: str, *, inside: bool = True) -> bytes:
    return _expression("lookup", text(1, name), _be32(2, REG), _be32(5, 0 if inside else 1))


def _payload(base: int, offset: int, size: int, register: int = REG) -> bytes:
    return _expression(
        "payload", _be32(1, register), _be32(2, base), _be32(3, offset), _be32(4, size)
    )


def _masked(mask: bytes) -> bytes:
    return _expression(
        "bitwise",
        *(_be32(1, REG), _be32(2, REG), _be32(3, len(mask))),
        nested(4, attribute(1, mask)),
        nested(5, attribute(1, bytes(len(mask)))),
    )


def iifname_in(name: str, *, inside: bool = True) -> tuple[bytes, ...]:
    """The packet came in by an interface of the set."""
    return (_meta(6), _in(name, inside=inside))


def oifname_in(name: str, *, inside: bool = True) -> tuple[bytes, ...]:
    """The packet leaves by an interface of the set."""
    return (_meta(7), _in(name, inside=inside))


def iifname(name: str, *, equal: bool = True) -> tuple[bytes, ...]:
    """The packet came in by this interface."""
    return (_meta(6), _compare(interface(name), equal=equal))


def oifname(name: str, *, equal: bool = True) -> tuple[bytes, ...]:
    """The packet leaves by this interface."""
    return (_meta(7), _compare(interface(name), equal=equal))


def interfaces_in(name: str) -> tuple[bytes, ...]:
    """`iifname . oifname @name`."""
    return (_meta(6, 1), _meta(7, 2), _in(name))


def family_is(family: int) -> tuple[bytes, ...]:
    """`meta nfproto`: IPV4 or IPV6."""
    return (_meta(15), _compare(bytes((family,))))


def protocol_is(protocol: int) -> tuple[bytes, ...]:
    """`meta l4proto`: 6 TCP, 17 UDP, 132 SCTP."""
    return (_meta(16), _compare(bytes((protocol,))))


def source_is(family: int, name: str) -> tuple[bytes, ...]:
    """`ip saddr @name`, or `ip6 saddr @name`."""
    offset, size = (12, 4) if family == IPV4 else (8, 16)
    return (_payload(1, offset, size), _in(name))


def source_in(network: bytes, prefix: int) -> tuple[bytes, ...]:
    """`ip saddr NETWORK/PREFIX`, for IPv4."""
    return _within(12, network, prefix)


def destination_in(network: bytes, prefix: int) -> tuple[bytes, ...]:
    """`ip daddr NETWORK/PREFIX`, for IPv4."""
    return _within(16, network, prefix)


def _within(offset: int, network: bytes, prefix: int) -> tuple[bytes, ...]:
    if prefix % 8 == 0:
        return (_payload(1, offset, prefix // 8), _compare(network[: prefix // 8]))
    mask = (((1 << prefix) - 1) << (32 - prefix)).to_bytes(4, "big")
    return (_payload(1, offset, 4), _masked(mask), _compare(network))


def destination_is_local() -> tuple[bytes, ...]:
    """`fib daddr type local`: the packet is for an address of this host."""
    local = struct.pack("=I", 2)  # RTN_LOCAL
    return (_expression("fib", _be32(1, REG), _be32(2, 3), _be32(3, 2)), _compare(local))


def state_in(bits: int) -> tuple[bytes, ...]:
    """`ct state`: 2 established, 4 related, 8 new; any of `bits`."""
    return (*_connection(0, bits),)


def is_redirected() -> tuple[bytes, ...]:
    """`ct status dnat`: its destination was changed by nat."""
    return (*_connection(2, 0x20),)


def _connection(key: int, bits: int) -> tuple[bytes, ...]:
    load = _expression("ct", _be32(1, REG), _be32(2, key))
    return (
        load,
        _masked(struct.pack("=I", bits)),
        _compare(bytes(4), equal=False),
    )


def redirect(family: int, name: str, *, by_address: bool) -> tuple[bytes, ...]:
    """`dnat to [daddr .] l4proto . dport map @name`: nothing where the map has no such key."""
    ipv4 = family == IPV4
    size = 4 if ipv4 else 16
    first = REG
    expressions: list[bytes] = []
    word = 8  # NFT_REG32_00, the same memory as REG
    if by_address:
        expressions.append(_payload(1, 16 if ipv4 else 24, size, first))
        word += size // 4
    expressions += [_meta(16, word), _payload(2, 2, 2, word + 1)]
    expressions.append(
        _expression("lookup", text(1, name), _be32(2, first if by_address else 8), _be32(3, first))
    )
    expressions.append(
        _expression(
            "nat",
            *(_be32(1, 1), _be32(2, family)),
            *(_be32(3, first), _be32(5, 8 + size // 4)),
        )
    )
    return tuple(expressions)


def rewrite_port(*, source: bool, port: int, protocol: int) -> tuple[bytes, ...]:
    """`th sport set PORT` (or dport), the checksum of TCP or UDP kept right."""
    value = _expression(
        "immediate", _be32(1, REG), nested(2, attribute(1, struct.pack(">H", port)))
    )
    write = _expression(
        "payload",
        *(_be32(5, REG), _be32(2, 2), _be32(3, 0 if source else 2), _be32(4, 2)),
        *(_be32(6, 1), _be32(7, 16 if protocol == 6 else 6), _be32(8, 0)),
    )
    return (value, write)


def port_is(port: int, *, source: bool) -> tuple[bytes, ...]:
    """`th sport PORT` or `th dport PORT`."""
    return (_payload(2, 0 if source else 2, 2), _compare(struct.pack(">H", port)))


def _verdict(code: int, chain: str = "") -> bytes:
    parts = _be32(1, code) + (text(2, chain) if chain else b"")
    return _expression("immediate", _be32(1, 0), nested(2, nested(2, parts)))


DROP = _verdict(0)
ACCEPT = _verdict(1)
RETURN = _verdict(-5)
MASQUERADE = _expression("masq")


def jump(chain: str) -> bytes:
    """Go on in `chain`, and come back."""
    return _verdict(-3, chain)
