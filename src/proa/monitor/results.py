"""The results of health checks, in a file of the container's: no check has to wait for a database.

The file holds what `docker inspect` shows of them; the status is in the container's row.
"""

from __future__ import annotations

import posix

from proa.lean import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FILE = "health.json"


def load(directory: str) -> dict[str, Any]:
    """FailingStreak and Log (the last results, oldest first) of the container in `directory`."""
    try:
        descriptor = posix.open(f"{directory}/{_FILE}", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            found = json.loads(posix.read(descriptor, posix.fstat(descriptor).st_size))
        finally:
            posix.close(descriptor)
        return {"FailingStreak": int(found["FailingStreak"]), "Log": list(found["Log"])}
    except (OSError, ValueError, LookupError, TypeError):
        return {"FailingStreak": 0, "Log": []}


def save(directory: str, streak: int, log: list[dict[str, Any]]) -> None:
    """Keep them, at once as a whole. Where the disk is full, the earlier ones stay."""
    path = f"{directory}/{_FILE}"
    data = json.dumps({"FailingStreak": streak, "Log": log}).encode()
    try:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        descriptor = posix.open(f"{path}.new", flags, 0o600)
        try:
            written = posix.write(descriptor, data)
        finally:
            posix.close(descriptor)
        if written == len(data):
            posix.rename(f"{path}.new", path)
    except OSError:
        return
