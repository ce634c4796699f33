"""The root file system while it is being put together: where its paths lead.

Whatever the image, or another container that shares a volume with this one, does to the
directories on the way: a path is resolved by the kernel with the root file system as `/`, and what
follows is done to the descriptor. File systems that the runtime itself has just mounted are
reached by their own descriptors, so that nobody can put another one in their place.
"""

from __future__ import annotations

import posix
from errno import ELOOP, ENOENT, EXDEV

from proa.errors import HostileData, InvalidArgument
from proa.kernel.libc import Buffer, function
from proa.kernel.mount import attach
from proa.kernel.path import (
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
    mkdirs_in_root,
    open_in_root,
    openat2,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PROC_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572

_ALLOWED_IN_PROC = frozenset(
    (
        "cpuinfo",
        "diskstats",
        "loadavg",
        "meminfo",
        "net/dev",
        "slabinfo",
        "stat",
        "swaps",
        "sys/crypto/fips_enabled",
        "sys/kernel/ns_last_pid",
        "uptime",
    )
)
"""Files of /proc that lxcfs and its like put their own in place of; nothing there is written to
by whoever sets up a process."""


class Place:
    """A root file system: its descriptor, and those of what was mounted in it."""

    def __init__(
        self,
        root: int,
        *,
        sources: list[int] | None = None,
        user_namespace: bool = False,
        join_cgroup: Callable[[], None] | None = None,
    ) -> None:
        self.root = root
        self.sources = sources or []
        """detached mounts for the bind mounts of the plan, in its order"""
        self.user_namespace = user_namespace
        self.mounted: dict[str, int] = {}
        """destination → descriptor of a file system that the runtime made itself"""
        self.join_cgroup = join_cgroup or _nothing
        """waits until the process is in its cgroup; what shows cgroups comes after it"""
        self._proc_device: int | None = None

    def made(self, destination: str, descriptor: int, *, proc: bool = False) -> None:
        """A file system was mounted at `destination`."""
        self.mounted[destination] = descriptor
        if proc:
            self._proc_device = posix.fstat(descriptor).st_dev

    def covered(self, destination: str) -> None:
        """Something else was mounted at `destination`: what was made there or below is hidden."""
        prefix = destination.rstrip("/") + "/"
        for known in [*self.mounted]:
            if known == destination or known.startswith(prefix):
                del self.mounted[known]

    def open(self, path: str, flags: int = posix.O_PATH) -> int:
        """Open `path` in the container. Raises OSError."""
        base, rest = self._base_of(path)
        if base is None:
            return open_in_root(self.root, path, flags)
        return openat2(base, rest, flags, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)

    def directory(self, path: str) -> int:
        """The directory `path` of the container, made with its parents if missing."""
        base = self.mounted.get(path)
        return mkdirs_in_root(self.root, path) if base is None else base

    def target(self, destination: str, *, is_directory: bool) -> int:
        """Where to mount, made if missing. Raises HostileData for places in /proc, OSError."""
        if is_directory:
            descriptor = mkdirs_in_root(self.root, destination)
        else:
            descriptor = self._file(destination)
        self._check(destination, descriptor)
        return descriptor

    def has(self, destination: str) -> bool:
        """Whether there is anything at `destination`."""
        try:
            descriptor = open_in_root(self.root, destination, posix.O_PATH | posix.O_CLOEXEC)
        except OSError:
            return False
        posix.close(descriptor)
        return True

    def plain_directory(self, destination: str) -> int:
        """The directory on which /proc or /sys is mounted: no link leads to it.

        Otherwise they would not be where everything else expects them, and what is masked in them
        would not be masked. Raises HostileData, OSError.
        """
        while True:
            try:
                return openat2(
                    self.root,
                    destination.lstrip("/") or ".",
                    posix.O_PATH | posix.O_DIRECTORY,
                    resolve=RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
                )
            except OSError as error:
                if error.errno == ENOENT:
                    posix.close(mkdirs_in_root(self.root, destination))
                    continue
                if error.errno in (ELOOP, EXDEV):
                    raise HostileData(
                        f"{destination} of the root file system is reached by a symbolic link; "
                        "it must be a directory"
                    ) from None
                raise

    def mount_over(self, mount: int, target: int) -> None:
        """Attach the detached mount at what `target` describes."""
        attach(mount, b"", dir_fd=target)

    def _file(self, path: str) -> int:
        try:
            return open_in_root(self.root, path, posix.O_PATH)
        except OSError as error:
            if error.errno != ENOENT:
                raise
        parent, _, _ = path.rstrip("/").rpartition("/")
        posix.close(mkdirs_in_root(self.root, parent))
        return open_in_root(self.root, path, posix.O_RDONLY | posix.O_CREAT | posix.O_NOCTTY, 0o644)

    def _base_of(self, path: str) -> tuple[int | None, str]:
        """The file system of our own that `path` lies in, and the rest of the path."""
        prefix = path
        while prefix:
            base = self.mounted.get(prefix)
            if base is not None:
                return base, path[len(prefix) + 1 :] or "."
            prefix = prefix.rpartition("/")[0]
        return None, path

    def _check(self, destination: str, target: int) -> None:
        if self._proc_device is None or posix.fstat(target).st_dev != self._proc_device:
            return
        if destination.startswith("/proc/") and destination[6:] in _ALLOWED_IN_PROC:
            return
        raise HostileData(
            f"{destination} lies in /proc: nothing can be mounted there; "
            "take the mount out of the spec"
        )


def normalize(path: object) -> str:
    """A destination as an absolute path without `.`, `..` and double slashes.

    Raises InvalidArgument.
    """
    if not isinstance(path, str) or not path or "\0" in path:
        raise InvalidArgument(f"not a path in a container: {path!r}")
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def file_system_type(descriptor: int) -> int:
    """The magic number of the file system that `descriptor` lies on: statfs(2)."""
    answer = Buffer(256)
    function("fstatfs", "ip", "i")(descriptor, answer)
    return int.from_bytes(answer.data[:8], "little")


def _nothing() -> None:
    """There is no cgroup to wait for."""
