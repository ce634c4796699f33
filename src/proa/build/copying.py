"""COPY and ADD: what was selected is placed in the file system of a step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proa.build.modes import find_owner, parse_mode
from proa.build.place_files import Placement, destination_of, is_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proa.build.graph import CopyOp
    from proa.build.tree import Item, Tree


class Copying:
    """One COPY or ADD into the file system `root`.

    `groups`: the files, by the trees that they come from. `count`: how many sources were named.
    `keep_owners`: files belong to whom they did, where nothing is said of it; otherwise to root.
    `epoch`: the time of what is written in the Dockerfile itself; None: now.
    """

    def __init__(
        self,
        op: CopyOp,
        root: int,
        groups: Sequence[tuple[Tree, list[Item]]],
        *,
        count: int,
        keep_owners: bool,
        epoch: int | None,
    ) -> None:
        self._op = op
        self._root = root
        self._groups = groups
        self._count = count
        self._mode = parse_mode(op.chmod) if op.chmod else None
        self._said_owner = find_owner(root, op.chown) if op.chown else None
        self._owner = self._said_owner if keep_owners or op.chown else (0, 0)
        self._mtime = int(time.time()) if epoch is None else epoch

    def run(self) -> None:
        """Copy. Raises Conflict, InvalidArgument, NotFound, CorruptData."""
        destination, groups = self._op.destination, list(self._groups)
        items = [item for _, found in groups for item in found]
        if groups and not self._op.parents:
            destination, items = destination_of(self._root, destination, items, self._count)
            if len(groups) == 1:
                groups = [(groups[0][0], items)]
        name = ""
        if self._op.heredocs and self._count == 1 and not self._is_directory(destination):
            destination, _, name = destination.rpartition("/")
        placement = Placement(self._root, destination or "/", owner=self._owner, mode=self._mode)
        try:
            for number, (tree, chosen) in enumerate(groups):
                if self._unpacks(is_local=bool(self._op.sources) and number == 0):
                    placement.add(tree, chosen, unpack=self._unpack)
                else:
                    placement.add(tree, chosen)
            for heredoc in self._op.heredocs:
                data = heredoc.data.encode("utf-8", "surrogateescape")
                placement.write(name or heredoc.name, data, mtime=self._mtime)
            placement.finish()
        finally:
            placement.close()

    def _is_directory(self, path: str) -> bool:
        return path.endswith("/") or is_directory(self._root, path)

    def _unpacks(self, *, is_local: bool) -> bool:
        """Whether archives are unpacked: those of the context by default, others when asked to."""
        return self._op.add and (is_local if self._op.unpack is None else self._op.unpack)

    def _unpack(self, file: int) -> bool:
        """Unpack the file where it is an archive; whether it is."""
        from proa.build.archive import File, is_archive, unpack

        if not is_archive(file):
            return False
        destination = self._op.destination
        Placement(self._root, destination, owner=self._said_owner or (0, 0)).close()
        unpack(File(file), self._root, destination, owner=self._said_owner)
        return True
