"""The face that every cgroup has, whatever the version of its hierarchy."""

from __future__ import annotations

import posix
import time

from proa.errors import KernelError, TimedOut
from proa.kernel.cgroup.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

_SIGKILL = 9
PARENT = "proa"
"""A directory of this name directly below the root is removed with the last cgroup in it."""


class Cgroup:
    """A cgroup of one container."""

    paths: dict[str, str]
    """controller → directory ("" → directory with version 2): keep it, and give it to `load`.
    `create` fills it; `apply` may add to it."""

    def create(self, resources: Mapping[str, Any] | None = None) -> list[str]:
        """Make the directories, with the controllers that `resources` (OCI's linux.resources)
        asks for and those that every container needs.

        An existing cgroup is taken over: OCI lets a runtime be given one. Returns warnings.
        Raises KernelError.
        """
        raise NotImplementedError

    def apply(self, resources: Mapping[str, Any]) -> list[str]:
        """Set the limits of OCI's linux.resources; what is not in it stays as it is.

        Returns a warning for each limit that this kernel does not have. Raises KernelError,
        naming file, value and reason, for one that it has and refuses.
        """
        raise NotImplementedError

    def join_files(self) -> tuple[int, ...]:
        """Descriptors (close-on-exec) for `join`.

        Open them before clone: the kernel checks who opened them, and a child that is in another
        user namespace could not.
        """
        raise NotImplementedError

    def join_self(self) -> None:
        """Move the calling, single-threaded process into the cgroup. Raises KernelError."""
        join(self.join_files())

    def add(self, pid: int) -> None:
        """Move the process `pid` into the cgroup.

        With version 1 this may wait 10 ms for an RCU grace period; `join_self` does not.
        Raises KernelError.
        """
        raise NotImplementedError

    def descriptor(self) -> int | None:
        """A new O_PATH descriptor of the directory for clone3's CLONE_INTO_CGROUP.

        None with version 1, which cannot do that.
        """
        return None

    def delegate(self, uid: int, gid: int) -> None:
        """Give the cgroup to the root of a container's user namespace (version 2 only)."""

    def freeze(self, *, timeout: float = 10.0) -> None:
        """Stop all processes, until `thaw`. Returns when they have stopped. Raises TimedOut."""
        raise NotImplementedError

    def thaw(self) -> None:
        """Let the processes go on."""
        raise NotImplementedError

    def frozen(self) -> bool:
        """Whether `freeze` is in effect."""
        raise NotImplementedError

    def processes(self, *, recursive: bool = True) -> list[int]:
        """The ids of the processes in the cgroup (and in those below it); [] once it is gone."""
        raise NotImplementedError

    def kill(self, *, timeout: float = 10.0) -> None:
        """Kill every process in the cgroup and below, frozen ones too; returns when none is left.

        Whoever is their parent has to reap them, but not before this returns.
        Raises TimedOut, naming those that do not die.
        """
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        """What the cgroup has used. Absent: what this kernel does not count.

        memory: usage, limit (None: none), maximum (highest usage), failures (times the limit was
          hit), swap, swap_limit (bytes beyond memory), kernel, oom_kills, and `stat`, the
          kernel's own table; bytes
        cpu: usage, user, system, per_cpu (list), throttled: nanoseconds; periods,
          throttled_periods: counts
        pids: current, limit (None: none)
        io: a list of {major, minor, read_bytes, write_bytes, reads, writes}
        hugetlb: page size → {usage, maximum, failures}
        pressure (version 2): cpu, memory, io → kind → {avg10, avg60, avg300, total}
        """
        raise NotImplementedError

    def remove(self, *, timeout: float = 2.0) -> None:
        """Remove the directories, with those that the container made below, and the parent
        directory `proa` when it has become empty.

        No process may be left in them. It is no error if they are gone. Raises KernelError.
        """
        raise NotImplementedError

    @staticmethod
    def load(paths: Mapping[str, str], *, rootless: bool = False) -> Cgroup:
        """The cgroup whose `paths` were stored when it was made."""
        from proa.kernel.cgroup import load

        return load(paths, rootless=rootless)


