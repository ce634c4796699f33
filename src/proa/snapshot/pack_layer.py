"""Packing what a stack of directories holds: the changes of a container as a layer, or all of it.

What comes out is an OCI layer (image-spec, layer.md), with explicit whiteouts only: the same
changes give the same bytes, wherever and whenever.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from proa.snapshot.diff import DELETED
from proa.snapshot.pack import Gatherer, Packer
from proa.snapshot.whiteout import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proa.snapshot.diff import Change
    from proa.snapshot.stack import Entry, Stack

_PREFIX = os.fsdecode(PREFIX)
_OPEN = 16
"""Directories held open at once."""


def _nothing(_path: str, _why: str) -> None:
    return


def gather_changes(
    gatherer: Gatherer, changes: Iterable[Change], skipped: Callable[[str, str], None] = _nothing
) -> Iterator[None]:
    """Have `gatherer` take the members of the layer that makes `changes`, one with each step.

    `skipped` is called with the path of what no layer can hold, and why. Raises what reading
    raises: PermissionDenied, LimitExceeded, OSError.
    """
    gathering = _Gathering(gatherer, skipped)
    try:
        for change in changes:
            if change.kind == DELETED:
                gathering.whiteout(change.path)
            else:
                gathering.add(change.source, change.path, change.entry)
            yield
    finally:
        gathering.close()


def pack_changes(
    changes: Iterable[Change], *, skipped: Callable[[str, str], None] = _nothing
) -> Iterator[bytes]:
    """The layer that makes `changes`, uncompressed, in pieces; see `gather_changes`."""
    packer = Packer()
    try:
        for _ in gather_changes(packer, changes, skipped):
            yield from packer.pieces()
        yield packer.end()
    finally:
        packer.close()


def pack_stack(stack: Stack) -> Iterator[bytes]:
    """All of the tree that `stack` makes, in pieces: a directory before what is in it, names in
    order.
    """
    packer = Packer()
    gathering = _Gathering(packer, _nothing, whiteouts=False)
    try:
        pending = [("", stack.top)]
        while pending:
            path, levels = pending.pop()
            prefix = f"{path}/" if path else ""
            entries = stack.scan(path, levels)
            directories = []
            for name in sorted(entries, key=os.fsencode):
                entry = entries[name]
                gathering.add(stack, prefix + name, entry)
                yield from packer.pieces()
                if entry.levels:
                    directories.append((prefix + name, entry.levels))
            pending += reversed(directories)
        yield packer.end()
    finally:
        packer.close()
        gathering.close()


class _Gathering:
    """Gives a gatherer what lies in a stack, and holds the directories open that it is in."""

    def __init__(
        self,
        gatherer: Gatherer,
        skipped: Callable[[str, str], None],
        *,
        whiteouts: bool = True,
    ) -> None:
        self._gatherer = gatherer
        self._skipped = skipped
        self._whiteouts = whiteouts
        self._stack: Stack | None = None
        self._open: dict[tuple[int, str], int] = {}

    def whiteout(self, path: str) -> None:
        parent, slash, name = os.fsencode(path).rpartition(b"/")
        self._gatherer.whiteout(parent + slash + PREFIX + name)

    def add(self, stack: Stack, path: str, entry: Entry) -> None:
        parent, _, name = path.rpartition("/")
        if self._whiteouts and name.startswith(_PREFIX):
            self._skipped(path, "in a layer, such a name means that a file is gone")
            return
        if stack is not self._stack:
            self.close()
            self._stack = stack
            self._gatherer.marks = stack.marks
        directory = self._open.get((entry.level, parent))
        if directory is None:
            opened = self._directory(stack, entry.level, parent)
            if opened is None:
                return  # it has gone meanwhile
            directory = opened
        status = entry.status
        identity = entry.identity if status.st_nlink > 1 else None
        added = self._gatherer.add(directory, name, os.fsencode(path), status, identity)
        if not added and stat.S_ISSOCK(status.st_mode):
            self._skipped(path, "an archive cannot hold a socket")

    def _directory(self, stack: Stack, level: int, path: str) -> int | None:
        if len(self._open) >= _OPEN:
            os.close(self._open.pop(next(iter(self._open))))
        opened = stack.open_directory(level, path)
        if opened is not None:
            self._open[level, path] = opened
        return opened

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])
