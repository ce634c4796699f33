"""Time as Docker and OCI write it (RFC 3339), without `datetime`."""

from __future__ import annotations

import posix
import time

NEVER = "0001-01-01T00:00:00Z"
"""What Docker shows for a time that has not come: Go's zero time."""


def now() -> str:
    """The present moment, UTC, to the nanosecond: `2026-01-31T12:00:00.123456789Z`."""
    return from_nanoseconds(time.time_ns())


def boot_id() -> str:
    """What tells this boot of the machine from all others (random(4))."""
    descriptor = posix.open("/proc/sys/kernel/random/boot_id", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 64).decode().strip()
    finally:
        posix.close(descriptor)


def from_nanoseconds(moment: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 text."""
    seconds, fraction = divmod(moment, 1_000_000_000)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z"


def to_nanoseconds(text: str) -> int:
    """RFC 3339 text (any offset, any number of digits of a second) as nanoseconds since 1970.

    Raises ValueError where `text` is not RFC 3339.
    """
    try:
        if text[4] != "-" or text[7] != "-" or text[10] not in "Tt " or text[13] != ":":
            raise ValueError
        year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
        hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
        rest = text[19:]
        fraction = 0
        if rest[0] == ".":
            digits = rest[1:].rstrip("Zz") if rest[-1] in "Zz" else rest[1:-6]
            rest = rest[1 + len(digits) :]
            fraction = int(digits[:9].ljust(9, "0"))
        offset = 0
        if rest not in ("Z", "z"):
            if len(rest) != 6 or rest[0] not in "+-" or rest[3] != ":":
                raise ValueError
            offset = (int(rest[1:3]) * 60 + int(rest[4:6])) * (60 if rest[0] == "+" else -60)
        days = _days_from_epoch(year, month, day)
    except (IndexError, ValueError):
        raise ValueError(f"not a time in RFC 3339 form: {text!r}") from None
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset
    return seconds * 1_000_000_000 + fraction


def _days_from_epoch(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise ValueError
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468
