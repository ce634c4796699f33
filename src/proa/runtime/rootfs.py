"""Plans a container's file system from its spec: a list of operations, in order.

Each operation says in words what it does (`str`) and does it (`execute(place)`). Nothing is
touched by planning.
"""

from __future__ import annotations

from proa.errors import InvalidArgument
from proa.kernel.mount_options import parse
from proa.lean.record import record
from proa.runtime import devices
from proa.runtime.hidden import MaskedPaths, ReadOnlyPath
from proa.runtime.mounts import BindMount, FileSystem, ReadOnlyRoot
from proa.runtime.place import normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    from proa.kernel.cgroup import Mountpoints
    from proa.runtime.cgroup_mount import CgroupView
    from proa.runtime.place import Place

    class Operation(Protocol):
        """A step of putting the file system together."""

        def execute(self, place: Place) -> None:
            """Do it."""


@record
class Plan:
    """The operations, in groups between which the runtime does something else."""

    mounts: tuple[Operation, ...]
    """the mounts of the spec, then devices and links; the terminal comes after"""
    protections: tuple[Operation, ...]
    """read-only and masked paths; system parameters are set before"""
    sources: tuple[BindMount, ...]
    """the bind mounts, which have to be opened before"""


def plan_rootfs(spec: Mapping[str, Any], *, bundle: str, hierarchies: Mountpoints) -> Plan:
    """What has to be done to the root file system of the container of `spec`.

    `bundle`: the directory that relative sources are relative to. `hierarchies`: the
    cgroup hierarchies of the host. Raises InvalidArgument.
    """
    linux = spec.get("linux") or {}
    mounts: list[Operation] = []
    sources: list[BindMount] = []
    bind_dev = False
    for entry in spec.get("mounts") or ():
        operation = _mount(entry, linux, bundle, len(sources), hierarchies)
        mounts.append(operation)
        if isinstance(operation, BindMount):
            sources.append(operation)
            bind_dev = bind_dev or operation.destination == "/dev"
    if not bind_dev:
        mounts += devices.plan(linux.get("devices") or [])
    protections: list[Operation] = []
    if (spec.get("root") or {}).get("readonly"):
        protections.append(ReadOnlyRoot())
    protections += [ReadOnlyPath(normalize(path)) for path in linux.get("readonlyPaths") or ()]
    if masked := linux.get("maskedPaths"):
        protections.append(MaskedPaths(tuple(normalize(path) for path in masked)))
    return Plan(tuple(mounts), tuple(protections), tuple(sources))


def _mount(
    entry: Mapping[str, Any],
    linux: Mapping[str, Any],
    bundle: str,
    number: int,
    hierarchies: Mountpoints,
) -> BindMount | FileSystem | CgroupView:
    destination = normalize(entry.get("destination"))
    if destination == "/":
        raise InvalidArgument("nothing can be mounted over / of a container; use its root")
    options = parse(entry.get("options") or ())
    kind = entry.get("type") or ""
    source = entry.get("source") or ""
    if options.bind or kind in ("bind", "rbind", "none"):
        if not source:
            raise InvalidArgument(f"the bind mount at {destination} has no source")
        return BindMount(
            number,
            source if source.startswith("/") else f"{bundle}/{source}",
            destination,
            options,
            *_id_mappings(entry, linux, options.id_mapped),
            root_shared=linux.get("rootfsPropagation") in ("shared", "rshared"),
        )
    if not kind:
        raise InvalidArgument(f"the mount at {destination} has no type")
    if kind in ("cgroup", "cgroup2"):
        from proa.runtime.cgroup_mount import CgroupView

        own = any(item.get("type") == "cgroup" for item in linux.get("namespaces") or ())
        return CgroupView(destination, options, own, hierarchies)
    label = linux.get("mountLabel") or ""
    return FileSystem(
        kind, source, destination, options, label if kind in ("tmpfs", "mqueue", "devpts") else ""
    )


def _id_mappings(
    entry: Mapping[str, Any], linux: Mapping[str, Any], wanted: str
) -> tuple[tuple[tuple[int, int, int], ...], tuple[tuple[int, int, int], ...]]:
    uids, gids = entry.get("uidMappings"), entry.get("gidMappings")
    if wanted and not uids and not gids:
        # without mappings of its own, the container's are meant (runtime-spec, "idmap")
        uids, gids = linux.get("uidMappings"), linux.get("gidMappings")
    if not uids and not gids:
        return (), ()
    from proa.kernel.idmap import from_oci

    return tuple(from_oci(uids or ())), tuple(from_oci(gids or ()))
