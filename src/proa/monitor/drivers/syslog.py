"""The log driver `syslog`: RFC 3164 and 5424, to this machine's daemon or another's.

Formats and defaults are those of Docker's driver. Over a stream a line end separates messages
(RFC 6587, 3.4.2).
"""

from __future__ import annotations

import _socket
import posix
import time

from proa.errors import Unavailable
from proa.lean import clock
from proa.monitor.drivers.remote import RemoteLog, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from proa.monitor.drivers.options import LogOptions
    from proa.monitor.loop import Loop

_SEVERITIES = {"stdout": 6, "stderr": 3}
"""Informational, error."""
_OWN = ("/dev/log", "/var/run/syslog", "/var/run/log")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def open_syslog(
    loop: Loop, options: LogOptions, info: Mapping[str, Any], report: Callable[[str], None]
) -> RemoteLog:
    """A log that goes to syslog. Raises Unavailable where nobody can be reached."""
    target = find_target(options.address)
    log = RemoteLog(
        loop,
        target,
        former(options, str(info["tag"]), stream=target.kind == _socket.SOCK_STREAM),
        blocking=options.blocking,
        buffer=options.buffer,
        report=report,
    )
    log.open()
    return log


def find_target(address: tuple[str, str, int] | None) -> Target:
    """Where that is. Raises Unavailable for a host without an address."""
    if address is None:
        path = next((path for path in _OWN if posix.access(path, posix.F_OK)), _OWN[0])
        return Target(path, _socket.SOCK_DGRAM, [(_socket.AF_UNIX, path)])
    transport, place, port = address
    name = f"{transport}://{place}" + (f":{port}" if port else "")
    if transport == "unix":
        return Target(name, _unix_kind(place), [(_socket.AF_UNIX, place)])
    if transport == "unixgram":
        return Target(name, _socket.SOCK_DGRAM, [(_socket.AF_UNIX, place)])
    kind = _socket.SOCK_DGRAM if transport == "udp" else _socket.SOCK_STREAM
    try:
        found = _socket.getaddrinfo(place, port, 0, kind)
    except OSError as error:
        raise Unavailable(
            f"the log target {name} cannot be reached: {error.strerror or error}"
        ) from None
    return Target(name, kind, [(int(family), where) for family, _, _, _, where in found])


def _unix_kind(path: str) -> int:
    """How the socket there listens; daemons' are of datagrams mostly."""
    with _socket_of(_socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno == 91:  # EPROTOTYPE: connect(2)
                return _socket.SOCK_DGRAM
    return _socket.SOCK_STREAM


class _socket_of:  # noqa: N801 - a context, as `open` is one
    def __init__(self, kind: int) -> None:
        self._socket = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC)

    def __enter__(self) -> _socket.socket:
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def former(options: LogOptions, tag: str, *, stream: bool) -> Callable[[str, bytes, bool], bytes]:
    """What makes a message of a record; `stream`: it has to be told from the next one."""
    host = posix.uname().nodename
    pid = posix.getpid()
    name = tag.replace(" ", "_") or "-"
    end = b"\n" if stream else b""
    own = options.address is None or options.address[0].startswith("unix")

    def head(priority: int) -> str:
        now = time.time_ns()
        if options.format.startswith("rfc5424"):
            moment = clock.from_nanoseconds(now)
            # whole seconds, or millionths of one
            moment = moment[:19] + (moment[19:26] if options.format == "rfc5424micro" else "") + "Z"
            return f"<{priority}>1 {moment} {host} {name} {pid} {name} - "
        at = time.localtime(now // 1_000_000_000)
        clock_time = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
        moment = f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2} {clock_time}"
        # a daemon of this machine knows the host
        where = "" if own and not options.format else f"{host} "
        return f"<{priority}>{moment} {where}{tag}[{pid}]: "

    def form(source: str, line: bytes, _piece: bool) -> bytes:
        priority = options.facility << 3 | _SEVERITIES[source]
        return head(priority).encode("utf-8", "replace") + line + end

    return form
