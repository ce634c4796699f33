"""Control groups: what a container may use, which processes it has, and what it has used.

    cgroup = open_manager("/proa/4f1d")
    warnings = cgroup.create(resources)          # directories, with the controllers needed
    warnings += cgroup.apply(resources)          # the limits of OCI's linux.resources
    files = cgroup.join_files()                  # opened before clone …
    join(files)                                  # … written by the child: it is inside
    cgroup.stats(); cgroup.freeze(); cgroup.thaw(); cgroup.kill(); cgroup.remove()

Version 1 (a hierarchy per controller, or per few), version 2 (one hierarchy) and the hybrid of
both (controllers in version 1, version 2 mounted beside them) have the same face: `Cgroup`.
"""

from __future__ import annotations

from proa.errors import InvalidArgument
from proa.kernel.cgroup.manager import Cgroup, join
from proa.kernel.cgroup.mountpoints import Mountpoints, discover

__all__ = ["Cgroup", "Mountpoints", "discover", "join", "load", "open_manager"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def open_manager(
    path: str | None,
    *,
    systemd: bool = False,
    rootless: bool = False,
    mountpoints: Mountpoints | None = None,
) -> Cgroup:
    """The cgroup that `path` (OCI's cgroupsPath) names; nothing is made yet.

    `path`: absolute below the root of the hierarchies; relative below the cgroup of this process
    (version 2: beside it, because a cgroup with processes cannot have controllers below it);
    None or empty: no cgroup, the container stays where its creator is. `systemd`: the path has
    the form `slice:prefix:name`, for a transient scope that systemd makes.
    `rootless`: the user may not be allowed to make cgroups; then nothing is applied, and said.
    `mountpoints`: where the hierarchies are; found out if None.

    Raises InvalidArgument for a path that leaves its hierarchy, Unsupported where no hierarchy is
    mounted (unless `rootless`).
    """
    if not path:
        return _absent("the container has no cgroup of its own")
    if systemd:
        from proa.errors import Unsupported

        raise Unsupported(
            f"cgroup {path}: scopes of systemd are not supported yet; choose the cgroupfs driver"
            " (podman --cgroup-manager=cgroupfs, dockerd --exec-opt native.cgroupdriver=cgroupfs)"
        )
    if ".." in path.split("/") or "\0" in path or "\n" in path:
        raise InvalidArgument(f"cgroup path {path!r} leaves its hierarchy; take out '..'")
    where = discover() if mountpoints is None else mountpoints
    if where.version_1:
        from proa.kernel.cgroup.v1 import CgroupV1

        return CgroupV1(path, where, rootless=rootless)
    if where.version_2 is not None:
        from proa.kernel.cgroup.v2 import CgroupV2

        return CgroupV2(where.directory_v2(path), where.version_2, rootless=rootless)
    if rootless:
        return _absent("no cgroup hierarchy is mounted")
    from proa.errors import Unsupported

    raise Unsupported("no cgroup hierarchy is mounted; mount cgroup2 at /sys/fs/cgroup")


def load(paths: Mapping[str, str], *, rootless: bool = False) -> Cgroup:
    """The cgroup whose `paths` were stored when it was made."""
    if not paths:
        return _absent("the container has no cgroup of its own")
    if "" in paths:
        from proa.kernel.cgroup.v2 import CgroupV2

        return CgroupV2(paths[""], None, rootless=rootless)
    from proa.kernel.cgroup.v1 import CgroupV1

    return CgroupV1.of_paths(paths, rootless=rootless)


def _absent(reason: str) -> Cgroup:
    from proa.kernel.cgroup.absent import NoCgroup

    return NoCgroup(reason)
