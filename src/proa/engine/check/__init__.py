"""What this machine offers containers: tried, not guessed from version numbers.

    for finding in check("/var/lib/proa"):
        print(finding.name, finding.status, finding.detail)

Each probe does what a container would need, where it could hurt in a child of this process.
"""

from __future__ import annotations

from proa.engine.check.cgroups import cgroups
from proa.engine.check.finding import LIMITED, MISSING, OK, Finding
from proa.engine.check.isolation import isolation
from proa.engine.check.programs import programs
from proa.engine.check.storage import storage
from proa.engine.check.users import users

__all__ = ("LIMITED", "MISSING", "OK", "Finding", "check")


def check(root: str | None = None) -> list[Finding]:
    """All findings, in an order to read them in. `root`: the engine's directory."""
    from proa.engine.engine import default_root

    return [
        *isolation(),
        *cgroups(),
        *storage(root or default_root()),
        *users(),
        *programs(),
    ]
