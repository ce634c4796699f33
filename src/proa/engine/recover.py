"""Puts a container in order whose monitor has died, or whose creator never started it."""

from __future__ import annotations

import fcntl
import posix
import time

from proa.errors import NotFound, ProaError
from proa.lean import clock
from proa.lean.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.store.containers import ContainerRow
    from proa.store.events import Happening
    from proa.store.store import Store

_ID = 64
"""Digits of a container's id."""
_HASTE = 2.0
"""Seconds for which nobody touches what a container is being made of."""
LOST = "its monitor was killed; what still ran of the container was ended"
LOST_BY_BOOT = "the machine went down while it ran"
_OF_ANOTHER_BOOT = 255
"""The exit code of such a container, as Docker has it."""


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
    if status == "removing":
        end(store, row.id)
        return _remove(store, row)
    if status == "created" and _lives(int(row.state.get("owner", 0))):
        return row
    elsewhere = row.state.get("boot") not in (None, clock.boot_id())
    # it may have been started, and its monitor killed, before the database was told
    started = end(store, row.id, elsewhere=elsewhere)
    _release(store, row)
    if status in ("created", "exited"):
        owned = bool(row.state.get("owner"))
        if not (started or (owned and row.config["request"].get("auto_remove"))):
            return _with_state(store, row, {"owner": 0}) if owned else row
    exit_code = _OF_ANOTHER_BOOT if elsewhere else 137
    death = (("die", 0, {"exitCode": str(exit_code)}),)
    if row.config["request"].get("auto_remove"):
        return _remove(store, row, death if started or status not in ("created", "exited") else ())
    lost = {
        "status": "exited",
        "owner": 0,
        "pid": 0,
        "ports": [],
        "exit_code": exit_code,
        "error": LOST_BY_BOOT if elsewhere else LOST,
        "interrupted": True,
        "finished_at": clock.now(),
    }
    if row.state.get("health"):
        lost["health"] = "unhealthy"
    return _with_state(store, row, lost, death)


def started(store: Store) -> frozenset[str]:
    """The ids of containers that have a monitor, or had one that was killed: one look for all."""
    return frozenset(name for name in _names(store, "run") if len(name) == _ID)


def sweep(store: Store, known: frozenset[str], running: frozenset[str]) -> None:
    """Remove what a killed process has left of containers that have no row.

    `known`: the ids that have one; `running`: what `started` said before they were read.
    """
    for id in running - known:
        if not _exists(store, id):
            end(store, id)
    for id in _names(store, "containers"):
        if id not in known and len(id) == _ID:
            _remove_unfinished(store, id)


def _remove_unfinished(store: Store, id: str) -> None:
    """Remove the directory of a container that nobody is making any more."""
    path = store.path("containers", id)
    try:
        # whoever has made it just now has not had the time to lock it
        if abs(time.time() - posix.stat(path).st_mtime) < _HASTE:
            return
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _exists(store, id):
            from proa.engine.rootless import snapshots

            snapshots(store.root).remove(path)
    except BlockingIOError:
        return
    finally:
        posix.close(descriptor)


def _names(store: Store, directory: str) -> list[str]:
    try:
        return posix.listdir(store.path(directory))
    except FileNotFoundError:
        store.mend()  # someone has removed it: what was in it is gone, what comes has a place
        return []


def _exists(store: Store, id: str) -> bool:
    try:
        store.containers.find(id)
    except NotFound:
        return False
    return True


def _with_state(
    store: Store,
    row: ContainerRow,
    changes: dict[str, Any],
    happenings: Sequence[Happening] = (),
) -> ContainerRow:
    state = {**row.state, **changes}
    store.containers.set_state(row.id, state, happenings)
    return replace(row, state=state)


def end(store: Store, id: str, *, elsewhere: bool = False) -> bool:
    """Kill and remove what a killed monitor has left of the container `id` but its directory;
    whether it had a first process.

    `elsewhere`: it ran in another boot of the machine; what is known of its processes is about
    others now.
    """
    from proa.runtime import state
    from proa.runtime.container import Container

    root = store.path("run", "oci")
    found = True
    try:
        if elsewhere:
            raise NotFound(f"container {id} was of another boot")
        Container.load(id, root).delete(force=True)
    except (ProaError, OSError, ValueError, TypeError):
        # it never came so far, or the machine was started anew
        found = False
        _end_by_cgroup(id)
        state.remove(state.directory_of(root, id))
    directory = store.path("run", id)
    for remove, path in ((posix.unlink, f"{directory}/monitor.sock"), (posix.rmdir, directory)):
        try:
            remove(path)
        except OSError:
            continue
    return found


def _end_by_cgroup(id: str) -> None:
    """End a container of which only the cgroup is known: that follows from its id."""
    from proa.kernel.cgroup import discover, load

    where = discover()
    path = f"/proa/{id}"
    if where.version_1:
        every = {name: where.directory_v1(name, path) for name in where.version_1}
    elif where.version_2 is not None:
        every = {"": where.directory_v2(path)}
    else:
        return
    paths = {name: path for name, path in every.items() if posix.access(path, posix.F_OK)}
    if paths:
        try:
            cgroup = load(paths, rootless=posix.geteuid() != 0)
            cgroup.kill()
            cgroup.remove()
        except (ProaError, OSError):
            return  # another command is at it, or it is not ours


def _remove(store: Store, row: ContainerRow, happenings: Sequence[Happening] = ()) -> ContainerRow:
    from proa.engine.rootless import snapshots

    snapshots(store.root).remove(store.path("containers", row.id))
    _release(store, row)
    request = row.config["request"]
    if request.get("mounts") and (row.state.get("volumes") or request.get("auto_remove")):
        from proa.engine.mounted import delete

        delete(store, row, happenings)
    else:
        store.containers.delete(row.id, happenings)
    return _gone(row)


def _release(store: Store, row: ContainerRow) -> None:
    """Take back its addresses, and what of its network is left in the kernel."""
    if row.config["request"].get("network_mode") not in ("none", "host"):
        from proa.engine.endpoints import release

        release(store, row.id)


def _gone(row: ContainerRow) -> ContainerRow:
    return replace(row, state={**row.state, "status": "gone"})


def _lives(pid: int) -> bool:
    if not pid:
        return False
    try:
        posix.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
