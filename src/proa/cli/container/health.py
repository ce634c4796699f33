"""Health checks."""

from __future__ import annotations

from proa.cli.flags import UsageError
from proa.engine.config import Healthcheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_TIMES = ("interval", "timeout", "start-period", "start-interval")


def healthcheck(values: Values) -> dict[str, Any]:
    """`--health-*`, `--no-healthcheck`; what is not said is the image's. Raises UsageError."""
    said = [name for name in values.given if name.startswith("health-")]
    if values.flag("no-healthcheck"):
        if said:
            raise UsageError(
                "conflicting options: --no-healthcheck conflicts with --health-* options"
            )
        return {"healthcheck": Healthcheck(test=("NONE",))}
    if not said:
        return {}
    times = {name: values.number(f"health-{name}") or 0 for name in _TIMES}
    for name, time in times.items():
        if time < 0:
            raise UsageError(f"--health-{name} cannot be negative")
        if 0 < time < 1_000_000:
            raise UsageError(f"--health-{name} cannot be less than 1ms")
    retries = values.number("health-retries") or 0
    if retries < 0:
        raise UsageError("--health-retries cannot be negative")
    command = values.text("health-cmd")
    return {
        "healthcheck": Healthcheck(
            test=("CMD-SHELL", command) if command else (),
            interval=times["interval"],
            timeout=times["timeout"],
            start_period=times["start-period"],
            start_interval=times["start-interval"],
            retries=retries,
        )
    }
