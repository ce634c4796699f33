"""Moments as people type them."""

from __future__ import annotations

import time

from proa.lean import clock


def parse_time(text: str) -> int:
    """RFC 3339 or a beginning of it (`2026-01-31`, `2026-01-31T12:30`), local where no zone is
    said, as nanoseconds since 1970. Raises ValueError.
    """
    day, separator, rest = text.partition("T")
    body, zone = rest, ""
    if rest[-1:] in ("Z", "z"):
        body, zone = rest[:-1], "Z"
    elif len(rest) > 6 and rest[-6] in "+-":
        body, zone = rest[:-6], rest[-6:]
    elif not separator and day[-1:] in ("Z", "z"):
        day, zone = day[:-1], "Z"
    if len(body) in (2, 5):
        body += ":00" * (2 if len(body) == 2 else 1)
    elif not body and not separator:
        body = "00:00:00"
    if zone:
        return clock.to_nanoseconds(f"{day}T{body}{zone}")
    as_if_utc = clock.to_nanoseconds(f"{day}T{body}Z")
    seconds, fraction = divmod(as_if_utc, 1_000_000_000)
    parts = time.gmtime(seconds)
    local = time.mktime((*parts[:6], 0, 0, -1))
    return int(local) * 1_000_000_000 + fraction
