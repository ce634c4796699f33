"""What was found out about one thing."""

from __future__ import annotations

import os
import sys

from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OK = "ok"
LIMITED = "limited"
MISSING = "missing"
DAMAGED = "damaged"
MENDED = "mended"


@record
class Finding:
    """One thing that containers need or profit from."""

    name: str
    status: str
    """of the machine: ok, limited, missing; of a store: ok, damaged, mended"""
    detail: str
    """what was found"""
    cost: str = ""
    """what does not work, where it is not ok"""
    remedy: str = ""
    """what to do about it"""
    essential: bool = False
    """without it no container can run"""


def tried(probe: Callable[[], object]) -> str:
    """Why `probe` failed in a child of this process; empty where it did not."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            os.close(reader)
            probe()
        except BaseException as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            os.write(writer, reason.lower().encode()[:500] or b"failed")
            code = 1
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        reason = answer.read().decode("utf-8", "replace")
    status = os.waitpid(pid, 0)[1]
    if status and not reason:
        return f"ended with wait status {status}"
    return reason


def of_probe(
    name: str,
    probe: Callable[[], object],
    *,
    found: str,
    cost: str,
    remedy: str,
    essential: bool = False,
) -> Finding:
    """The finding of a probe that works or does not."""
    reason = tried(probe)
    if not reason:
        return Finding(name, OK, found, essential=essential)
    return Finding(name, MISSING, reason, cost, remedy, essential)
