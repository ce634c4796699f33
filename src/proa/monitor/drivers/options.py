"""What `--log-driver` and `--log-opt` ask for: names, values and defaults are Docker's.

One default is not: a json-file log is rotated where nobody says how large it may be.
"""

from __future__ import annotations

from proa.errors import InvalidArgument, Unsupported
from proa.lean.record import record
from proa.monitor.log import DEFAULT_MAX_FILES, DEFAULT_MAX_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_DETAILS = ("labels", "labels-regex", "env", "env-regex", "tag")
_FILE = ("max-size", "max-file", "compress")
_SYSLOG = ("syslog-address", "syslog-facility", "syslog-format")
_TLS = (
    *("syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key"),
    "syslog-tls-skip-verify",
)
_COMMON = ("mode", "max-buffer-size")
DRIVERS: dict[str, tuple[str, ...]] = {
    "json-file": (*_FILE, *_DETAILS),
    "local": _FILE,
    "journald": _DETAILS,
    "syslog": (*_SYSLOG, *_TLS, *_DETAILS),
    "none": (),
}
"""The drivers that there are, and which options each has beside those that all have."""
READABLE = ("json-file", "local", "journald")
"""The drivers whose logs can be read back."""
REMOTE = ("journald", "syslog")
"""The drivers that pass the log on to another process."""

FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp - - - - "
    "local0 local1 local2 local3 local4 local5 local6 local7"
).split()
"""By their numbers: RFC 5424, 6.2.1; 12 to 15 have no common name."""
FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
_DAEMON = 3
_SYSLOG_PORT = 514
_LOCAL_SIZE, _LOCAL_FILES = 20 << 20, 5
_BUFFER = 1 << 20


@record
class LogOptions:
    """What a driver is told. Sizes are bytes, -1: without end."""

    driver: str
    max_size: int = DEFAULT_MAX_SIZE
    max_files: int = DEFAULT_MAX_FILES
    compress: bool = False
    """files that are written no more"""
    blocking: bool = True
    """the container waits for a slow target; otherwise lines are lost that find the buffer full"""
    buffer: int = _BUFFER
    address: tuple[str, str, int] | None = None
    """transport (udp, tcp, unix, unixgram), host or path, port; None: the machine's own syslog"""
    facility: int = _DAEMON
    format: str = ""
    tag: str = ""
    """a template; empty: the driver's own"""


def parse(driver: str, options: Mapping[str, str]) -> LogOptions:
    """Raises InvalidArgument for an unknown driver, option or value, Unsupported for TLS."""
    own = DRIVERS.get(driver)
    if own is None:
        raise InvalidArgument(f"unknown log driver {driver}: there are {', '.join(DRIVERS)}")
    known = (*own, *_COMMON)
    for name in options:
        if name not in known:
            raise InvalidArgument(
                f"unknown log opt '{name}' for {driver} log driver; there are {', '.join(known)}"
            )
        if name in _TLS:
            raise Unsupported(
                f"log opt {name}: syslog over TLS is not available; have a syslog daemon of this"
                " machine pass its messages on"
            )
    return LogOptions(
        driver=driver,
        tag=options.get("tag", ""),
        **_mode(options),
        **_files(driver, options),
        **_syslog(options),
    )


def _mode(options: Mapping[str, str]) -> dict[str, Any]:
    mode = options.get("mode") or "blocking"
    if mode not in ("blocking", "non-blocking"):
        raise InvalidArgument(f"log opt mode={mode} is neither blocking nor non-blocking")
    if "max-buffer-size" not in options:
        return {"blocking": mode == "blocking"}
    if mode == "blocking":
        raise InvalidArgument("log opt max-buffer-size is only for mode=non-blocking")
    return {"blocking": False, "buffer": _size("max-buffer-size", options, 1024)}


def _files(driver: str, options: Mapping[str, str]) -> dict[str, Any]:
    if driver not in ("json-file", "local"):
        return {}
    local = driver == "local"
    max_size = _LOCAL_SIZE if local else DEFAULT_MAX_SIZE
    max_files = _LOCAL_FILES if local else DEFAULT_MAX_FILES
    if "max-size" in options:
        # Docker counts in thousands for the one, and in powers of two for the other
        unlimited = options["max-size"] == "-1"
        max_size = -1 if unlimited else _size("max-size", options, 1024 if local else 1000)
    if "max-file" in options:
        text = options["max-file"]
        if not text.isdecimal() or int(text) == 0:
            raise InvalidArgument(f"log opt max-file={text} is not a number from 1 on")
        max_files = int(text)
    rotated = max_files > 1 and max_size > 0
    compress = _boolean("compress", options, default=local and rotated)
    if compress and not rotated:
        raise InvalidArgument(
            "log opt compress cannot be true when max-file is less than 2 or max-size is not set"
        )
    return {"max_size": max_size, "max_files": max_files, "compress": compress}


def _syslog(options: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if address := options.get("syslog-address"):
        found["address"] = _address(address)
    if facility := options.get("syslog-facility"):
        if facility.isdecimal() and int(facility) < len(FACILITIES):
            found["facility"] = int(facility)
        elif facility in FACILITIES and facility != "-":
            found["facility"] = FACILITIES.index(facility)
        else:
            raise InvalidArgument(
                f"log opt syslog-facility={facility}: there are 0 to 23 and"
                f" {', '.join(name for name in FACILITIES if name != '-')}"
            )
    format = options.get("syslog-format", "")
    if format not in FORMATS:
        raise InvalidArgument(
            f"log opt syslog-format={format}: there are {', '.join(filter(None, FORMATS))}"
        )
    found["format"] = format
    return found


def _address(text: str) -> tuple[str, str, int]:
    def wrong(why: str) -> InvalidArgument:
        return InvalidArgument(
            f"log opt syslog-address={text}: {why}; write udp://HOST:PORT, tcp://HOST:PORT or"
            " unix:///PATH"
        )

    transport, separator, rest = text.partition("://")
    if not separator:
        raise wrong("it has no transport")
    if transport == "tcp+tls":
        raise Unsupported(
            f"log opt syslog-address={text}: syslog over TLS is not available; have a syslog"
            " daemon of this machine pass its messages on"
        )
    if transport in ("unix", "unixgram"):
        if not rest.startswith("/"):
            raise wrong("its path is not absolute")
        return transport, rest, 0
    if transport not in ("udp", "tcp"):
        raise wrong(f"{transport} is no transport")
    host, port = rest, ""
    if rest.startswith("["):
        host, _, tail = rest[1:].partition("]")
        port = tail.removeprefix(":")
    elif ":" in rest:
        host, _, port = rest.rpartition(":")
    if not host:
        raise wrong("it names no host")
    if port and not (port.isdecimal() and 0 < int(port) < 1 << 16):
        raise wrong(f"{port} is no port")
    return transport, host, int(port or _SYSLOG_PORT)


def _size(name: str, options: Mapping[str, str], base: int) -> int:
    text = options[name]
    number = text.lower().removesuffix("b").removesuffix("i")
    power = {"k": 1, "m": 2, "g": 3, "t": 4}.get(number[-1:], 0)
    digits = number[:-1] if power else number
    if not digits.isdecimal() or int(digits) == 0:
        raise InvalidArgument(f"log opt {name}={text} is not a size such as 10m")
    size = int(digits)
    for _ in range(power):
        size *= base
    return size


def _boolean(name: str, options: Mapping[str, str], *, default: bool) -> bool:
    text = options.get(name)
    if text is None:
        return default
    if text not in ("true", "false", "1", "0"):
        raise InvalidArgument(f"log opt {name}={text} is neither true nor false")
    return text in ("true", "1")
