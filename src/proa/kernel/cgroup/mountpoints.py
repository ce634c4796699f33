"""Where this machine has its cgroup hierarchies mounted."""

from __future__ import annotations

from proa.kernel.cgroup.files import read
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = "/sys/fs/cgroup"
_OPTIONS = frozenset((b"rw", b"ro", b"xattr", b"clone_children", b"noprefix", b"none"))


@record
class Mountpoints:
    """The mounted hierarchies. Controllers are in version 1 or in version 2, never in both."""

    version_1: Mapping[str, str]
    """controller (or `name=systemd` and its like) → mount point; co-mounted ones share theirs"""
    version_2: str | None
    """mount point of the one hierarchy of version 2; beside version 1 it has no controllers
    that version 1 has"""
    roots: Mapping[str, str]
    """mount point → the cgroup that is its root, where that is not `/`"""

    def directory_v1(self, controller: str, path: str) -> str:
        """The directory of cgroup `path` in the hierarchy of `controller`."""
        mountpoint = self.version_1[controller]
        if not path.startswith("/"):
            path = f"{self._within(mountpoint, own_cgroup(controller))}/{path}"
        return f"{mountpoint}/{_plain(path)}"

    def directory_v2(self, path: str) -> str:
        """The directory of cgroup `path` in the hierarchy of version 2."""
        mountpoint = self.version_2 or ROOT
        if not path.startswith("/"):
            # A cgroup that has processes cannot pass controllers on (cgroup-v2.rst, "No Internal
            # Process Constraint"), so a relative path goes beside our own cgroup, not below it.
            own = self._within(mountpoint, own_cgroup(""))
            path = f"{own.rpartition('/')[0]}/{path}"
        return f"{mountpoint}/{_plain(path)}"

    def _within(self, mountpoint: str, cgroup: str) -> str:
        root = self.roots.get(mountpoint, "/")
        if root != "/" and (cgroup + "/").startswith(root + "/"):
            return cgroup[len(root) :] or "/"
        return cgroup


def discover(mountinfo: bytes | None = None) -> Mountpoints:
    """The hierarchies that this process sees.

    `mountinfo`: the text of /proc/self/mountinfo (proc_pid_mountinfo(5)); read if None.
    """
    if mountinfo is None:
        mountinfo = read("/proc/self/mountinfo")
    version_1: dict[str, str] = {}
    version_2 = None
    roots: dict[str, str] = {}
    for line in mountinfo.split(b"\n"):
        before, separator, after = line.partition(b" - cgroup")
        if not separator:
            continue
        fields = before.split(b" ")
        mountpoint = _unescape(fields[4])
        if fields[3] != b"/":
            roots[mountpoint] = _unescape(fields[3])
        if after[:1] == b"2":
            version_2 = version_2 or mountpoint
            continue
        for option in after.rpartition(b" ")[2].split(b","):
            if option not in _OPTIONS and not option.startswith(b"release_agent="):
                version_1.setdefault(option.decode(), mountpoint)
    if all(name.startswith("name=") for name in version_1) and version_2 is not None:
        version_1 = {}  # a named hierarchy has no controllers: those are in version 2
    return Mountpoints(version_1, version_2, roots)


def own_cgroup(controller: str, *, table: bytes | None = None) -> str:
    """The cgroup of this process in the hierarchy of `controller` ("": version 2).

    `table`: the text of /proc/self/cgroup (cgroups(7)); read if None.
    """
    for line in (read("/proc/self/cgroup") if table is None else table).splitlines():
        _, names, path = line.decode("utf-8", "surrogateescape").split(":", 2)
        if controller in names.split(","):
            return path
    return "/"


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _unescape(field: bytes) -> str:
    # space, tab, newline and backslash are written in octal
    if b"\\" in field:
        for octal, character in (
            (b"\\040", b" "),
            (b"\\011", b"\t"),
            (b"\\012", b"\n"),
            (b"\\134", b"\\"),
        ):
            field = field.replace(octal, character)
    return field.decode("utf-8", "surrogateescape")
