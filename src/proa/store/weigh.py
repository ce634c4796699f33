"""What everything in a store takes on the disk, by what it belongs to: the sum is what du(1) says.

Bytes that are allocated, directories included, files of several names once.
"""

from __future__ import annotations

import posix
import time

from proa.errors import NoSpace
from proa.lean.record import record
from proa.oci.digest import is_hex
from proa.store.layers import TEMPORARY
from proa.store.lock import is_held
from proa.store.volumes import REMOVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from proa.store.store import Store

_DIRECTORY = 0o040000
_BLOCK = 512
"""st_blocks counts these, whatever the file system's own blocks are (inode(7))"""
_ID = 64
_HASTE = 2.0
"""Seconds for which a container's directory may be without a row"""


@record
class Weights:
    """Bytes on disk."""

    layers: Mapping[str, int]
    """by diff ID"""
    blobs: Mapping[str, int]
    """by digest"""
    containers: Mapping[str, int]
    """by id: what they wrote, their logs, and the files that are theirs"""
    volumes: Mapping[str, int]
    """by name"""
    builds: int
    """what builds keep besides layers: cache mounts, what was fetched"""
    other: int
    """the database, caches, sockets and locks, and the directories that hold all that"""
    left: int
    """what nothing refers to: blobs on their way in, and what killed processes left"""

    @property
    def total(self) -> int:
        """All of it."""
        parts = (self.layers, self.blobs, self.containers, self.volumes)
        return sum(sum(part.values()) for part in parts) + self.builds + self.other + self.left


def weigh(store: Store) -> Weights:
    """Weigh what is in `store`, as far as this process may look at it.

    A layer never changes: it is looked through once, and its weight kept.
    """
    return _Scale(store).all()


class _Scale:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: set[tuple[int, int]] = set()
        self._other = self._left = self._builds = 0
        self._device = posix.stat(store.root).st_dev

    def all(self) -> Weights:
        store = self._store
        containers = {id for (id,) in store.database.all("SELECT id FROM containers")}
        known = {
            diff_id.partition(":")[2]: (diff_id, disk, not boot)
            for diff_id, disk, boot in store.database.all("SELECT diff_id, disk, boot FROM layers")
        }
        found: dict[str, dict[str, int]] = {
            name: {} for name in ("layers", "blobs", "containers", "volumes")
        }

        def layer(name: str, path: str) -> None:
            if name in known:
                diff_id, disk, settled = known[name]
                found["layers"][diff_id] = self._layer(diff_id, path, disk, settled)
            elif TEMPORARY in name or is_hex(name):
                lock = f"{store.layers.locks}/layer-{name.partition(TEMPORARY)[0]}"
                self._add_left(path, busy=is_held(lock))
            else:
                self._other += self._tree(path)

        def container(name: str, path: str) -> None:
            if name in containers:
                found["containers"][name] = self._tree(path)
            else:
                # somebody may be making it just now
                young = abs(time.time() - posix.stat(path).st_mtime) < _HASTE
                self._add_left(path, busy=young or len(name) != _ID)

        def algorithm(name: str, path: str) -> None:
            self._each(path, lambda hex, file: blob(f"{name}:{hex}", file))

        def blob(digest: str, path: str) -> None:
            found["blobs"][digest] = self._tree(path)

        def volume(name: str, path: str) -> None:
            if name.startswith(REMOVED):
                self._left += self._tree(path)
            else:
                found["volumes"][name] = self._tree(path)

        def build(_name: str, path: str) -> None:
            self._builds += self._tree(path)

        def ingest(_name: str, path: str) -> None:
            self._add_left(path, busy=is_held(path))

        inside: dict[str, Callable[[str, str], None]] = {
            "layers": layer,
            "containers": container,
            "blobs": algorithm,
            "volumes": volume,
            "ingest": ingest,
            "build": build,
        }

        def top(name: str, path: str) -> None:
            if name in inside:
                self._each(path, inside[name])
            else:
                self._other += self._tree(path)

        self._each(store.root, top)
        return Weights(**found, builds=self._builds, other=self._other, left=self._left)

    def _add_left(self, path: str, *, busy: bool) -> None:
        """Weigh what has no row; `busy`: since somebody works on it."""
        if busy:
            self._other += self._tree(path)
        else:
            self._left += self._tree(path)

    def _each(self, path: str, action: Callable[[str, str], None]) -> None:
        """Do `action` for what is in the directory, which itself is among the others."""
        status = posix.stat(path, follow_symlinks=False)
        self._other += status.st_blocks * _BLOCK
        if status.st_mode & 0o170000 == _DIRECTORY:
            for name in _names(path):
                action(name, f"{path}/{name}")

    def _layer(self, diff_id: str, path: str, disk: int | None, settled: bool) -> int:
        if disk is None:
            disk = self._tree(path)
            if settled:
                try:
                    self._store.layers.note_disk(diff_id, disk)
                except NoSpace:
                    pass  # then it is looked through again the next time
        return disk

    def _tree(self, path: str) -> int:
        """Bytes of `path` and all below it, on the store's own file system."""
        total = 0
        pending = [path]
        while pending:
            current = pending.pop()
            try:
                status = posix.stat(current, follow_symlinks=False)
                if status.st_dev != self._device:
                    continue  # something is mounted there
                is_directory = status.st_mode & 0o170000 == _DIRECTORY
                if status.st_nlink > 1 and not is_directory:
                    identity = status.st_dev, status.st_ino
                    if identity in self._seen:
                        continue
                    self._seen.add(identity)
                total += status.st_blocks * _BLOCK
                if is_directory:
                    pending += [f"{current}/{name}" for name in _names(current)]
            except OSError:
                continue  # it was removed meanwhile, or is not for us to look at
        return total


def _names(path: str) -> Iterator[str]:
    try:
        return iter(posix.listdir(path))
    except FileNotFoundError:
        return iter(())
