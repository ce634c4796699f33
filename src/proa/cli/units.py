"""Sizes and times for people, as github.com/docker/go-units writes them."""

from __future__ import annotations

import time

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


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


def local_time(moment: int) -> str:
    """A moment as Go prints times: `2026-01-31 12:00:00 +0100 CET`."""
    at = time.localtime(moment // 1_000_000_000)
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", at)
