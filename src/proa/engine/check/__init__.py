"""What this machine offers containers: tried, not guessed from version numbers.

    for finding in check("/var/lib/proa"):
        print(finding.name, finding.status, finding.detail)

Each probe does what a container would need, where it could hurt in a child of this process.
"""

from __future__ import annotations

from proa.engine.check import cgroups, devices, isolation, programs, storage, users
from proa.engine.check.finding import DAMAGED, LIMITED, MENDED, MISSING, OK, Finding

__all__ = ("DAMAGED", "LIMITED", "MENDED", "MISSING", "OK", "Finding", "check")


def check(root: str | None = None) -> list[Finding]:
    """All findings, in an order to read them in. `root`: the engine's directory."""
    from proa.engine.engine import default_root

    return [
        *isolation.findings(),
        *cgroups.findings(),
        *storage.findings(root or default_root()),
        *users.findings(),
        *programs.findings(),
        *devices.findings(),
    ]
