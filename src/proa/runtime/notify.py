"""Hands a seccomp listener to the agent that answers for the container: runtime-spec, Seccomp."""

from __future__ import annotations

import _socket
import posix
import struct

from proa.errors import InvalidArgument, Unavailable
from proa.lean import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.runtime.seccomp import Filter


def hand_over(filter: Filter, state: Mapping[str, Any], pid: int, listener: int) -> None:
    """Send `listener`, which is closed, to the socket that the profile names.

    With it goes ContainerProcessState of the runtime-spec. Raises Unavailable.
    """
    try:
        if not filter.listener_path:
            raise InvalidArgument("a seccomp profile with SCMP_ACT_NOTIFY needs a listenerPath")
        message = {
            "ociVersion": state["ociVersion"],
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": filter.listener_metadata or "",
            "state": state,
        }
        socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            socket.connect(filter.listener_path)
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", listener))
            socket.sendmsg([json.dumps(message).encode()], [rights])
        except OSError as error:
            raise Unavailable(
                f"nobody listens for seccomp notifications at {filter.listener_path}"
                f" ({(error.strerror or '').lower()})"
            ) from None
        finally:
            socket.close()
    finally:
        posix.close(listener)
