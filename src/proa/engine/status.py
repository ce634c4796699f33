"""The state of a container in words, as a list shows it."""

from __future__ import annotations

import time

from proa.lean.duration import ago, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.engine.containers import ContainerSummary


def status(item: ContainerSummary, now: int) -> str:
    """The state in words: `Up 5 minutes (Paused)`, `Exited (0) 2 hours ago`."""
    state = item.state
    if state in ("running", "paused"):
        text = f"Up {human_duration(now - _moment(item.started_at))}"
        if state == "paused":
            return f"{text} (Paused)"
        if item.health:
            return f"{text} ({'health: starting' if item.health == 'starting' else item.health})"
        return text
    if state == "restarting":
        return f"Restarting ({item.exit_code}) {ago(_moment(item.finished_at), now)}"
    if state == "removing":
        return "Removal In Progress"
    if state == "created":
        return "Created"
    if state == "dead":
        return "Dead"
    return f"Exited ({item.exit_code}) {ago(_moment(item.finished_at), now)}"


def _moment(text: str) -> int:
    from proa.lean.clock import to_nanoseconds

    return to_nanoseconds(text) if text else time.time_ns()
