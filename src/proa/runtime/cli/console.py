"""Hands a terminal to who asked for it with --console-socket."""

from __future__ import annotations

import _socket
import posix
import struct

from proa.errors import Unavailable


def send_terminal(path: str, master: int) -> None:
    """Send the terminal's master over the stream socket at `path`, as runc does, and close it.

    Raises Unavailable.
    """
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        socket.connect(path)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", master))
        socket.sendmsg([b"/dev/ptmx"], [rights])
    except OSError as error:
        raise Unavailable(
            f"nobody takes the terminal at {path} ({(error.strerror or '').lower()})"
        ) from None
    finally:
        socket.close()
        posix.close(master)
