"""What is in a container's /dev, as operations: device nodes, and the links programs expect."""

from __future__ import annotations

import posix
from errno import EPERM

from proa.errors import InvalidArgument, KernelError
from proa.kernel import mount
from proa.kernel.path import AT_FDCWD
from proa.lean.record import record
from proa.runtime.place import normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from proa.runtime.place import Place

_S_IFMT = 0o170000
KINDS = {"c": 0o020000, "u": 0o020000, "b": 0o060000, "p": 0o010000}

DEFAULT = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
"""The devices that every container has: OCI runtime-spec, "Default Devices"."""

LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
)
"""runtime-spec, "Dev symbolic links" and "Default Devices"."""

KERNEL_MEMORY = "/proc/kcore"
"""Linked where the kernel has it; its place in a container is masked by default."""


@record
class Device:
    """A device node."""

    path: str
    kind: int
    """S_IFCHR, S_IFBLK, S_IFIFO"""
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0

    def __str__(self) -> str:
        return f"make device {self.path}"

    def execute(self, place: Place) -> None:
        """Make it; in a user namespace, which may not, bind the host's. Raises OSError."""
        parent, _, name = self.path.rpartition("/")
        directory = place.directory(parent)
        number = posix.makedev(self.major, self.minor)
        if place.user_namespace and self.kind != KINDS["p"]:
            self._bind(place)
            return
        try:
            posix.mknod(name, self.kind | self.mode, number, dir_fd=directory)
        except FileExistsError:
            if self._is_there(name, directory, number):
                return
            # an image that was made from a container has an empty file there
            posix.unlink(name, dir_fd=directory)
            posix.mknod(name, self.kind | self.mode, number, dir_fd=directory)
        except OSError as error:
            if error.errno != EPERM:
                raise
            self._bind(place)
            return
        if self.uid or self.gid:
            posix.chown(name, self.uid, self.gid, dir_fd=directory, follow_symlinks=False)

    def _is_there(self, name: str, directory: int, number: int) -> bool:
        status = posix.stat(name, dir_fd=directory, follow_symlinks=False)
        return status.st_mode & _S_IFMT == self.kind and status.st_rdev == number

    def _bind(self, place: Place) -> None:
        source = mount.open_tree(AT_FDCWD, self.path, mount.OPEN_TREE_CLONE)
        status = posix.fstat(source)
        if status.st_mode & _S_IFMT != self.kind or status.st_rdev != posix.makedev(
            self.major, self.minor
        ):
            raise KernelError(
                f"{self.path} of the host is not the device {self.major}:{self.minor}; "
                "a user namespace cannot make devices of its own"
            )
        place.mount_over(source, place.target(self.path, is_directory=False))


@record
class Link:
    """A symbolic link."""

    path: str
    target: str

    def __str__(self) -> str:
        return f"link {self.path} to {self.target}"

    def execute(self, place: Place) -> None:
        """Make it; what is there stays, but for /dev/ptmx, which must be the container's own."""
        parent, _, name = self.path.rpartition("/")
        directory = place.directory(parent)
        try:
            posix.symlink(self.target, name, dir_fd=directory)
        except FileExistsError:
            if name != "ptmx":
                return
            status = posix.stat(name, dir_fd=directory, follow_symlinks=False)
            if status.st_mode & _S_IFMT == 0o120000:
                if posix.readlink(name, dir_fd=directory) == self.target:
                    return
            elif status.st_mode & _S_IFMT == 0o040000:
                raise
            posix.unlink(name, dir_fd=directory)
            posix.symlink(self.target, name, dir_fd=directory)


def plan(devices: list[Mapping[str, Any]]) -> Iterator[Device | Link]:
    """The default devices, those of the spec (OCI's linux.devices), and the links.

    Raises InvalidArgument.
    """
    found = {path: Device(path, KINDS["c"], major, minor) for path, major, minor in DEFAULT}
    for entry in devices:
        kind = KINDS.get(str(entry.get("type")))
        if kind is None:
            raise InvalidArgument(
                f"device {entry.get('path')} has no type that is known: {entry.get('type')!r}; "
                "say c, b, u or p"
            )
        path = normalize(entry.get("path"))
        mode = entry.get("fileMode")
        found[path] = Device(
            path,
            kind,
            int(entry.get("major") or 0),
            int(entry.get("minor") or 0),
            0o666 if mode is None else int(mode) & 0o7777,
            int(entry.get("uid") or 0),
            int(entry.get("gid") or 0),
        )
    yield from found.values()
    for path, target in LINKS:
        yield Link(path, target)
    if posix.access(KERNEL_MEMORY, posix.F_OK):
        yield Link("/dev/core", KERNEL_MEMORY)
