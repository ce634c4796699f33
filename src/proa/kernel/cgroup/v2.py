# ruff: noqa: D102 - what the methods do is said by Cgroup
"""Cgroups of version 2: one hierarchy, controllers handed down level by level."""

from __future__ import annotations

import posix

from proa.errors import KernelError
from proa.kernel.cgroup.files import number, read, read_if_there, table, write
from proa.kernel.cgroup.manager import (
    Cgroup,
    kill_all,
    list_processes,
    make_directory,
    not_applied,
    remove_directory,
    wait_until,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

BASE = ("cpu", "io", "memory", "pids")
"""The controllers of every container."""
O_PATH = 0o10000000


class CgroupV2(Cgroup):
    """The cgroup of one container."""

    def __init__(self, directory: str, mountpoint: str | None, *, rootless: bool = False) -> None:
        """mountpoint: the root of the hierarchy; None for a cgroup that exists already."""
        self.paths = {} if mountpoint is not None else {"": directory}
        self._directory = directory
        self._mountpoint = mountpoint
        self._rootless = rootless
        self._reason = "the cgroup has not been made"

    def create(self, resources: Mapping[str, Any] | None = None) -> list[str]:
        reason = make_directory(self._directory, self._rootless)
        if reason is not None:
            self._reason = reason
            return [reason]
        self.paths = {"": self._directory}
        if self._mountpoint is None:
            return []
        kind = (read_if_there(f"{self._directory}/cgroup.type") or b"").strip()
        if kind == b"domain invalid":
            self._undo()
            raise KernelError(
                f"cgroup {self._directory} lies in a threaded cgroup, which holds no containers; "
                f"choose another parent"
            )
        try:
            return self._enable({*BASE, *_controllers_of(resources or {})}, self._mountpoint)
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        try:
            self.remove(timeout=0.0)
        except KernelError:
            pass
        self.paths = {}

    def _enable(self, wanted: set[str], mountpoint: str) -> list[str]:
        """Hand the controllers down from the mount point to the cgroup.

        What the kernel or whoever delegated the tree to us withholds becomes a warning: whether
        it matters depends on what `apply` is asked for.
        """
        warnings = []
        level = mountpoint
        for part in self._directory[len(level) + 1 :].split("/"):
            control = f"{level}/cgroup.subtree_control"
            have = (read_if_there(control) or b"").decode().split()
            missing = wanted.difference(have)
            if missing:
                offered = (read_if_there(f"{level}/cgroup.controllers") or b"").decode().split()
                missing.intersection_update(offered)
                refused = self._enable_here(control, sorted(missing))
                if refused:
                    warnings.append(refused)
            level = f"{level}/{part}"
        return warnings

    def _enable_here(self, control: str, missing: list[str]) -> str | None:
        if not missing:
            return None
        try:
            write(control, " ".join(f"+{name}" for name in missing))
            return None
        except OSError:
            pass  # one that cannot be had refuses them all: try each
        withheld = {}
        for name in missing:
            try:
                write(control, f"+{name}")
            except OSError as error:
                withheld[name] = (error.strerror or "").lower()
        if not withheld:
            return None
        reasons = ", ".join(f"{name} ({reason})" for name, reason in withheld.items())
        return f"controllers not available below {control.rpartition('/')[0]}: {reasons}"

    def apply(self, resources: Mapping[str, Any]) -> list[str]:
        if not self.paths:
            return not_applied(resources, self._reason)
        from proa.kernel.cgroup.v2_resources import apply

        warnings = []
        if wanted := _controllers_of(resources):
            # it was made with those that it needed then
            top = self._mountpoint or _mountpoint_above(self._directory)
            warnings += self._enable(wanted, top)
        warnings += apply(self._directory, resources)
        if resources.get("devices") and not self._rootless:
            from proa.kernel.cgroup.device_program import enforce

            enforce(self._directory, resources["devices"])
        return warnings

    def join_files(self) -> tuple[int, ...]:
        if not self.paths:
            return ()
        path = f"{self._directory}/cgroup.procs"
        try:
            return (posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC),)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise KernelError(f"cannot join cgroup {self._directory}: {reason}") from None

    def add(self, pid: int) -> None:
        if not self.paths:
            return
        try:
            write(f"{self._directory}/cgroup.procs", str(pid))
        except ProcessLookupError:
            pass
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise KernelError(
                f"cannot move process {pid} to cgroup {self._directory}: {reason}"
            ) from None

    def descriptor(self) -> int | None:
        if not self.paths:
            return None
        return posix.open(self._directory, O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)

    def delegate(self, uid: int, gid: int) -> None:
        if not self.paths:
            return
        listed = read_if_there("/sys/kernel/cgroup/delegate")
        names = (listed or b"cgroup.procs cgroup.threads cgroup.subtree_control").decode().split()
        for path in (self._directory, *(f"{self._directory}/{name}" for name in names)):
            try:
                posix.chown(path, uid, gid)
            except FileNotFoundError:
                pass  # a file of a controller that is not enabled here
            except OSError as error:
                raise KernelError(f"cannot delegate {path}: {error.strerror}") from None

    def freeze(self, *, timeout: float = 10.0) -> None:
        self._write_state("1")
        wait_until(
            lambda: table(read(f"{self._directory}/cgroup.events")).get("frozen") == 1,
            timeout,
            lambda: f"cgroup {self._directory} did not freeze in {timeout:g} s",
        )

    def thaw(self) -> None:
        self._write_state("0")

    def _write_state(self, state: str) -> None:
        try:
            write(f"{self._directory}/cgroup.freeze", state)
        except OSError as error:
            verb = "pause" if state == "1" else "resume"
            reason = (error.strerror or "").lower()
            raise KernelError(f"cannot {verb} cgroup {self._directory}: {reason}") from None

    def frozen(self) -> bool:
        return number(read_if_there(f"{self._directory}/cgroup.freeze")) == 1

    def processes(self, *, recursive: bool = True) -> list[int]:
        return list_processes(self._directory, recursive=recursive) if self.paths else []

    def kill(self, *, timeout: float = 10.0) -> None:
        if not self.paths or not self._populated():
            return
        try:
            write(f"{self._directory}/cgroup.kill", "1")  # Linux 5.14
            condition = self._empty
        except FileNotFoundError:
            condition = self._kill_each
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise KernelError(f"cannot kill cgroup {self._directory}: {reason}") from None
        wait_until(
            condition,
            timeout,
            lambda: f"processes of cgroup {self._directory} do not die: {self.processes()}",
        )

    def _populated(self) -> bool:
        return table(read_if_there(f"{self._directory}/cgroup.events")).get("populated") != 0

    def _empty(self) -> bool:
        events = read_if_there(f"{self._directory}/cgroup.events")
        return events is None or table(events).get("populated") == 0

    def _kill_each(self) -> bool:
        try:
            self.freeze(timeout=0.5)  # none forks meanwhile; SIGKILL reaches frozen ones here
        except Exception:  # noqa: S110 - they shall die anyhow
            pass
        kill_all(self.processes())
        if self.frozen():
            self.thaw()
        return self._empty()

    def stats(self) -> dict[str, Any]:
        if not self.paths:
            return {}
        from proa.kernel.cgroup.v2_stats import stats

        return stats(self._directory)

    def remove(self, *, timeout: float = 2.0) -> None:
        if self.paths:
            parts = self._directory.rsplit("/", 2)
            top = parts[0] if len(parts) == 3 and parts[1] == "proa" else ""
            remove_directory(self._directory, top, timeout=timeout)


def _mountpoint_above(directory: str) -> str:
    """The root of the hierarchy that `directory` lies in."""
    while True:
        parent = directory.rpartition("/")[0]
        if not posix.access(f"{parent}/cgroup.controllers", posix.F_OK):
            return directory
        directory = parent


def _controllers_of(resources: Mapping[str, Any]) -> set[str]:
    """The controllers that `resources` asks for, beyond those that every container has."""
    found = {name.partition(".")[0] for name in resources.get("unified") or ()} - {"cgroup"}
    cpu = resources.get("cpu") or {}
    if cpu.get("cpus") or cpu.get("mems"):
        found.add("cpuset")
    if resources.get("hugepageLimits"):
        found.add("hugetlb")
    if resources.get("rdma"):
        found.add("rdma")
    return found
