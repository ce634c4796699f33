"""When a container that ended is started again, and how long that waits."""

from __future__ import annotations

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
STEADY = 10.0
"""A container that ran this many seconds is taken to have been well: delays begin anew."""


def wanted(policy: str, maximum: int, exit_code: int, count: int, stopped: bool) -> bool:
    """Whether the container is to be started again.

    `policy`: no, always, unless-stopped, on-failure; `maximum`: how often on-failure may, 0
    without end; `count`: how often it was restarted already; `stopped`: someone asked for the
    end.
    """
    if stopped or policy == "no":
        return False
    if policy == "on-failure":
        return exit_code != 0 and (maximum == 0 or count < maximum)
    return True


def next_delay(delay: float, ran: float) -> float:
    """Seconds to wait before the next start, after one that waited `delay` and ran `ran`."""
    if ran >= STEADY or delay == 0:
        return FIRST_DELAY
    return min(delay * 2, LONGEST_DELAY)
