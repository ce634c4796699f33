"""Addresses and subnets, of IPv4 and IPv6 alike: bytes of 4 or 16.

`import ipaddress` costs 7 ms, more than a container's network.
"""

from __future__ import annotations

import _socket

from proa.errors import InvalidArgument
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def packed(text: str) -> bytes:
    """The bytes of an address. Raises InvalidArgument."""
    family = _socket.AF_INET6 if ":" in text else _socket.AF_INET
    try:
        return _socket.inet_pton(family, text)
    except (OSError, ValueError):
        raise InvalidArgument(f"{text!r} is no IPv4 or IPv6 address") from None


def unpacked(address: bytes) -> str:
    """The text of an address."""
    family = _socket.AF_INET if len(address) == 4 else _socket.AF_INET6
    return _socket.inet_ntop(family, address)


@record
class Subnet:
    """A range of addresses with a common beginning."""

    network: bytes
    """the first address"""
    prefix: int
    """length of the common beginning, in bits"""

    def __str__(self) -> str:
        return f"{unpacked(self.network)}/{self.prefix}"

    @property
    def bits(self) -> int:
        """32 or 128."""
        return len(self.network) * 8

    @property
    def size(self) -> int:
        """How many addresses there are."""
        return 1 << (self.bits - self.prefix)

    @property
    def first(self) -> int:
        """The first address as a number."""
        return int.from_bytes(self.network, "big")

    @property
    def last(self) -> int:
        """The last address as a number."""
        return self.first + self.size - 1

    @property
    def usable(self) -> tuple[int, int]:
        """The first and last address that hosts may have.

        The network's own and the broadcast address are none; of two addresses both are: RFC 3021.
        """
        if self.size <= 2:
            return self.first, self.last
        return self.first + 1, self.last - (1 if self.bits == 32 else 0)

    def at(self, number: int) -> bytes:
        """The bytes of an address that is given as a number."""
        return number.to_bytes(len(self.network), "big")

    def contains(self, address: bytes) -> bool:
        """Whether the address is in it."""
        if len(address) != len(self.network):
            return False
        return self.first <= int.from_bytes(address, "big") <= self.last

    def overlaps(self, other: Subnet) -> bool:
        """Whether there is an address in both."""
        if self.bits != other.bits:
            return False
        return self.first <= other.last and other.first <= self.last


def subnet(text: str, *, exact: bool = False) -> Subnet:
    """The subnet `172.17.0.0/16`; of an address within it unless `exact`.

    Raises InvalidArgument.
    """
    address, slash, length = text.partition("/")
    data = packed(address)
    bits = len(data) * 8
    if not slash:
        length = str(bits)
    if not (length.isascii() and length.isdigit() and int(length) <= bits):
        raise InvalidArgument(f"{text!r} is no subnet: write it as 172.30.0.0/16 or fd00::/64")
    prefix = int(length)
    number = int.from_bytes(data, "big")
    first = number >> (bits - prefix) << (bits - prefix)
    if exact and first != number:
        found = Subnet(first.to_bytes(len(data), "big"), prefix)
        raise InvalidArgument(f"invalid subnet {text}: it should be {found}")
    return Subnet(first.to_bytes(len(data), "big"), prefix)


def free_address(within: Subnet, taken: Iterable[bytes], subnet: Subnet) -> bytes | None:
    """The lowest address of `within` that a host of `subnet` may have and nobody has; or None.

    `taken`: in any order.
    """
    low, high = subnet.usable
    at = max(low, within.first)
    high = min(high, within.last)
    for address in sorted(taken):
        number = int.from_bytes(address, "big")
        if number > at:
            break
        if number == at:
            at += 1
    return subnet.at(at) if at <= high else None


def hardware_address(address: bytes) -> bytes:
    """The MAC address for the first IPv4 address of an endpoint, as Docker makes it: 02:42:….

    An address that is given out again keeps its MAC address, so nobody's ARP table is wrong then.
    Of an IPv6 address the last four bytes are taken.
    """
    return b"\x02\x42" + address[-4:]


def mac_text(address: bytes) -> str:
    """`02:42:ac:11:00:02`."""
    return address.hex(":")


def mac_bytes(text: str) -> bytes:
    """The bytes of a MAC address. Raises InvalidArgument."""
    parts = text.replace("-", ":").split(":")
    try:
        found = bytes(int(part, 16) for part in parts if len(part) == 2)
    except ValueError:
        found = b""
    if len(found) != 6 or len(parts) != 6:
        raise InvalidArgument(f"{text} is not a valid mac address; write it as 02:42:ac:11:00:02")
    return found
