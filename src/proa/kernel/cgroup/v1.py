# ruff: noqa: D102 - what the methods do is said by Cgroup
"""Cgroups of version 1: a hierarchy for each controller, or for a few together.

Joining is the expensive step. Writing another process's id to `cgroup.procs` takes a global
read-write semaphore whose writer waits for an RCU grace period, 6 to 15 ms on a kernel that has
been idle. A process that writes "0" to `tasks` moves only its own thread; the kernel
(cgroup_procs_write_start) skips the semaphore then, and it takes 0.02 ms a hierarchy. See
docs/decisions/0020-cgroup-v1-joining.md.
"""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, KernelError
from proa.kernel.cgroup.files import read, refused, write
from proa.kernel.cgroup.manager import (
    Cgroup,
    kill_all,
    list_processes,
    make_directory,
    not_applied,
    remove_directory,
    wait_until,
)
from proa.kernel.cgroup.mountpoints import Mountpoints, discover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

BASE = ("cpu", "cpuacct", "memory", "pids", "freezer", "devices")
"""What every container gets: a fair share of the CPU, what `stats` counts, what `kill` and
`pause` stop, and the rules for devices."""


class CgroupV1(Cgroup):
    """The cgroups of one container, one in each hierarchy that it needs."""

    def __init__(self, path: str, where: Mountpoints, *, rootless: bool = False) -> None:
        self.paths = {}
        self._path: str | None = path
        self._where: Mountpoints | None = where
        self._rootless = rootless
        self._reason = "the cgroup has not been made"

    @classmethod
    def of_paths(cls, paths: Mapping[str, str], *, rootless: bool = False) -> CgroupV1:
        """The cgroup with these directories by controller."""
        cgroup = cls.__new__(cls)
        cgroup.paths = dict(paths)
        cgroup._path = None
        cgroup._where = None
        cgroup._rootless = rootless
        cgroup._reason = ""
        return cgroup

    def create(self, resources: Mapping[str, Any] | None = None) -> list[str]:
        for controller in (*BASE, *_controllers_of(resources or {})):
            reason = self._add_controller(controller)
            if reason is not None:
                self.remove()
                self.paths = {}
                self._reason = reason
                return [reason]
        return []

    def apply(self, resources: Mapping[str, Any]) -> list[str]:
        if resources.get("unified"):
            raise InvalidArgument(
                "linux.resources.unified needs cgroup version 2; this machine has version 1"
            )
        if not self.paths:
            return not_applied(resources, self._reason)
        for controller in _controllers_of(resources):
            self._add_controller(controller, move=True)
        from proa.kernel.cgroup.v1_resources import apply

        warnings = apply(self.paths, resources)
        if resources.get("devices") and not self._rootless:
            self._apply_devices(resources["devices"])
        return warnings

    def _apply_devices(self, rules: list[dict[str, Any]]) -> None:
        from proa.kernel.cgroup.devices import lines_v1

        directory = self.paths.get("devices")
        if directory is None:
            raise KernelError(
                "device rules cannot be applied: the devices controller is not mounted; "
                "mount it at /sys/fs/cgroup/devices"
            )
        files: dict[str, int] = {}
        try:
            for name, line in lines_v1(rules):
                descriptor = files.get(name)
                if descriptor is None:
                    descriptor = files[name] = posix.open(
                        f"{directory}/{name}", posix.O_WRONLY | posix.O_CLOEXEC
                    )
                posix.write(descriptor, line)
        except OSError as error:
            raise refused(f"{directory}/{name}", line.decode(), error) from None
        finally:
            for descriptor in files.values():
                posix.close(descriptor)

    def _add_controller(self, controller: str, *, move: bool = False) -> str | None:
        """Make the directory for `controller`, if that is mounted; with `move`, also move the
        container's processes into it. Returns why it could not be made (rootless only).
        """
        if controller in self.paths:
            return None
        if self._where is None:
            self._where = discover()
        if controller not in self._where.version_1:
            return None
        if self._path is None:
            self._path = self._known_path()
        directory = self._where.directory_v1(controller, self._path)
        if directory not in self.paths.values():
            reason = make_directory(directory, self._rootless)
            if reason is not None:
                return reason
            if controller == "cpuset":
                _inherit_cpuset(directory, self._where.version_1["cpuset"])
            if move:
                for pid in self.processes():
                    _move(directory, pid)
        self.paths[controller] = directory
        return None

    def _known_path(self) -> str:
        """The cgroup's path, found again from its directory in a hierarchy that it has."""
        assert self._where is not None
        for controller, directory in self.paths.items():
            mountpoint = self._where.version_1.get(controller)
            if mountpoint is not None and directory.startswith(mountpoint + "/"):
                return directory[len(mountpoint) :]
        raise KernelError(
            f"the hierarchies of cgroup {next(iter(self.paths.values()), '')} are not mounted "
            f"where they were; mount them again"
        )

    def join_files(self) -> tuple[int, ...]:
        files: list[int] = []
        try:
            for directory in self._directories():
                files.append(posix.open(f"{directory}/tasks", posix.O_WRONLY | posix.O_CLOEXEC))
        except OSError as error:
            for descriptor in files:
                posix.close(descriptor)
            reason = (error.strerror or "").lower()
            raise KernelError(f"cannot join cgroup {directory}: {reason}") from None
        return tuple(files)

    def add(self, pid: int) -> None:
        for directory in self._directories():
            _move(directory, pid)

    def freeze(self, *, timeout: float = 10.0) -> None:
        state = self._freezer()
        # A process that is being forked while the group freezes can be missed: the state stays
        # FREEZING until it is written again (freezer-subsystem.rst).
        write(state, "FROZEN")

        def frozen() -> bool:
            if read(state).strip() == b"FROZEN":
                return True
            write(state, "FROZEN")
            return False

        wait_until(frozen, timeout, lambda: f"cgroup {state} did not freeze in {timeout:g} s")

    def thaw(self) -> None:
        write(self._freezer(), "THAWED")

    def frozen(self) -> bool:
        try:
            return "freezer" in self.paths and read(self._freezer()).strip() != b"THAWED"
        except OSError:
            return False

    def _freezer(self) -> str:
        directory = self.paths.get("freezer")
        if directory is None:
            raise KernelError(
                "cannot pause: the freezer controller is not mounted"
                if self.paths
                else "cannot pause: the container has no cgroup, as an ordinary user may make none"
            )
        return f"{directory}/freezer.state"

    def processes(self, *, recursive: bool = True) -> list[int]:
        directory = self._main()
        return [] if directory is None else list_processes(directory, recursive=recursive)

    def kill(self, *, timeout: float = 10.0) -> None:
        directory = self._main()
        if directory is None or not list_processes(directory, recursive=True):
            return
        left: list[int] = []

        def empty() -> bool:
            # Frozen processes neither fork nor end: none is missed, no id is used again. They
            # die of the signal once they are thawed.
            try:
                self.freeze(timeout=0.5)
            except Exception:  # noqa: S110 - they shall die anyhow
                pass
            left[:] = list_processes(directory, recursive=True)
            kill_all(left)
            try:
                self.thaw()
            except (KernelError, OSError):
                pass
            return not left

        wait_until(
            empty, timeout, lambda: f"processes of cgroup {directory} do not die: {left}", 5e-4
        )

    def stats(self) -> dict[str, Any]:
        from proa.kernel.cgroup.v1_stats import stats

        return stats(self.paths)

    def remove(self, *, timeout: float = 2.0) -> None:
        for directory in self._directories():
            top = ""
            if self._path is not None and not self._path.startswith("/"):
                pass  # below somebody else's cgroup, which is not ours to remove
            else:
                top = _top_of(directory)
            remove_directory(directory, top, timeout=timeout)

    def _directories(self) -> list[str]:
        # co-mounted controllers have one directory
        return list(dict.fromkeys(self.paths.values()))

    def _main(self) -> str | None:
        """The hierarchy that tells which processes there are."""
        return self.paths.get("freezer") or next(iter(self.paths.values()), None)