def join(files: Iterable[int]) -> None:
    """Move the calling process into the cgroup whose `join_files` these are, and close them.

    The process must be single-threaded: with version 1 it moves its thread. Raises KernelError.
    """
    for descriptor in files:
        try:
            posix.write(descriptor, b"0")
        except OSError as error:
            name = posix.readlink(f"/proc/self/fd/{descriptor}")
            raise KernelError(f"cannot join cgroup {name}: {_reason(error)}") from None
        finally:
            posix.close(descriptor)


def not_applied(resources: Mapping[str, Any], reason: str) -> list[str]:
    """One warning that names the limits which have no effect; device rules are no limits."""
    names = []
    for section, value in resources.items():
        if section == "devices" or not value:
            continue
        if isinstance(value, dict):
            given = sorted(key for key, item in value.items() if item not in (None, 0, "", []))
            names += [f"{section}.{key}" for key in given]
        else:
            names.append(section)
    return [f"not limited: {', '.join(names)}: {reason}"] if names else []


def make_directory(path: str, rootless: bool) -> str | None:
    """Make the cgroup directory `path` and those above it.

    Returns why not, where the user is not allowed to (`rootless` only). Raises KernelError.
    """
    try:
        _make(path)
    except OSError as error:
        if rootless:
            return f"cgroup {path} cannot be made: {_reason(error)}"
        raise KernelError(f"cannot make cgroup {path}: {_reason(error)}") from None
    return None


def _make(path: str) -> None:
    # The parent is there nearly always; trying first saves a system call a level. It may also
    # vanish in between: the last container of another process takes it away.
    for _ in range(100):
        try:
            posix.mkdir(path, 0o755)
            return
        except FileExistsError:
            return
        except FileNotFoundError:
            parent = path.rpartition("/")[0]
            if not parent:
                raise
            _make(parent)
    raise KernelError(f"cannot make cgroup {path}: its parent is removed again and again")


def remove_directory(path: str, top: str, *, timeout: float) -> None:
    """Remove the cgroup directory `path` with everything below, and the parent `proa` if empty.

    `top`: the hierarchy's mount point ("" if not known). Raises KernelError.
    """
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        try:
            posix.rmdir(path)
            break
        except FileNotFoundError:
            break
        except OSError as error:
            # EBUSY: cgroups below it, or processes that are still on their way out
            for child in children(path):
                remove_directory(child, "", timeout=max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                left = " ".join(map(str, list_processes(path)))
                left = f"; processes are left in it: {left}" if left else ""
                raise KernelError(f"cannot remove cgroup {path}: {_reason(error)}{left}") from None
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    parent = path.rpartition("/")[0]
    if top and parent == f"{top}/{PARENT}":
        try:
            posix.rmdir(parent)
        except OSError:
            pass  # others are in it, or another process was faster


def children(path: str) -> list[str]:
    """The directories right below the cgroup directory `path`."""
    try:
        with posix.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def list_processes(path: str, *, recursive: bool = False) -> list[int]:
    """The ids in `cgroup.procs` of `path` (and of the cgroups below); [] where it is gone."""
    try:
        found = [int(pid) for pid in read(f"{path}/cgroup.procs").split()]
    except OSError:
        found = []
    if recursive:
        for child in children(path):
            found += list_processes(child, recursive=True)
    # 0 stands for a process that is not in our pid namespace
    return [pid for pid in found if pid > 0]


def kill_all(processes: Iterable[int]) -> None:
    """Send SIGKILL to each of `processes` that is still there."""
    for pid in processes:
        try:
            posix.kill(pid, _SIGKILL)
        except ProcessLookupError:
            pass


def wait_until(
    condition: Callable[[], bool], timeout: float, describe: Callable[[], str], pause: float = 2e-4
) -> None:
    """Poll `condition`, often at first; raise TimedOut with `describe()` after `timeout` s."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            raise TimedOut(describe())
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
