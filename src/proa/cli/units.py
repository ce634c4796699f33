"""Sizes and times for people, as github.com/docker/go-units writes them."""

from __future__ import annotations

import time

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def decimal_size(size: int, digits: int = 3) -> str:
    """A size with powers of 1000 and `digits` significant digits: `4.26MB`."""
    return _scaled(size, 1000, _DECIMAL, digits)


def binary_size(size: int) -> str:
    """A size with powers of 1024 and four significant digits: `7.758GiB`."""
    return _scaled(size, 1024, _BINARY, 4)


def _scaled(size: int, base: int, units: tuple[str, ...], digits: int) -> str:
    value = float(size)
    index = 0
    # 999,999 is 1MB, not 1e+03kB: what would be rounded up to the base takes the next unit
    while index + 1 < len(units) and float(f"{value:.{digits}g}") >= base:
        value /= base
        index += 1
    text = f"{value:.{digits}g}"
    if "e" in text:
        text = f"{value:.0f}"
    return text + units[index]


def human_duration(nanoseconds: int) -> str:
    """About how long: `3 minutes`, `About an hour`, `2 weeks`."""
    seconds = nanoseconds // 1_000_000_000
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < _MINUTE:
        return f"{seconds} seconds"
    minutes = seconds // _MINUTE
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(nanoseconds / 3_600_000_000_000 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{seconds // _HOUR // 24 // 365} years"


def ago(moment: int, now: int) -> str:
    """How long before `now` the `moment` was, both in nanoseconds since 1970."""
    return f"{human_duration(now - moment)} ago"


def local_time(moment: int) -> str:
    """A moment as Go prints times: `2026-01-31 12:00:00 +0100 CET`."""
    at = time.localtime(moment // 1_000_000_000)
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", at)
