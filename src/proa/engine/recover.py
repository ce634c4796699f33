"""Puts a container in order whose monitor has died, or whose creator never started it."""

from __future__ import annotations

import posix

from proa.engine.rootless import snapshots as snapshots_of
from proa.errors import NotFound, ProaError
from proa.lean import clock
from proa.lean.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.store.containers import ContainerRow
    from proa.store.store import Store

LOST = "its monitor was killed; what still ran of the container was ended"


def settle(store: Store, row: ContainerRow) -> ContainerRow:
    """The row `row`, whose monitor's lock nobody holds, as it should be.

    What still runs of the container is killed; a removal that was begun is finished; a container
    with `--rm` is removed. A row that is removed comes back with the status `gone`.
    """
    status = row.state["status"]
    try:
        row = store.containers.find(row.id)  # its monitor may have ended as it should, just now
    except NotFound:
        return _gone(row)
    if row.state["status"] != status:
        return row
    if status == "created":
        owner = int(row.state.get("owner", 0))
        if not owner or _lives(owner):
            return row
        # it may have been started, and its monitor killed, before the database was told
        started = _kill(store, row)
        if not (started or row.config["request"].get("auto_remove")):
            return _with_state(store, row, {"owner": 0})
    elif status == "removing":
        return _remove(store, row)
    elif status in ("running", "paused", "restarting"):
        _kill(store, row)
    else:
        return row
    if row.config["request"].get("auto_remove"):
        return _remove(store, row)
    lost = {
        "status": "exited",
        "owner": 0,
        "pid": 0,
        "exit_code": 137,
        "error": LOST,
        "finished_at": clock.now(),
    }
    return _with_state(store, row, lost)


def _with_state(store: Store, row: ContainerRow, changes: dict[str, Any]) -> ContainerRow:
    state = {**row.state, **changes}
    store.containers.set_state(row.id, state)
    return replace(row, state=state)


def _kill(store: Store, row: ContainerRow) -> bool:
    """End what still runs of it; whether there was anything."""
    from proa.runtime.container import Container

    found = True
    try:
        Container.load(row.id, store.path("run", "oci")).delete(force=True)
    except (ProaError, OSError):
        found = False  # it never came so far, or the machine was started anew
    directory = store.path("run", row.id)
    for remove, path in ((posix.unlink, f"{directory}/monitor.sock"), (posix.rmdir, directory)):
        try:
            remove(path)
        except OSError:
            continue
    return found


def _remove(store: Store, row: ContainerRow) -> ContainerRow:
    snapshots_of(store.root).remove(store.path("containers", row.id))
    store.containers.delete(row.id)
    return _gone(row)


def _gone(row: ContainerRow) -> ContainerRow:
    return replace(row, state={**row.state, "status": "gone"})


def _lives(pid: int) -> bool:
    try:
        posix.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
