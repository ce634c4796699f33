"""Layers on disk: directories named by their diff IDs, and what is known of them."""

from __future__ import annotations

import posix
import time

from proa.lean import clock
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
        if row is None or row[0] not in ("", clock.boot_id()):
            return False
        return _is_there(self.tree(diff_id))

    def size(self, diff_id: Digest) -> int:
        """Bytes on disk; 0 where it is not unpacked."""
        row = self._database.one("SELECT size FROM layers WHERE diff_id = ?1", (diff_id,))
        return row[0] if row else 0

    def sizes(self) -> dict[str, int]:
        """Bytes on disk of all layers, by diff ID."""
        return dict(self._database.all("SELECT diff_id, size FROM layers"))

    def note_disk(self, diff_id: str, disk: int) -> None:
        """Record how many bytes are allocated for a layer."""
        self._database.run("UPDATE layers SET disk = ?2 WHERE diff_id = ?1", (diff_id, disk))

    def unpack(self, diff_id: Digest) -> Unpacking:
        """Unpack a layer within `with`: processes that want the same one wait for each other."""
        return Unpacking(self, diff_id)

    def note(self, diff_id: Digest, size: int) -> None:
        """Record a layer that is about to get its name: complete, not known to be on the disk."""
        self._database.run(
            "INSERT INTO layers (diff_id, size, created, boot) VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT DO UPDATE SET size = ?2, created = ?3, boot = ?4, disk = NULL",
            (diff_id, size, time.time_ns(), clock.boot_id()),
        )

    def build(self) -> Building:
        """Make a layer, within `with`, whose diff ID is known only when it is complete."""
        return Building(self)

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


class _Filling:
    """A directory that is being filled, and the lock that says so."""

    def __init__(self, layers: Layers, digits: str) -> None:
        self._layers = layers
        self._digits = digits
        self._lock = FileLock(f"{layers.locks}/layer-{digits}", remove=True)
        self._directory = ""

    @property
    def tree(self) -> str:
        """The empty directory to unpack into."""
        return self._directory + "/fs"

    def _make(self) -> None:
        path = f"{self._layers.root}/{self._digits}{TEMPORARY}{posix.urandom(8).hex()}"
        posix.mkdir(path, 0o700)
        self._directory = path
        posix.mkdir(self.tree, 0o755)

    def _place(self, diff_id: Digest, size: int) -> None:
        path = self._layers.path(diff_id)
        # what stands there without a row is what a power failure left
        discard(path)
        self._layers.note(diff_id, size)
        posix.rename(self._directory, path)
        self._directory = ""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            if self._directory:
                remove_tree(self._directory)
        finally:
            self._lock.release()


class Unpacking(_Filling):
    """The right to unpack one layer; see `Layers.unpack`.

    with layers.unpack(diff_id) as unpacking:
        if not unpacking.is_done:
            ... fill unpacking.tree ...
            unpacking.commit(size)
    """

    def __init__(self, layers: Layers, diff_id: Digest) -> None:
        super().__init__(layers, diff_id.partition(":")[2])
        self._diff_id = diff_id
        self.is_done = False
        """somebody else was faster"""

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            self.is_done = self._layers.is_unpacked(self._diff_id)
            if not self.is_done:
                self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def commit(self, size: int) -> None:
        """The tree is complete and verified, and takes `size` bytes: make it the layer."""
        self._place(self._diff_id, size)


class Building(_Filling):
    """A new layer; see `Layers.build`."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers, posix.urandom(32).hex())

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def adopt(self, directory: str) -> None:
        """Let `directory`, of the same file system, be the tree; nothing may use it."""
        posix.rmdir(self.tree)
        posix.rename(directory, self.tree)

    def commit(self, diff_id: Digest, size: int) -> None:
        """The tree is complete, and is the layer `diff_id`, which the caller has a lease on."""
        digits = diff_id.partition(":")[2]
        with FileLock(f"{self._layers.locks}/layer-{digits}", remove=True):
            if not self._layers.is_unpacked(diff_id):
                self._place(diff_id, size)


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
