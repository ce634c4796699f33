"""The address of a container's name server, 127.0.0.11, and how queries get from port 53 to us.

Port 53 stays free for the container's own programs: we listen on another one, and the number is
replaced in packets on the way. That is done without connection tracking, which would cost all of
the container's packets something.
"""

from __future__ import annotations

import _socket

from proa.kernel import nftables as nft
from proa.kernel.interface import set_up

ADDRESS = "127.0.0.11"
PORT = 53
_TABLE, _CHAIN = "proa", "names"


def listen() -> tuple[_socket.socket, _socket.socket]:
    """Sockets for UDP and TCP in the network namespace that this process is in. Raises OSError.

    Where the kernel has no nftables they have port 53 itself.
    """
    set_up("lo")  # its first process may not have come so far
    udp = tcp = None
    for _ in range(16):
        udp, tcp = _bound(_socket.SOCK_DGRAM, 0), None
        number = int(udp.getsockname()[1])
        try:
            tcp = _bound(_socket.SOCK_STREAM, number)
            break
        except OSError:
            udp.close()  # the number is taken there
    if udp is None or tcp is None:
        raise OSError(98, "no port is free for the name server")
    try:
        _redirect(number)
    except OSError:
        udp.close()
        tcp.close()
        udp, tcp = _bound(_socket.SOCK_DGRAM, PORT), _bound(_socket.SOCK_STREAM, PORT)
    tcp.listen(16)
    return udp, tcp


def _bound(kind: int, number: int) -> _socket.socket:
    socket = _socket.socket(_socket.AF_INET, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        socket.bind((ADDRESS, number))
    except BaseException:
        socket.close()
        raise
    return socket


def _redirect(number: int) -> None:
    """Have what goes to port 53 of the address arrive at `number`, and answers come from 53."""
    address = _socket.inet_aton(ADDRESS)
    family = nft.IPV4
    messages = [
        nft.add_table(family, _TABLE),
        nft.add_base_chain(family, _TABLE, _CHAIN, "filter", nft.OUTPUT, nft.RAW),
    ]
    for protocol in (17, 6):
        there = (
            *nft.destination_in(address, 32),
            *nft.protocol_is(protocol),
            *nft.port_is(PORT, source=False),
            *nft.rewrite_port(source=False, port=number, protocol=protocol),
        )
        back = (
            *nft.source_in(address, 32),
            *nft.protocol_is(protocol),
            *nft.port_is(number, source=True),
            *nft.rewrite_port(source=True, port=PORT, protocol=protocol),
        )
        messages += [nft.add_rule(family, _TABLE, _CHAIN, rule) for rule in (there, back)]
    netlink = nft.connect()
    try:
        nft.commit(netlink, messages)
    finally:
        netlink.close()
