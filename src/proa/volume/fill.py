"""What an image has in the place of a volume, copied into the volume while that is empty.

In two steps, so that whatever is killed in between, the volume has none of it or all: the copy is
made beside the volume's files under another name; when it is complete, which is what its second
name says, what lies in it is moved over, entry by entry. Somebody else who has the volume already
keeps seeing the same directory.
"""

from __future__ import annotations

import os
from errno import ENODATA, ENOTSUP, EPERM

from proa.snapshot.copy_tree import copy_tree
from proa.snapshot.remove import remove_tree
from proa.volume.draft import COPIED, COPYING, has, is_due, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.snapshot.stack import Stack

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fill(stack: Stack, target: int, place: int) -> None:
    """Copy the tree `stack` into the volume, if that is due; owner, mode and xattrs of the
    directory itself are taken over too.

    The caller has a lock by which nobody else fills it. Raises NoSpace, PermissionDenied, OSError.
    """
    if finish(target, place) or not is_due(target, place):
        return
    remove_tree(f"/proc/self/fd/{place}/{COPYING}")
    os.mkdir(COPYING, 0o700, dir_fd=place)
    try:
        _copy(stack, place)
    except BaseException:
        remove_tree(f"/proc/self/fd/{place}/{COPYING}")
        raise
    os.rename(COPYING, COPIED, src_dir_fd=place, dst_dir_fd=place)
    _move(target, place)


def finish(target: int, place: int) -> bool:
    """Move what a complete copy still holds; whether there was one. As `fill` otherwise."""
    if not has(place, COPIED):
        return False
    _move(target, place)
    return True


def _copy(stack: Stack, place: int) -> None:
    draft = os.open(COPYING, _DIRECTORY, dir_fd=place)
    try:
        copy_tree(stack, draft)
        top = stack.open_directory(0, "")
        assert top is not None  # the root of a stack
        try:
            _take_attributes(draft, os.fstat(top), stack.xattrs(0, ""))
        finally:
            os.close(top)
    finally:
        os.close(draft)


def _move(target: int, place: int) -> None:
    """Move what the complete copy holds; what has got there meanwhile stays."""
    draft = os.open(COPIED, _DIRECTORY, dir_fd=place)
    try:
        status = os.fstat(draft)
        path = f"/proc/self/fd/{draft}"
        xattrs = {name: os.getxattr(path, name) for name in _xattrs(path)}
        for name in names(draft):
            if not has(target, name):
                os.rename(name, name, src_dir_fd=draft, dst_dir_fd=target)
        _take_attributes(target, status, xattrs)
    finally:
        os.close(draft)
    remove_tree(f"/proc/self/fd/{place}/{COPIED}")
    # where it lay in the same directory, that has changed it
    os.utime(f"/proc/self/fd/{target}/.", ns=(status.st_atime_ns, status.st_mtime_ns))


def _take_attributes(target: int, like: os.stat_result, xattrs: dict[str, bytes]) -> None:
    """Give the directory `target` what `like` and `xattrs` say."""
    path = f"/proc/self/fd/{target}/."
    os.chown(path, like.st_uid, like.st_gid)
    os.chmod(path, like.st_mode & 0o7777)
    for name, value in xattrs.items():
        try:
            os.setxattr(path, name, value)
        except OSError as error:
            if error.errno not in (ENOTSUP, ENODATA, EPERM):
                raise
    os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


def _xattrs(path: str) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError as error:
        if error.errno != ENOTSUP:
            raise
        return []
