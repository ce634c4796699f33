"""A mount that another container has, for one more container to have: its /dev/shm."""

from __future__ import annotations

import posix

from proa.errors import Conflict, KernelError
from proa.kernel import mount
from proa.kernel.namespace import CLONE_NEWNS, clone3, setns
from proa.kernel.path import RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, openat2
from proa.lean.channel import checked, pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.lean.channel import Channel


def borrow(pid: int, path: str) -> int:
    """A detached copy of what is mounted at `path` in the mount namespace of the process `pid`.

    The kernel copies mounts of the caller's own namespace only (open_tree(2)), so that a process
    of ours goes there for it. The path is followed without symbolic links: who is at home there
    may not be a friend. The caller has one thread. Raises Conflict where the process is gone,
    KernelError where nothing is mounted there.
    """
    try:
        namespace = posix.open(f"/proc/{pid}/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise Conflict(
            f"cannot join the mount namespace of process {pid}: {error.strerror}"
        ) from None
    ours, theirs = pair()
    try:
        child, descriptor = clone3(0)
        if child == 0:
            ours.close()
            _fetch(namespace, path, theirs)
            posix._exit(0)
        posix.close(descriptor)
        theirs.close()
        received = ours.receive()
        posix.waitpid(child, 0)
        if received is None:
            raise KernelError(f"the process that fetches {path} of process {pid} has died")
        checked(received[0])
        return received[1][0]
    finally:
        posix.close(namespace)
        ours.close()
        theirs.close()


def _fetch(namespace: int, path: str, channel: Channel) -> None:
    """In the child: go there, and send the copy or what went wrong."""
    try:
        setns(namespace, CLONE_NEWNS)
        root = posix.open("/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        place = openat2(root, path, posix.O_PATH, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)
        copy = mount.open_tree(place, b"", mount.OPEN_TREE_CLONE)
        channel.send({}, [copy])
    except BaseException as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        channel.send({"error": f"{path} of the other container: {reason}", "kind": "KernelError"})
        posix._exit(1)
