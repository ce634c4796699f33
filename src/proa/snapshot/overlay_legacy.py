"""Overlay mounts on kernels before 6.7, which take all layers in one string of mount(2).

That string has a page, and the mount must be attached somewhere. So a thread of our own gets a
mount namespace of its own: there `/proc/thread-self/fd` is its working directory, each layer is
called by the number of a descriptor, and nobody else sees what is attached. A detached clone of
it outlives the thread; the namespace does not.
"""

from __future__ import annotations

import _thread
import posix
from errno import E2BIG

from proa.kernel.libc import function
from proa.kernel.mount import (
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_REC,
    OPEN_TREE_CLONE,
    mount,
    mount_setattr,
    open_tree,
)
from proa.kernel.path import AT_FDCWD
from proa.snapshot.overlay import OPTIONS, in_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_CLONE_NEWNS = 0x2_0000
_PAGE = 4095


def mount_by_namespace(
    lower: Sequence[str], key_dir: str | None, attributes: int, *, target: str
) -> int:
    """A detached overlay mount. `target` is any directory that this process can reach.

    Raises OSError.
    """
    fd = _in_thread(lower, key_dir, target)
    if attributes & MOUNT_ATTR_RDONLY:
        try:
            mount_setattr(fd, "", attr_set=MOUNT_ATTR_RDONLY)
        except OSError:
            posix.close(fd)
            raise
    return fd


def _hold(path: str, handles: list[int]) -> int:
    handle = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    handles.append(handle)
    return handle


def _data(lower: Sequence[str], key_dir: str | None, handles: list[int]) -> str:
    parts = [f"lowerdir={':'.join(str(_hold(path, handles)) for path in lower)}"]
    if key_dir is not None:
        parts.append(f"upperdir={_hold(f'{key_dir}/upper', handles)}")
        parts.append(f"workdir={_hold(f'{key_dir}/work', handles)}")
    parts += [f"{key}={value}" for key, value in OPTIONS]
    if in_user_namespace():
        parts.append("userxattr")
    data = ",".join(parts)
    if len(data) > _PAGE:
        raise OSError(E2BIG, f"{len(lower)} layers are too many for this kernel")
    return data


def _in_thread(lower: Sequence[str], key_dir: str | None, target: str) -> int:
    outcome: list[int | Exception] = []
    handles: list[int] = []
    done = _thread.allocate_lock()
    done.acquire()

    def work() -> None:
        try:
            # implies CLONE_FS: the working directory, too, becomes this thread's own
            function("unshare", "i", "i")(_CLONE_NEWNS)
            mount(None, "/", None, MS_REC | MS_PRIVATE)
            # opened only now: overlay takes no layer from the mount of another namespace
            data = _data(lower, key_dir, handles)
            posix.chdir("/proc/thread-self/fd")
            mount("overlay", target, "overlay", 0, data)
            outcome.append(open_tree(AT_FDCWD, target, OPEN_TREE_CLONE))
        except Exception as error:
            outcome.append(error)
        finally:
            for handle in handles:
                posix.close(handle)
            done.release()

    _thread.start_new_thread(work, ())
    done.acquire()
    result = outcome[0]
    if isinstance(result, Exception):
        raise result
    return result
