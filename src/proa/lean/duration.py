"""Spans of time for people, as github.com/docker/go-units writes them."""

from __future__ import annotations

_MINUTE, _HOUR = 60, 3600


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