def _controllers_of(resources: Mapping[str, Any]) -> list[str]:
    """The controllers that `resources` asks for, beyond those that every container has."""
    found = []
    cpu = resources.get("cpu") or {}
    if cpu.get("cpus") or cpu.get("mems"):
        found.append("cpuset")
    if resources.get("blockIO"):
        found.append("blkio")
    if resources.get("hugepageLimits"):
        found.append("hugetlb")
    network = resources.get("network") or {}
    if network.get("classID") is not None:
        found.append("net_cls")
    if network.get("priorities"):
        found.append("net_prio")
    if resources.get("rdma"):
        found.append("rdma")
    return found


def _top_of(directory: str) -> str:
    """The mount point, given a directory right below `proa` right below it; else ""."""
    parts = directory.rsplit("/", 2)
    return parts[0] if len(parts) == 3 and parts[1] == "proa" else ""


def _move(directory: str, pid: int) -> None:
    try:
        write(f"{directory}/cgroup.procs", str(pid))
    except ProcessLookupError:
        pass
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise KernelError(f"cannot move process {pid} to cgroup {directory}: {reason}") from None


def _inherit_cpuset(directory: str, mountpoint: str) -> None:
    """Give `directory`, and those above it, the CPUs and memory nodes of what is above.

    A new cpuset has none, and takes no process until it has some (cpusets.rst).
    """
    if directory == mountpoint or not directory.startswith(mountpoint):
        return
    parent = directory.rpartition("/")[0]
    for name in ("cpuset.cpus", "cpuset.mems"):
        if read(f"{directory}/{name}").strip():
            continue
        value = read(f"{parent}/{name}").strip()
        if not value:
            _inherit_cpuset(parent, mountpoint)
            value = read(f"{parent}/{name}").strip()
        write(f"{directory}/{name}", value.decode())
