"""What the runtime is told at a start: the spec as it was written, and what is known only now."""

from __future__ import annotations

import posix

from proa.errors import Conflict, CorruptData
from proa.lean import json
from proa.monitor.user import look_up, may_have_groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.monitor.job import Job


def prepare_spec(job: Job, sources: dict[str, int]) -> tuple[dict[str, Any], list[str]]:
    """The OCI spec for a start of `job`, but for its user, and what could not be applied, in words.

    `sources` gets the detached mounts that other containers lend, by their destinations.
    Raises CorruptData, Conflict, and what the devices' files are refused for.
    """
    spec = _read(job)
    warnings: list[str] = []
    if job.join:
        _join_namespaces(job, spec, sources)
    if job.edits is not None:
        from proa.monitor.edits import apply

        apply(spec, job.edits)
    if spec["process"].get("rlimits"):
        from proa.monitor.reach import lower_limits

        warnings = lower_limits(spec["process"])
    return spec, warnings


def _read(job: Job) -> dict[str, Any]:
    path = f"{job.root}/containers/{job.id}/config.json"
    remedy = f"remove it with 'proa rm {job.id[:12]}', and make it anew"
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        raise CorruptData(
            f"{path} of the container is missing: it cannot be started; {remedy}"
        ) from None
    try:
        size = posix.fstat(descriptor).st_size
        spec: dict[str, Any] = json.loads(posix.read(descriptor, size))
    except ValueError as error:
        raise CorruptData(f"{path} of the container is damaged ({error}); {remedy}") from None
    finally:
        posix.close(descriptor)
    return spec


def _join_namespaces(job: Job, spec: dict[str, Any], sources: dict[str, int]) -> None:
    """Fill in the paths of namespaces that belong to other containers."""
    from proa.store.store import Store

    containers = Store.open(job.root).containers
    for kind, owner in (job.join or {}).items():
        row = containers.find(owner)
        pid = row.state.get("pid", 0)
        if row.state.get("status") not in ("running", "paused") or not pid:
            raise Conflict(
                f"container {row.name} is not running: its {kind} namespace cannot be joined;"
                " start it first"
            )
        name = {"network": "net", "mount": "mnt"}.get(kind, kind)
        namespaces = spec["linux"]["namespaces"]
        namespaces[:] = [item for item in namespaces if item["type"] != kind]
        namespaces.append({"type": kind, "path": f"/proc/{pid}/ns/{name}"})
        for item in spec["mounts"]:
            if kind == "ipc" and item["source"] == f"container:{owner}":
                from proa.runtime.borrow import borrow

                sources[item["destination"]] = borrow(pid, item["destination"])


def apply_user(
    root: int, process: dict[str, Any], user: str, groups_add: tuple[str, ...] | list[str]
) -> None:
    """Put `user`, as found in the file system `root`, into an OCI process: ids and HOME."""
    found = look_up(root, user, groups_add)
    entry: dict[str, Any] = {"uid": found.uid, "gid": found.gid}
    given = process.get("user", {}).get("additionalGids") or ()
    if found.groups and (groups_add or may_have_groups()):
        entry["additionalGids"] = list(dict.fromkeys((*found.groups, *given)))
    process["user"] = {**process.get("user", {}), **entry}
    environment = process.setdefault("env", [])
    if not any(item.startswith("HOME=") for item in environment):
        environment.append(f"HOME={found.home}")
