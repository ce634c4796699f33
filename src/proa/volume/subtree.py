"""A part of what is mounted, as a mount of its own."""

from __future__ import annotations

import posix
from errno import EINVAL, ELOOP, EXDEV

from proa.errors import HostileData, KernelError, NotFound
from proa.kernel import mount
from proa.kernel.namespace import CLONE_NEWNS, clone3, unshare
from proa.kernel.path import (
    AT_FDCWD,
    AT_RECURSIVE,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    openat2,
)
from proa.lean.channel import pair


def open_subtree(root: int, path: str, what: str) -> int:
    """A detached mount of `path` below the directory `root`, a descriptor; `what` names that.

    `root` may lie on a detached mount. Links are followed as long as they stay below. The caller
    has one thread. Raises NotFound, HostileData, KernelError.
    """
    try:
        try:
            return _clone(root, path)
        except OSError as error:
            if error.errno != EINVAL:
                raise
            # before Linux 6.15 only what is attached can be cloned: open_tree(2)
            return _clone_attached(root, path, what)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no {path} in {what}: make it first") from None
    except OSError as error:
        if error.errno in (EXDEV, ELOOP):
            raise HostileData(f"{path} in {what} leads out of it, by a link") from None
        raise KernelError(f"cannot open {path} in {what}: {error.strerror}") from None


def _clone(root: int, path: str) -> int:
    place = openat2(root, path, posix.O_PATH, resolve=RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    try:
        return mount.open_tree(place, b"", mount.OPEN_TREE_CLONE | AT_RECURSIVE)
    finally:
        posix.close(place)


def _clone_attached(root: int, path: str, what: str) -> int:
    """The same in a mount namespace of its own, in which the mount of `root` is attached."""
    ours, theirs = pair()
    try:
        child, descriptor = clone3(0)
        if child == 0:
            ours.close()
            try:
                unshare(CLONE_NEWNS)
                mount.mount_setattr(AT_FDCWD, "/", propagation=mount.MS_PRIVATE, flags=AT_RECURSIVE)
                mount.attach(root, "/")
                theirs.send({}, [_clone(root, path)])
            except OSError as error:
                theirs.send({"errno": error.errno or EINVAL})
            finally:
                posix._exit(0)
        posix.close(descriptor)
        theirs.close()
        received = ours.receive()
        posix.waitpid(child, 0)
    finally:
        ours.close()
        theirs.close()
    if received is None:
        raise KernelError(f"the process that opens {path} in {what} has died")
    message, descriptors = received
    if "errno" in message:
        raise OSError(message["errno"], posix.strerror(message["errno"]))
    return descriptors[0]
