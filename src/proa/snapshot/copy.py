"""Snapshots by plain copies, where there is no overlay: a container's root is a copy of its layers.

Slower to start, and each container takes the space of its whole image (less on file systems that
share blocks between copies, such as btrfs and xfs); otherwise a container cannot tell.

    KEY_DIR/root     the copy: complete, as it gets this name last
    KEY_DIR/copied   an empty file, made after that: what is changed later has no earlier ctime
    KEY_DIR/draft    a copy that is being made, or was interrupted: the next one begins anew
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from proa.errors import NotFound
from proa.kernel.libc import function
from proa.kernel.mount import (
    MOUNT_ATTR_RDONLY,
    OPEN_TREE_CLONE,
    fsconfig_create,
    fsmount,
    fsopen,
    mount_setattr,
    open_tree,
)
from proa.kernel.path import AT_FDCWD
from proa.snapshot.base import make_base
from proa.snapshot.copy_tree import copy_tree
from proa.snapshot.overlay import (
    OverlaySnapshots,
    make_directory,
    measure,
    read_only_clone,
    take_owner,
)
from proa.snapshot.protocol import Usage
from proa.snapshot.remove import remove_tree
from proa.snapshot.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proa.snapshot.diff import Change


class CopySnapshots:
    """The protocol `Snapshots` by copies. Safe to use from several threads and processes."""

    kind = "copy"

    def __init__(self, root: str) -> None:
        self.root = root
        self._overlay = OverlaySnapshots(root)

    def layer_path(self, diff_id: str) -> str:
        """Where the layer's files lie."""
        return self._overlay.layer_path(diff_id)

    def prepare(self, key_dir: str, layers: Sequence[str] = ()) -> None:
        """Make `key_dir`. The copy is made with the first mount: not every container starts."""
        del layers  # as they are when it is mounted
        make_directory(key_dir, 0o700)

    def mount(self, key_dir: str, layers: Sequence[str], *, read_only: bool = False) -> int:
        """A detached mount of the copy, which is made before unless that was done already."""
        copy = f"{key_dir}/root"
        if not os.path.isdir(copy):
            self._copy(key_dir, layers)
        if read_only:
            return read_only_clone(copy)
        return open_tree(AT_FDCWD, copy, OPEN_TREE_CLONE)

    def look(self, key_dir: str, layers: Sequence[str]) -> int:
        """A detached read-only mount of the copy."""
        return self.mount(key_dir, layers, read_only=True)

    def files(self, key_dir: str, layers: Sequence[str]) -> Stack:
        """The copy, or where there is none yet, what it would be made of."""
        copy = f"{key_dir}/root"
        if os.path.isdir(copy):
            return Stack([copy], marked=False)
        return Stack([path for path in self.lower(layers) if os.path.isdir(path)])

    def lower(self, layers: Sequence[str]) -> list[str]:
        """The directories that are copied, topmost first."""
        return self._overlay.lower(layers)

    def view(self, layers: Sequence[str]) -> int:
        """A detached read-only copy in memory, so that it goes with whoever holds it."""
        context = fsopen("tmpfs")
        try:
            fsconfig_create(context)
            mount = fsmount(context, 0)
        finally:
            os.close(context)
        try:
            with Stack([self.layer_path(layer) for layer in reversed(layers)]) as stack:
                copy_tree(stack, mount)
            mode = 0o755
            # the descriptor of a mount stands for a path, and takes no fchmod(2)
            top = f"/proc/self/fd/{mount}/."
            if layers:
                status = os.stat(self.layer_path(layers[-1]))
                mode = status.st_mode & 0o7777
                os.chown(top, status.st_uid, status.st_gid)
            os.chmod(top, mode)
            mount_setattr(mount, "", attr_set=MOUNT_ATTR_RDONLY)
        except BaseException:
            os.close(mount)
            raise
        return mount

    def changed(self, key_dir: str) -> str:
        """The copy: all files of the container."""
        return f"{key_dir}/root"

    def changes(self, key_dir: str, layers: Sequence[str]) -> Iterator[Change]:
        """What differs between the copy and the layers."""
        from proa.snapshot.diff import compare_trees

        copy = f"{key_dir}/root"
        if not os.path.isdir(copy):
            return  # it was never started
        try:
            since = os.stat(f"{key_dir}/copied").st_ctime_ns
        except FileNotFoundError:
            since = None  # interrupted right between the two: everything is compared
        with (
            Stack([copy], marked=False) as new,
            Stack(self.lower(layers)) as old,
        ):
            yield from compare_trees(new, old, since=since)

    def usage(self, key_dir: str) -> Usage:
        """What the copy takes."""
        if os.path.isdir(f"{key_dir}/root"):
            return measure(f"{key_dir}/root")
        if os.path.isdir(key_dir):
            return Usage(0, 0, 0)
        raise NotFound(f"no such snapshot: {key_dir} is missing")

    def remove(self, key_dir: str) -> None:
        """Remove `key_dir` and all below it."""
        remove_tree(key_dir)

    def _copy(self, key_dir: str, layers: Sequence[str]) -> None:
        try:
            lock = os.open(key_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"no such snapshot: {key_dir} is missing") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(f"{key_dir}/root"):
                self._copy_locked(key_dir, layers)
        finally:
            os.close(lock)

    def _copy_locked(self, key_dir: str, layers: Sequence[str]) -> None:
        lower = self.lower(layers)
        if not os.path.isdir(lower[-1]):
            make_directory(os.path.dirname(lower[-1]), 0o700)
            make_base(lower[-1])
        draft = f"{key_dir}/draft"
        remove_tree(draft)
        make_directory(draft, 0o755)
        if layers:
            take_owner(draft, lower[0])
        target = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with Stack(lower) as stack:
                copy_tree(stack, target)
            # its name says that it is complete, and must not be on the disk before its files
            function("syncfs", "i", "i")(target)
        except BaseException:
            remove_tree(draft)
            raise
        finally:
            os.close(target)
        os.rename(draft, f"{key_dir}/root")
        os.close(os.open(f"{key_dir}/copied", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
