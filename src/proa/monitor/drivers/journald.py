"""The log driver `journald`: datagrams of systemd's native journal protocol.

The protocol is described in systemd's documentation, "Native Journal Protocol"; the fields are
those of Docker's driver.
"""

from __future__ import annotations

import _socket
import fcntl
import posix
import struct

from proa.errors import Unavailable
from proa.lean import clock
from proa.monitor.drivers.remote import RemoteLog, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from proa.monitor.drivers.options import LogOptions
    from proa.monitor.loop import Loop

SOCKET = "/run/systemd/journal/socket"
_PRIORITIES = {"stdout": b"6", "stderr": b"3"}
_LENGTH = struct.Struct("<Q")
_ADD_SEALS, _ALL_SEALS = 1033, 0xF
"""F_ADD_SEALS; F_SEAL_SEAL, SHRINK, GROW, WRITE: fcntl(2)"""


class JournalLog(RemoteLog):
    """Messages that are too large for a datagram go as a sealed file in memory."""

    def _send_large(self, message: bytes) -> None:
        descriptor = posix.memfd_create(
            "journal-entry", posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING
        )
        try:
            view = memoryview(message)
            while view:
                view = view[posix.write(descriptor, view) :]
            fcntl.fcntl(descriptor, _ADD_SEALS, _ALL_SEALS)
            rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor))]
            assert self._socket is not None
            self._socket.sendmsg([b""], rights)
            self._drop_first()
        except OSError:
            super()._send_large(message)
        finally:
            posix.close(descriptor)


def open_journald(
    loop: Loop, options: LogOptions, info: Mapping[str, Any], report: Callable[[str], None]
) -> JournalLog:
    """A log that goes to the journal. Raises Unavailable where there is none."""
    if not posix.access(SOCKET, posix.F_OK):
        raise Unavailable(
            f"journald is not enabled on this host: there is no {SOCKET}; use another --log-driver"
        )
    log = JournalLog(
        loop,
        Target("journald", _socket.SOCK_DGRAM, [(_socket.AF_UNIX, SOCKET)]),
        former(info),
        blocking=options.blocking,
        buffer=options.buffer,
        report=report,
    )
    log.open()
    return log


def former(info: Mapping[str, Any]) -> Callable[[str, bytes, bool], bytes]:
    """What makes an entry of a record; `info`: id, name, image, tag, and attributes by name."""
    id = str(info["id"])
    constant = {
        "CONTAINER_ID": id[:12],
        "CONTAINER_ID_FULL": id,
        "CONTAINER_NAME": info["name"],
        "CONTAINER_TAG": info["tag"],
        "IMAGE_NAME": info["image"],
        "SYSLOG_IDENTIFIER": info["tag"],
    }
    for name, value in (info.get("attributes") or {}).items():
        if key := _key(name):
            constant.setdefault(key, value)
    head = b"".join(
        _field(name, str(value).encode("utf-8", "surrogateescape"))
        for name, value in constant.items()
    )
    head += _field("CONTAINER_LOG_EPOCH", posix.urandom(16).hex().encode())
    ordinal = 0
    parts: dict[str, tuple[str, int]] = {}
    """stream → id of the line that is not complete, and how many pieces of it there were"""

    def form(stream: str, line: bytes, piece: bool) -> bytes:
        nonlocal ordinal
        ordinal += 1
        fields = [
            head,
            _field("MESSAGE", line),
            _field("PRIORITY", _PRIORITIES[stream]),
            _field("SYSLOG_TIMESTAMP", clock.now().encode()),
            _field("CONTAINER_LOG_ORDINAL", str(ordinal).encode()),
        ]
        if piece or stream in parts:
            whole, count = parts.pop(stream, (posix.urandom(32).hex(), 0))
            if piece:
                parts[stream] = (whole, count + 1)
                fields.append(_field("CONTAINER_PARTIAL_MESSAGE", b"true"))
            fields += [
                _field("CONTAINER_PARTIAL_ID", whole.encode()),
                _field("CONTAINER_PARTIAL_ORDINAL", str(count + 1).encode()),
                _field("CONTAINER_PARTIAL_LAST", b"false" if piece else b"true"),
            ]
        return b"".join(fields)

    return form


def _key(name: str) -> str:
    """A label's name as the journal allows it: capitals, digits, and no underscore first."""
    text = "".join(
        character if character.isascii() and character.isalnum() else "_" for character in name
    )
    return text.upper().lstrip("_0123456789")[:64]


def _field(name: str, value: bytes) -> bytes:
    key = name.encode()
    if b"\n" not in value:
        return key + b"=" + value + b"\n"
    return key + b"\n" + _LENGTH.pack(len(value)) + value + b"\n"
