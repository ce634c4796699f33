"""The health check of a container: what user and image say of it, as a monitor takes it."""

from __future__ import annotations

from proa.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.engine.config import Healthcheck, RestartPolicy
    from proa.engine.process import Process

_SECOND = 1_000_000_000
_LEAST = 1_000_000
"""Nanoseconds: a time that is said is not below a millisecond, as with Docker."""
_TIMES = ("Interval", "Timeout", "StartPeriod", "StartInterval")
_INTERVAL, _TIMEOUT, _START_INTERVAL, _RETRIES = 30.0, 30.0, 5.0, 3
"""Docker's, where nothing is said."""
_SHELL = ("/bin/sh", "-c")


def merged(own: Healthcheck, image: Any) -> dict[str, Any]:
    """What the user said, in Docker's names; what that leaves open is as the image has it."""
    found: dict[str, Any] = {
        "Test": list(own.test),
        "Interval": own.interval,
        "Timeout": own.timeout,
        "StartPeriod": own.start_period,
        "StartInterval": own.start_interval,
        "Retries": own.retries,
    }
    theirs = image if isinstance(image, dict) else {}
    merged = {name: value or theirs.get(name) for name, value in found.items()}
    return {name: value for name, value in merged.items() if value}


def plan(process: Process) -> dict[str, Any] | None:
    """What the monitor is told (see monitor.health.Health); None where nothing is checked.

    Raises InvalidArgument for what an image or a user cannot mean.
    """
    wanted = process.healthcheck
    if not wanted:
        return None
    test = wanted.get("Test") or ()
    if not isinstance(test, list | tuple) or not all(isinstance(word, str) for word in test):
        raise InvalidArgument(f"the health check is no list of words: {test!r}")
    arguments = _arguments(tuple(test), process.shell or _SHELL)
    if arguments is None:
        return None
    times = {name: _time(name, wanted.get(name) or 0) for name in _TIMES}
    retries = wanted.get("Retries") or 0
    if not isinstance(retries, int) or retries < 0:
        raise InvalidArgument(f"the retries of a health check cannot be {retries!r}")
    interval = times["Interval"] or _INTERVAL
    return {
        "arguments": list(arguments),
        "interval": interval,
        "timeout": times["Timeout"] or _TIMEOUT,
        "start_period": times["StartPeriod"],
        "start_interval": times["StartInterval"] or min(_START_INTERVAL, interval),
        "retries": retries or _RETRIES,
    }


def check(process: Process, restart: RestartPolicy) -> None:
    """Refuse a health check that is none, and a policy that needs one. Raises InvalidArgument."""
    if plan(process) is None and restart.name == "on-unhealthy":
        raise InvalidArgument(
            "the restart policy on-unhealthy needs a health check, and neither the image nor"
            " --health-cmd says one"
        )


def _arguments(test: tuple[str, ...], shell: tuple[str, ...]) -> tuple[str, ...] | None:
    if not test or test[0] == "NONE":
        return None
    kind, words = test[0], test[1:]
    if not words or kind not in ("CMD", "CMD-SHELL"):
        raise InvalidArgument(
            f"the health check {' '.join(test)!r} says no command: it is CMD and words, or"
            " CMD-SHELL and a line"
        )
    return words if kind == "CMD" else (*shell, " ".join(words))


def _time(name: str, value: Any) -> float:
    if not isinstance(value, int) or value < 0 or 0 < value < _LEAST:
        raise InvalidArgument(
            f"{name} of the health check cannot be {value!r}: it is 0, or nanoseconds from 1ms on"
        )
    return value / _SECOND
