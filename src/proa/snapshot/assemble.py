"""A root file system with further mounts in it, attached nowhere.

Mounts can be put together only where they are attached. So a thread of our own gets a mount
namespace of its own and puts them together there; a detached clone of all of it outlives the
thread, and the namespace does not.
"""

from __future__ import annotations

import _thread
import posix

from proa.kernel.libc import function
from proa.kernel.mount import (
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_REC,
    OPEN_TREE_CLONE,
    attach,
    mount,
    mount_setattr,
    open_tree,
)
from proa.kernel.path import AT_FDCWD, AT_RECURSIVE, mkdirs_in_root, open_in_root
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_CLONE_NEWNS = 0x2_0000


@record
class Bind:
    """A file or directory of the host in the file system."""

    source: str
    target: str
    read_only: bool = False


def assemble(root: int, binds: Sequence[Bind], *, at: str) -> int:
    """A detached mount of the detached mount `root` with `binds` in it, in their order.

    A source that is missing is left out. A target that is missing is made, where the file system
    can be written to, and left out otherwise. `at`: any directory that this process can reach.
    Raises OSError.
    """
    outcome: list[int | Exception] = []
    done = _thread.allocate_lock()
    done.acquire()

    def work() -> None:
        try:
            function("unshare", "i", "i")(_CLONE_NEWNS)
            mount(None, "/", None, MS_REC | MS_PRIVATE)
            # before anything else is mounted: the sources are those of the host
            sources = [_clone(bind) for bind in binds]
            try:
                attach(root, at)
                for bind, source in zip(binds, sources, strict=True):
                    if source >= 0:
                        _bind(root, bind, source)
                outcome.append(open_tree(root, "", OPEN_TREE_CLONE | AT_RECURSIVE))
            finally:
                for source in sources:
                    if source >= 0:
                        posix.close(source)
        except Exception as error:
            outcome.append(error)
        finally:
            done.release()

    _thread.start_new_thread(work, ())
    done.acquire()
    result = outcome[0]
    if isinstance(result, Exception):
        raise result
    return result


def _clone(bind: Bind) -> int:
    try:
        source = open_tree(AT_FDCWD, bind.source, OPEN_TREE_CLONE | AT_RECURSIVE)
    except OSError:
        return -1
    if bind.read_only:
        mount_setattr(source, "", attr_set=MOUNT_ATTR_RDONLY)
    return source


def _bind(root: int, bind: Bind, source: int) -> None:
    try:
        target = _target(root, bind.target, posix.fstat(source).st_mode & 0o170000 == 0o040000)
    except OSError:
        return
    try:
        attach(source, "", dir_fd=target)
    finally:
        posix.close(target)


def _target(root: int, path: str, is_directory: bool) -> int:
    try:
        return open_in_root(root, path, posix.O_PATH)
    except FileNotFoundError:
        if is_directory:
            return mkdirs_in_root(root, path)
        posix.close(mkdirs_in_root(root, path.rstrip("/").rpartition("/")[0]))
        posix.close(open_in_root(root, path, posix.O_RDONLY | posix.O_CREAT, 0o644))
        return open_in_root(root, path, posix.O_PATH)
