"""Ports of this host, held for a container by sockets that are bound and do nothing else.

As long as they are there no other program can listen on the port, and nobody else publish it.
"""

from __future__ import annotations

import _socket
from errno import EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT

from proa.errors import Conflict, InvalidArgument, KernelError
from proa.lean.record import record
from proa.network.address import packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ANY4, _ANY6 = "0.0.0.0", "::"  # noqa: S104 - what is published is to be reached
_ATTEMPTS = 64


@record
class Wanted:
    """A port to be published."""

    port: int
    """the container's"""
    protocol: str
    address: str = ""
    """of the host; empty: any"""
    first: int = 0
    """the host's port, or the first of those to choose from; 0: any"""
    last: int = 0


@record
class Held:
    """A port of the host that is held."""

    port: int
    """the container's"""
    protocol: str
    address: str
    host_port: int


class Ports:
    """The ports held for one container."""

    def __init__(self) -> None:
        self._sockets: list[_socket.socket | None] = []
        self.held: list[Held] = []

    def take(self, wanted: Sequence[Wanted], *, families: Sequence[int]) -> None:
        """Hold all of them, or none. `families`: 4 and 6, as far as the container has addresses.

        Raises Conflict for a port that is in use, InvalidArgument.
        """
        try:
            for item in wanted:
                self._take(item, families)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let them go."""
        self.held = []
        while self._sockets:
            if (socket := self._sockets.pop()) is not None:
                socket.close()

    def listen(self) -> list[tuple[int, Held]]:
        """Have the sockets take connections; the descriptors. Raises Conflict."""
        found = []
        for socket, item in zip(self._sockets, self.held, strict=True):
            if socket is None:
                raise InvalidArgument(
                    f"port {item.port}/{item.protocol} cannot be published by a proxy; leave"
                    " proa.publish=proxied away"
                )
            if item.protocol == "tcp":
                # its connections inherit this: when it is gone, what lingers of them in TIME_WAIT
                # keeps nobody from the port; as long as it listens, nobody else can have it
                socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
                try:
                    socket.listen(128)
                except OSError as error:
                    raise Conflict(
                        f"bind for {item.address}:{item.host_port} failed: port is already"
                        f" allocated ({error.strerror})"
                    ) from None
            found.append((socket.fileno(), item))
        return found

    def _take(self, item: Wanted, families: Sequence[int]) -> None:
        if item.address:
            family = 6 if ":" in item.address else 4
            if family not in families:
                raise InvalidArgument(
                    f"cannot publish port {item.port} on {item.address}: the container has no"
                    f" IPv{family} address; its network has to be made with"
                    f" {'--ipv6' if family == 6 else '--ipv4'}"
                )
            addresses = [item.address]
        else:
            addresses = [{4: _ANY4, 6: _ANY6}[family] for family in families]
        numbers: Sequence[int] = range(item.first, (item.last or item.first) + 1)
        if not item.first:
            numbers = (0,) * _ATTEMPTS
        for number in numbers:
            try:
                self._bind(item, addresses, number)
            except OSError as error:
                if error.errno == EADDRINUSE and number != numbers[-1]:
                    continue
                raise _explained(error, item, addresses[0], number) from None
            return

    def _bind(self, item: Wanted, addresses: Sequence[str], number: int) -> None:
        """The same number on all of the addresses."""
        sockets: list[_socket.socket | None] = []
        try:
            for address in addresses:
                socket = _bound(item.protocol, address, number)
                sockets.append(socket)
                if socket is not None:
                    number = int(socket.getsockname()[1])
                elif not number:
                    number = 32768 + len(self.held)  # this kernel cannot tell which is free
        except BaseException:
            for socket in sockets:
                if socket is not None:
                    socket.close()
            raise
        self._sockets += sockets
        self.held += [Held(item.port, item.protocol, address, number) for address in addresses]


def _bound(protocol: str, address: str, number: int) -> _socket.socket | None:
    """A socket at that port; None where this kernel has no sockets of the protocol (SCTP)."""
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    kind = _socket.SOCK_DGRAM if protocol == "udp" else _socket.SOCK_STREAM
    try:
        socket = _socket.socket(
            family, kind | _socket.SOCK_CLOEXEC, 132 if protocol == "sctp" else 0
        )
    except OSError as error:
        if error.errno in (EPROTONOSUPPORT, ESOCKTNOSUPPORT, EAFNOSUPPORT):
            return None
        raise
    try:
        if family == _socket.AF_INET6:
            socket.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        if protocol == "udp":
            socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, 1)
        try:
            socket.bind((address, number))
        except OSError as error:
            if error.errno != EADDRINUSE or protocol != "tcp":
                raise
            # connections of a server that was here before may linger in TIME_WAIT: with this they
            # are no hindrance, and a server that listens still is
            socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            socket.bind((address, number))
            socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 0)
    except BaseException:
        socket.close()
        raise
    return socket


def _explained(error: OSError, item: Wanted, address: str, number: int) -> Exception:
    shown = f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
    if error.errno == EADDRINUSE:
        return Conflict(f"bind for {shown} failed: port is already allocated; publish another port")
    if error.errno == EADDRNOTAVAIL:
        return InvalidArgument(f"cannot publish {shown}: this host has no address {address}")
    return KernelError(f"cannot publish {shown}/{item.protocol}: {error.strerror}")


def host_bytes(address: str) -> bytes:
    """The address as the rules have it: all zero for any."""
    return packed(address)
