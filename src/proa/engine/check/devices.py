"""Devices that vendors describe for containers: CDI files."""

from __future__ import annotations

from proa.engine.cdi.registry import load
from proa.engine.check.finding import LIMITED, OK, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def findings() -> Iterator[Finding]:
    """The findings."""
    registry = load()
    names = ", ".join(sorted(registry.devices))
    if registry.errors:
        yield Finding(
            "CDI devices",
            LIMITED,
            "; ".join(map(str, registry.errors.values())),
            f"only these can be used: {names}" if names else "none can be used",
            "mend the file, or have it generated again",
        )
    else:
        yield Finding("CDI devices", OK, names or "none described")
