"""A corner of the machine for the peers, of which nothing is left afterwards.

Own mount and network namespaces: what dockerd writes to /run and /etc, its bridge and its
firewall rules exist in here only. Whatever is started here is a descendant of this process,
which adopts orphans, and is killed in the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

from tests.support import leaks, processes

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000
_UNIFIED = "/sys/fs/cgroup/unified"


@contextlib.contextmanager
def entered(configuration: str | None = None) -> Iterator[str]:
    """Enter the corner, for good; the path of an empty directory to work in.

    `configuration`: a directory whose content is to appear in /etc. Raises OSError where the
    kernel refuses, PermissionError for want of root.
    """
    processes.become_subreaper()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), "unshare")
    if libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), "/")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # a short path: sockets lie below it, and a socket's path has 107 bytes at most
    work = tempfile.mkdtemp(prefix="pb-")
    try:
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", work)
        _cover_etc(work, configuration)
        if os.path.exists(f"{_UNIFIED}/cgroup.controllers"):
            # crun 1.8 refuses a machine where both versions of cgroups have controllers
            subprocess.run(["umount", _UNIFIED], check=True)
        before = leaks.observe()
        try:
            yield work
        finally:
            leaks.mend(before)
            _remove_parent_cgroups(before)
    finally:
        subprocess.run(["umount", "--lazy", "--recursive", work], check=False)
        os.rmdir(work)


def fresh_disk(path: str, megabytes: int = 8192) -> None:
    """Mount a new ext4 on the new directory `path`.

    A used one is slower: after a large tree is removed, making inodes takes up to ten times as
    long.
    """
    image = f"{path}.img"
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    # all tables written now, or a kernel thread would write them while we measure
    options = "lazy_itable_init=0,lazy_journal_init=0"
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-E", options, "-i", "32768", "-J", "size=64", image], check=True
    )
    os.mkdir(path)
    _mount("-o", "loop,noatime", image, path)


def discard_disk(path: str) -> None:
    """Unmount and remove what `fresh_disk` made."""
    subprocess.run(["umount", "--recursive", path], check=True)
    os.rmdir(path)
    os.unlink(f"{path}.img")


def _cover_etc(work: str, configuration: str | None) -> None:
    layers = [layer for layer in (configuration, "/etc") if layer]
    upper, scratch = os.path.join(work, "etc"), os.path.join(work, "etc-work")
    os.mkdir(upper)
    os.mkdir(scratch)
    options = f"lowerdir={':'.join(layers)},upperdir={upper},workdir={scratch}"
    _mount("-t", "overlay", "-o", options, "overlay", "/etc")


def _remove_parent_cgroups(before: leaks.Traces) -> None:
    for cgroup in sorted(leaks.observe().cgroups - before.cgroups, reverse=True):
        with contextlib.suppress(OSError):
            os.rmdir(cgroup)


def _mount(*arguments: str) -> None:
    subprocess.run([shutil.which("mount") or "mount", *arguments], check=True)
