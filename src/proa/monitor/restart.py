"""When a container that ended is started again, and how long that waits."""

from __future__ import annotations

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
STEADY = 10.0
"""A container that ran this many seconds is taken to have been well: delays begin anew."""


ON_UNHEALTHY = "on-unhealthy"
"""As on-failure; and a container that its health check finds unhealthy is ended and started
again."""
LIMITED = ("on-failure", ON_UNHEALTHY)
"""The policies that may have a maximum."""
POLICIES = ("no", "always", "unless-stopped", *LIMITED)


def wanted(
    policy: str, maximum: int, exit_code: int, count: int, *, stopped: bool, renewed: bool = False
) -> bool:
    """Whether the container is to be started again.

    `policy`: one of POLICIES; `maximum`: how often those of LIMITED may, 0 without end; `count`:
    how often it was restarted already; `stopped`: someone asked for the end; `renewed`: it was
    ended in order to be started again.
    """
    if stopped:
        return False
    if renewed:
        return True
    if policy in LIMITED:
        return exit_code != 0 and may_again(maximum, count)
    return policy != "no"


def may_again(maximum: int, count: int) -> bool:
    """Whether a policy with that maximum has restarts left."""
    return maximum == 0 or count < maximum


def next_delay(delay: float, ran: float) -> float:
    """Seconds to wait before the next start, after one that waited `delay` and ran `ran`."""
    if ran >= STEADY or delay == 0:
        return FIRST_DELAY
    return min(delay * 2, LONGEST_DELAY)
