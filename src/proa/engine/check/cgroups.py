"""Control groups: what can be limited, counted and frozen."""

from __future__ import annotations

import os

from proa.engine.check.finding import LIMITED, MISSING, OK, Finding, tried
from proa.errors import ProaError
from proa.kernel.cgroup import discover, open_manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from proa.kernel.cgroup import Mountpoints

CONTROLLERS = {
    "cpu": "--cpus, --cpu-shares",
    "cpuset": "--cpuset-cpus",
    "memory": "--memory",
    "pids": "--pids-limit",
    "io": "--blkio-weight, --device-read-bps",
    "hugetlb": "limits of huge pages",
}
"""Controller → what does not work without it; `io` is `blkio` in version 1."""


def findings() -> Iterator[Finding]:
    """The findings."""
    try:
        where = discover()
    except (ProaError, OSError) as error:
        where = None
        reason = str(error)
    else:
        reason = "no hierarchy is mounted"
    if where is None or not (where.version_1 or where.version_2):
        yield Finding(
            "cgroups",
            MISSING,
            reason,
            "nothing is limited, nothing is counted, no container can be paused",
            "mount -t cgroup2 none /sys/fs/cgroup",
            essential=os.geteuid() == 0,
        )
        return
    yield _version(where)
    yield _controllers(where)
    yield _delegation()


def _version(where: Mountpoints) -> Finding:
    if where.version_1:
        return Finding(
            "cgroups",
            OK,
            f"version 1, {len(where.version_1)} hierarchies",
        )
    return Finding("cgroups", OK, f"version 2 at {where.version_2}")


def _controllers(where: Mountpoints) -> Finding:
    if where.version_1:
        found = {"io" if name == "blkio" else name for name in where.version_1}
    else:
        with open(f"{where.version_2}/cgroup.controllers", encoding="ascii") as file:
            found = set(file.read().split())
    lacking = [name for name in CONTROLLERS if name not in found]
    present = ", ".join(sorted(name for name in found if "=" not in name))
    if not lacking:
        return Finding("cgroup controllers", OK, present)
    return Finding(
        "cgroup controllers",
        LIMITED,
        f"{present}; not {', '.join(lacking)}",
        f"no effect: {'; '.join(CONTROLLERS[name] for name in lacking)}",
        "see /proc/cgroups for what this kernel has, and 'cgroup_disable' in /proc/cmdline",
    )


def _delegation() -> Finding:
    path = f"/proa-check-{os.getpid()}"

    def probe() -> None:
        cgroup = open_manager(path)
        cgroup.create({})
        cgroup.remove()

    reason = tried(probe)
    if not reason:
        return Finding("cgroups of one's own", OK, "can be made and removed")
    if os.geteuid() == 0:
        return Finding(
            "cgroups of one's own",
            MISSING,
            reason,
            "no limits, no pause",
            "mount the hierarchies writable: mount -o remount,rw /sys/fs/cgroup",
        )
    return Finding(
        "cgroups of one's own",
        LIMITED,
        reason,
        "containers of this user have no limits and cannot be paused",
        "have a systemd user session delegate them (Delegate=yes), or run as root",
    )
