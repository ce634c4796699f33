"""Limits that are more than a number, and the restart policy."""

from __future__ import annotations

from proa.cli.flags import UsageError
from proa.engine.config import RestartPolicy, Ulimit
from proa.monitor.restart import LIMITED, POLICIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_ULIMITS = frozenset(
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending "
    "stack".split()
)
"""The names that setrlimit(2) has, as Docker accepts them."""


def ulimits(values: Values) -> dict[str, Any]:
    """`--ulimit name=soft[:hard]`. Raises UsageError."""
    found: dict[str, Ulimit] = {}
    for text in values.texts("ulimit"):
        limit = _ulimit(text)
        found[limit.name] = limit
    return {"ulimits": tuple(found.values())}


def _ulimit(text: str) -> Ulimit:
    def wrong(why: str) -> UsageError:
        return UsageError(f'invalid argument "{text}" for "--ulimit" flag: {why}')

    name, equals, limits = text.partition("=")
    if not equals:
        raise wrong("expected NAME=SOFT[:HARD]")
    if name not in _ULIMITS:
        raise wrong(f"invalid ulimit type: {name}; one of {', '.join(sorted(_ULIMITS))}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise wrong("too many limit value arguments, at most two: SOFT[:HARD]")
    numbers = []
    for part in parts:
        body = part.removeprefix("-")
        if not (body.isascii() and body.isdigit()):
            raise wrong(f"'{part}' is not a whole number")
        number = int(part)
        if number < -1 or number >= 1 << 63:
            raise wrong(f"'{part}' is out of range")
        numbers.append(number)
    soft, hard = numbers[0], numbers[-1]
    if hard != -1 and (soft == -1 or soft > hard):
        raise wrong(f"soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return Ulimit(name, soft, hard)


def restart(values: Values) -> dict[str, Any]:
    """`--restart`. Raises UsageError."""
    text = values.text("restart")

    def wrong(why: str) -> UsageError:
        return UsageError(f'invalid argument "{text}" for "--restart" flag: {why}')

    name, colon, count = text.partition(":")
    if name and name not in POLICIES:
        raise wrong("use no, always, unless-stopped, on-failure[:N] or on-unhealthy[:N]")
    retries = 0
    if colon:
        if name not in LIMITED:
            raise wrong(f"maximum retry count cannot be used with restart policy '{name}'")
        if not (count.isascii() and count.isdigit()):
            raise wrong("maximum retry count must be a whole number from 0 on")
        retries = int(count)
    return {"restart": RestartPolicy(name or "no", retries)}


def swappiness(values: Values) -> dict[str, Any]:
    """`--memory-swappiness`; -1 leaves it as it is. Raises UsageError."""
    value = values.number("memory-swappiness")
    if value is None or value == -1:
        return {}
    if not 0 <= value <= 100:
        raise UsageError(f"invalid value: {value}. valid memory swappiness range is 0-100")
    return {"memory_swappiness": value}
