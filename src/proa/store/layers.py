"""Layers on disk: directories named by their diff IDs, and what is known of them."""

from __future__ import annotations

import posix

from proa.store.lock import FileLock
from proa.store.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from proa.oci.digest import Digest
    from proa.store.database import Database

TEMPORARY = ".tmp-"
"""What marks, after the hex of a diff ID, a directory that is being filled or removed."""


class Layers:
    """The unpacked layers of a store.

    A layer that an image or a container refers to is complete and on the disk. One that was
    unpacked a moment ago is complete; it is known to be on the disk once it is `settled`.
    """

    def __init__(self, database: Database, directory: str, locks: str) -> None:
        self._database = database
        self.root = directory
        self.locks = locks

    def path(self, diff_id: Digest) -> str:
        """The layer's own directory; `fs` in it holds the files."""
        return f"{self.root}/{diff_id.partition(':')[2]}"

    def tree(self, diff_id: Digest) -> str:
        """The directory with the layer's files, in overlayfs form."""
        return f"{self.root}/{diff_id.partition(':')[2]}/fs"

    def is_unpacked(self, diff_id: Digest) -> bool:
        """Whether the layer is there and complete.

        A directory alone says nothing: after a power failure it may be there without its files.
        """
        row = self._database.one("SELECT boot FROM layers WHERE diff_id = ?1", (diff_id,))
        if row is None or row[0] not in ("", _boot()):
            return False
        return _is_there(self.tree(diff_id))

    def size(self, diff_id: Digest) -> int:
        """Bytes on disk; 0 where it is not unpacked."""
        row = self._database.one("SELECT size FROM layers WHERE diff_id = ?1", (diff_id,))
        return row[0] if row else 0

    def sizes(self) -> dict[str, int]:
        """Bytes on disk of all layers, by diff ID."""
        return dict(self._database.all("SELECT diff_id, size FROM layers"))

    def unpack(self, diff_id: Digest) -> Unpacking:
        """Unpack a layer within `with`: processes that want the same one wait for each other."""
        return Unpacking(self, self._database, diff_id)

    def settle(self, *diff_ids: Digest) -> None:
        """See to it that these layers survive a power failure: wait for the disk."""
        unsettled = [
            diff_id
            for diff_id in diff_ids
            if self._database.one(
                "SELECT 1 FROM layers WHERE diff_id = ?1 AND boot <> ''", (diff_id,)
            )
        ]
        if not unsettled:
            return
        from proa.kernel.libc import function

        descriptor = posix.open(self.root, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            # thousands of files: one wait for the file system, not one for each
            function("syncfs", "i", "i")(descriptor)
        finally:
            posix.close(descriptor)
        for diff_id in unsettled:
            self._database.run("UPDATE layers SET boot = '' WHERE diff_id = ?1", (diff_id,))


class Unpacking:
    """The right to unpack one layer; see `Layers.unpack`.

    with layers.unpack(diff_id) as unpacking:
        if not unpacking.is_done:
            ... fill unpacking.tree ...
            unpacking.commit(size)
    """

    def __init__(self, layers: Layers, database: Database, diff_id: Digest) -> None:
        self._layers = layers
        self._database = database
        self._diff_id = diff_id
        digits = diff_id.partition(":")[2]
        self._lock = FileLock(f"{layers.locks}/layer-{digits}", remove=True)
        self._directory = ""
        self.is_done = False
        """somebody else was faster"""

    @property
    def tree(self) -> str:
        """The empty directory to unpack into."""
        return self._directory + "/fs"

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            self.is_done = self._layers.is_unpacked(self._diff_id)
            if not self.is_done:
                path = self._layers.path(self._diff_id)
                self._directory = f"{path}{TEMPORARY}{posix.urandom(8).hex()}"
                posix.mkdir(self._directory, 0o700)
                posix.mkdir(self.tree, 0o755)
        except BaseException:
            self._leave()
            raise
        return self

    def commit(self, size: int) -> None:
        """The tree is complete and verified, and takes `size` bytes: make it the layer."""
        path = self._layers.path(self._diff_id)
        # what stands there without a row is what a power failure left
        discard(path)
        self._database.run(
            "INSERT INTO layers (diff_id, size, created, boot) VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT DO UPDATE SET size = ?2, created = ?3, boot = ?4",
            (self._diff_id, size, _now(), _boot()),
        )
        posix.rename(self._directory, path)
        self._directory = ""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        try:
            if self._directory:
                remove_tree(self._directory)
        finally:
            self._lock.release()


def discard(path: str) -> None:
    """Take a layer's directory away: at once under another name, then really."""
    try:
        doomed = f"{path}{TEMPORARY}{posix.urandom(8).hex()}"
        posix.rename(path, doomed)
    except FileNotFoundError:
        return
    remove_tree(doomed)


def _is_there(path: str) -> bool:
    try:
        posix.stat(path)
    except FileNotFoundError:
        return False
    return True


def _boot() -> str:
    """What tells this boot of the machine from all others (random(4))."""
    descriptor = posix.open("/proc/sys/kernel/random/boot_id", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 64).decode().strip()
    finally:
        posix.close(descriptor)


def _now() -> int:
    import time

    return time.time_ns()
