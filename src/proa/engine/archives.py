"""What docker-py's containers do with archives: `get_archive`, `put_archive`, `export`, `diff`."""

from __future__ import annotations

import io
import stat
from typing import TYPE_CHECKING

from proa.engine.container_tree import require
from proa.engine.files import ContainerSide, write_pieces
from proa.engine.inside_stream import read_from
from proa.errors import InvalidArgument, NoSpace
from proa.lean import clock
from proa.monitor.inside import call
from proa.monitor.rootless import needed
from proa.snapshot.choose import choose_snapshots
from proa.snapshot.decompress import chunks
from proa.snapshot.diff import ADDED, DELETED, MODIFIED
from proa.snapshot.pack_layer import pack_stack
from proa.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from proa.engine.images import Reader
    from proa.snapshot.tree import PathStat
    from proa.store.containers import ContainerRow

_HERE = "proa.engine.archives"
_KINDS = {MODIFIED: 0, ADDED: 1, DELETED: 2}
"""Docker's numbers for what became of a path."""
_GO_MODES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
"""Types of files in the modes of Go (package io/fs), which Docker's API has."""


def get_archive(
    store: Store, row: ContainerRow, path: str, chunk_size: int | None
) -> tuple[Iterator[bytes], dict[str, Any]]:
    """What lies at `path` in a container, as a tar in pieces, and what it is.

    Raises NotFound, InvalidArgument.
    """
    side = ContainerSide(store, row)
    found = side.stat(path)
    return in_chunks(side.pack(path), chunk_size), describe(found)


def describe(found: PathStat) -> dict[str, Any]:
    """What lies at a path, in the form of Docker's API."""
    return {
        "name": found.name,
        "size": found.size,
        "mode": _go_mode(found.mode),
        "mtime": clock.from_nanoseconds(found.mtime),
        "linkTarget": found.link_target,
    }


def put_archive(
    store: Store,
    row: ContainerRow,
    path: str,
    data: bytes | Reader | Iterable[bytes],
    *,
    user: str = "",
) -> None:
    """Put a tar, compressed or not, into the directory `path` of a container.

    `user`: give everything to that user of the container. Raises NotFound, InvalidArgument,
    Conflict, CorruptData, HostileData, NoSpace, PermissionDenied.
    """
    side = ContainerSide(store, row, user=user)
    found = side.stat(path)
    if found.is_link:
        found = side.stat(f"{path}/")
    if not found.is_directory:
        raise InvalidArgument(f"extraction point is not a directory: {path}")
    side.place(path, plain(data), archive=bool(user), skipped=lambda _name, _why: None)


def plain(data: bytes | Reader | Iterable[bytes]) -> Iterator[bytes]:
    """The uncompressed bytes of an archive, in pieces. Raises CorruptData."""
    if isinstance(data, bytes | bytearray | memoryview):
        stream: Any = io.BytesIO(data)
    elif hasattr(data, "read"):
        stream = data
    else:
        stream = _Joined(iter(data))
    return iter(chunks(stream), b"")


def export(store: Store, row: ContainerRow, chunk_size: int | None = None) -> Iterator[bytes]:
    """All files of a container as a tar, without volumes and other mounts, in pieces.

    Raises NotFound where it is removed meanwhile.
    """
    require(store, row)
    if needed():
        arguments = {"root": store.root, "id": row.id}
        return in_chunks(read_from(f"{_HERE}:export_inside", arguments), chunk_size)
    return in_chunks(_export(store, row), chunk_size)


def _export(store: Store, row: ContainerRow) -> Iterator[bytes]:
    snapshots = choose_snapshots(store.root)
    key_dir = store.path("containers", row.id, "snapshot")
    try:
        with snapshots.files(key_dir, [str(layer) for layer in row.layers]) as files:
            last = b""
            for piece in pack_stack(files):
                if last:
                    yield last
                last = piece
    finally:
        # what is left of one that is being removed would look like all of it
        require(store, row)
    yield last
    try:
        store.containers.note(row.id, (("export", 0, {}),))
    except NoSpace:
        pass  # it is exported all the same


def export_inside(root: str, id: str, descriptors: Sequence[int]) -> None:
    """Inside: export into a pipe."""
    store = Store.open(root)
    write_pieces(descriptors[0], _export(store, store.containers.find(id)))


def diff(store: Store, row: ContainerRow) -> list[dict[str, Any]]:
    """What a container has changed, in the form of Docker's API: `Path`, and `Kind` 0 (changed),
    1 (added) or 2 (deleted). Raises NotFound where it is removed meanwhile.
    """
    require(store, row)
    if needed():
        found: list[dict[str, Any]] = call(
            f"{_HERE}:diff_inside", {"root": store.root, "id": row.id}
        )
        return found
    snapshots = choose_snapshots(store.root)
    key_dir = store.path("containers", row.id, "snapshot")
    try:
        return [
            {"Path": f"/{change.path}", "Kind": _KINDS[change.kind]}
            for change in snapshots.changes(key_dir, [str(layer) for layer in row.layers])
        ]
    finally:
        require(store, row)


def diff_inside(root: str, id: str) -> list[dict[str, Any]]:
    """Inside: diff."""
    store = Store.open(root)
    return diff(store, store.containers.find(id))


def in_chunks(pieces: Iterator[bytes], size: int | None) -> Iterator[bytes]:
    """The same bytes in chunks of `size`; None: as they come. Raises InvalidArgument."""
    if size is None:
        return pieces
    if size <= 0:
        raise InvalidArgument(f"chunks cannot have {size} bytes")
    return _rechunked(pieces, size)


def _rechunked(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    held = b""
    for piece in pieces:
        held += piece
        whole = len(held) - len(held) % size
        for start in range(0, whole, size):
            yield held[start : start + size]
        held = held[whole:]
    if held:
        yield held


def _go_mode(mode: int) -> int:
    bits = mode & 0o777 | _GO_MODES.get(stat.S_IFMT(mode), 0)
    for ours, theirs in ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20)):
        if mode & ours:
            bits |= theirs
    return bits


class _Joined:
    """A reader of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._held = bytes(piece)
        data, self._held = self._held[:size], self._held[size:]
        return data
