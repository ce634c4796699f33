"""Durations as Go writes them: `1m30s`."""

from __future__ import annotations

import re

from proa.errors import InvalidArgument

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST = 2**63 - 1


def parse_duration(text: str) -> int:
    """The duration in nanoseconds. Raises InvalidArgument."""
    if text == "0":
        return 0
    negative = text[:1] == "-"
    rest = text[1:] if text[:1] in ("-", "+") else text
    total, position = 0.0, 0
    for match in _PART.finditer(rest):
        if match.start() != position:
            break
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not rest or position != len(rest) or total > _LONGEST:
        raise InvalidArgument(f"{text[:40]!r} is not a duration such as 1m30s")
    return -int(total) if negative else int(total)
