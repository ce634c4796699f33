"""Which way of putting layers together a store uses: overlay where it works, else copies.

The file `snapshots` in the store's root holds the choice: a snapshot made one way is of no use
to the other, so the choice stays as long as the store does. Who wants copies where overlay would
work writes `copy` into that file before the store has its first container.
"""

from __future__ import annotations

import _thread
import posix
from errno import EEXIST

from proa.errors import CorruptData, KernelError, PermissionDenied, Unsupported
from proa.snapshot.overlay import OverlaySnapshots
from proa.snapshot.remove import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.snapshot.protocol import Snapshots

KINDS = ("overlay", "copy")


def choose_snapshots(root: str) -> Snapshots:
    """The snapshots of the store at `root`; the first call tries what the machine can do.

    Raises PermissionDenied where this user cannot mount at all, CorruptData where the store's
    choice cannot be read.
    """
    kind = _remembered(root)
    if kind is None:
        kind = _remember(root, _probe(root))
    if kind == "overlay":
        return OverlaySnapshots(root)
    from proa.snapshot.copy import CopySnapshots

    return CopySnapshots(root)


def _remembered(root: str) -> str | None:
    try:
        fd = posix.open(f"{root}/snapshots", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        kind = posix.read(fd, 64).decode("ascii", "replace").strip()
    finally:
        posix.close(fd)
    if kind not in KINDS:
        raise CorruptData(f"{root}/snapshots holds {kind!r}, which is neither overlay nor copy")
    return kind


def _remember(root: str, kind: str) -> str:
    """Keep `kind` for the store, unless another process was first; return what holds now."""
    path = f"{root}/snapshots"
    draft = f"{path}.{posix.getpid()}-{_thread.get_ident():x}"
    fd = posix.open(draft, posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
    try:
        posix.write(fd, kind.encode() + b"\n")
        # before the name: a crash must not leave an empty choice behind
        posix.fsync(fd)
    finally:
        posix.close(fd)
    try:
        posix.link(draft, path)
    except OSError as error:
        if error.errno != EEXIST:
            raise
        return _remembered(root) or kind
    finally:
        posix.unlink(draft)
    return kind


def _probe(root: str) -> str:
    """Whether an overlay mount whose upper directory lies in `root` can be made."""
    snapshots = OverlaySnapshots(root)
    key_dir = f"{root}/probe.{posix.getpid()}-{_thread.get_ident():x}"
    try:
        snapshots.prepare(key_dir)
        try:
            fd = snapshots.mount(key_dir, ())
        except PermissionDenied:
            raise
        except (KernelError, Unsupported):
            return "copy"
        try:
            # some file systems accept the mount, and fail at the first whiteout: such as the one
            # of a directory that lies below every image
            posix.mkdir("x", 0o700, dir_fd=fd)
            posix.rmdir("proc", dir_fd=fd)
        except OSError:
            return "copy"
        finally:
            posix.close(fd)
    finally:
        remove_tree(key_dir)
    return "overlay"
