"""Network interfaces by ioctl: netdevice(7). What needs more than flags is done by netlink."""

from __future__ import annotations

import _socket
import fcntl
import struct

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def set_up(name: str) -> None:
    """Bring the interface `name` of this network namespace up. Raises OSError.

    Loopback gets 127.0.0.1 and ::1 from the kernel by that.
    """
    socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        request = struct.pack("16sh14x", name.encode(), 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(socket.fileno(), _SIOCGIFFLAGS, request))
        if not flags & _IFF_UP:
            request = struct.pack("16sh14x", name.encode(), flags | _IFF_UP)
            fcntl.ioctl(socket.fileno(), _SIOCSIFFLAGS, request)
    finally:
        socket.close()
