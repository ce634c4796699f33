"""Where images and containers lie: the union file system, the disk below it."""

from __future__ import annotations

import os
import shutil
import tempfile

from proa.engine.check.finding import LIMITED, MISSING, OK, Finding, tried
from proa.kernel import mount, namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ENOUGH = 2 << 30
"""Bytes that a few images and containers take."""


def findings(root: str) -> Iterator[Finding]:
    """The findings about the engine's directory `root`, which need not exist yet."""
    existing = root
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing) or "/"
    yield _disk(root, existing)
    directory = _scratch(existing)
    if directory is None:
        yield Finding(
            "overlay",
            MISSING,
            f"cannot be tried: {existing} is not writable for this user",
            "no container can run",
            "give a directory of your own with --root",
            essential=True,
        )
        return
    try:
        yield _overlay(directory, lower=1, name="overlay")
        yield _overlay(directory, lower=200, name="overlay of 200 layers")
        yield _id_mapped(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _scratch(directory: str) -> str | None:
    try:
        return tempfile.mkdtemp(prefix=".check-", dir=directory)
    except OSError:
        return None


def _disk(root: str, existing: str) -> Finding:
    status = os.statvfs(existing)
    free = status.f_bavail * status.f_frsize
    kind = _type_of(existing)
    text = f"{free / 1e9:.1f} GB free on {kind}, for {root}"
    if status.f_flag & os.ST_RDONLY:
        return Finding(
            "disk",
            MISSING,
            f"{existing} is on a read-only file system",
            "no images, no containers",
            "give another directory with --root",
            essential=True,
        )
    if free < _ENOUGH:
        return Finding(
            "disk", LIMITED, text, "images may not fit", "make room: proa rm, proa rmi; or --root"
        )
    return Finding("disk", OK, text)


def _type_of(path: str) -> str:
    """The type of the file system that `path` lies on."""
    path = os.path.realpath(path)
    best, kind = "", "an unknown file system"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            point = left.split()[4]
            if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
                best, kind = point, right.split()[0]
    return kind


def _overlay(directory: str, *, lower: int, name: str) -> Finding:
    base = os.path.join(directory, str(lower))
    for number in range(lower):
        os.makedirs(f"{base}/l{number}")
    for part in ("upper", "work"):
        os.makedirs(f"{base}/{part}")

    def probe() -> None:
        if os.geteuid() != 0:
            from proa.monitor.rootless import enter

            enter()
        else:
            namespace.unshare(namespace.FLAGS["mount"])
        context = mount.fsopen("overlay")
        for number in range(lower):
            mount.fsconfig_string(context, "lowerdir+", f"{base}/l{number}")
        mount.fsconfig_string(context, "upperdir", f"{base}/upper")
        mount.fsconfig_string(context, "workdir", f"{base}/work")
        if os.geteuid() != 0 or not _owns_machine():
            mount.fsconfig_flag(context, "userxattr")
        mount.fsconfig_create(context)
        descriptor = mount.fsmount(context)
        os.close(os.open("made", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))

    reason = tried(probe)
    if not reason:
        return Finding(name, OK, "mounted by fsconfig, and written to")
    if lower > 1:
        return Finding(
            name,
            LIMITED,
            reason,
            "images of many layers cannot be mounted",
            "use Linux 6.5 or newer, which takes layers one by one (lowerdir+)",
        )
    return Finding(
        name,
        LIMITED,
        reason,
        "older ways are tried: the layers' paths in one page (Linux < 6.5), or a plain copy of the"
        " image for each container, which takes time and room",
        "put --root on ext4, xfs or btrfs; modprobe overlay",
    )


def _owns_machine() -> bool:
    from proa.kernel.process import owns_machine

    return owns_machine()


def _id_mapped(directory: str) -> Finding:
    from proa.kernel.idmap import user_namespace
    from proa.kernel.path import AT_FDCWD

    def probe() -> None:
        users = user_namespace([(0, 1000, 1)], [(0, 1000, 1)])
        descriptor = mount.open_tree(AT_FDCWD, directory, mount.OPEN_TREE_CLONE)
        mount.mount_setattr(descriptor, b"", userns_fd=users)

    reason = tried(probe) if os.geteuid() == 0 else "only root can map the ids of a mount"
    if not reason:
        return Finding("idmapped mounts", OK, f"on {_type_of(directory)}")
    return Finding(
        "idmapped mounts",
        LIMITED,
        reason,
        "the owners of files in bind mounts cannot be translated (mount option idmap)",
        "be root, and use a file system that supports them, such as ext4 or xfs",
    )
