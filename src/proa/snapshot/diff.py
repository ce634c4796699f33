"""How one tree differs from another: the changes of a container, for `diff` and new layers.

Changes come in order: a directory before what is in it, names sorted by their bytes. A directory
in which something changed is a change itself, as Docker has it: an archive of the changes then
says what the directory is like. Of a directory that is gone, nothing inside it is named. The
root directory itself is never a change.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proa.snapshot.stack import Entry, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ADDED, MODIFIED, DELETED = "added", "modified", "deleted"

_CHUNK = 1 << 18


@dataclass(slots=True)
class Change:
    """What became of one path."""

    path: str
    """Relative to the root, without a leading slash."""
    kind: str
    """ADDED, MODIFIED or DELETED; MODIFIED, too, where it is of another type now."""
    entry: Entry
    """What is there now; of what was DELETED, what was there."""
    source: Stack
    """Where `entry` is found: valid until the next change."""


def compare_upper(upper: Sequence[str], lower: Sequence[str]) -> Iterator[Change]:
    """What the directories `upper`, as overlayfs has written them, change of `lower` (both topmost
    first): those of a container, or several layers that are to become one.

    A file that was copied up is a change even where it is the same as before. Raises NotFound
    where one of the directories is missing.
    """
    # one stack for both: hundreds of layers take as many descriptors
    with Stack([*upper, *lower]) as stack:
        yield from _Upper(stack, len(upper)).run()


def compare_trees(new: Stack, old: Stack, *, since: int | None = None) -> Iterator[Change]:
    """How the tree `new` differs from `old`: names, types, owners, modes, times, xattrs, hard
    links and contents.

    `since`: when, in nanoseconds of the file system's clock, `new` was an exact copy of `old`;
    what has not been touched since is not read.
    """
    yield from _Trees(new, old, since).run()


class _Comparison:
    """A walk through two trees side by side."""

    def __init__(self, new: Stack, old: Stack, old_top: tuple[int, ...]) -> None:
        self._new = new
        self._old = old
        self._old_top = old_top

    def run(self) -> Iterator[Change]:
        # a stack of its own rather than recursion: a container's directories may be very deep
        walks = [self._directory("", self._new.top, self._old_top)]
        # the directories being walked, as long as nothing in them has changed
        waiting: list[Change] = []
        depths: list[int] = [0]
        while walks:
            found = next(walks[-1], None)
            if found is None:
                walks.pop()
                del waiting[depths.pop() :]
                continue
            change, is_change, inside = found
            if is_change:
                yield from waiting
                waiting.clear()
                depths = [0] * len(depths)
                yield change
            if inside is not None:
                depths.append(len(waiting))
                if not is_change:
                    waiting.append(change)
                walks.append(self._directory(change.path, change.entry.levels, inside))

    def _directory(
        self, path: str, levels: tuple[int, ...], old_levels: tuple[int, ...]
    ) -> Iterator[tuple[Change, bool, tuple[int, ...] | None]]:
        """Compare what two directories hold.

        For each name: the change; whether it is one; the old levels, where it is a directory to
        be walked.
        """
        new = self._new.scan(path, levels)
        old = self._old.scan(path, old_levels)
        prefix = f"{path}/" if path else ""
        for name in sorted(new.keys() | old.keys(), key=os.fsencode):
            now, before = new.get(name), old.get(name)
            if now is None:
                assert before is not None
                yield Change(prefix + name, DELETED, before, self._old), True, None
                continue
            change = Change(prefix + name, ADDED, now, self._new)
            inside = before.levels if before is not None else ()
            is_change = True
            if before is not None:
                change.kind = MODIFIED
                if stat.S_IFMT(now.status.st_mode) == stat.S_IFMT(before.status.st_mode):
                    is_change = self._differs(change.path, now, before)
            is_walked = bool(now.levels) and (is_change or self._may_differ_inside(now))
            yield change, is_change, inside if is_walked else None

    def _differs(self, path: str, now: Entry, before: Entry) -> bool:
        """Whether two things of one type are different; of directories, they themselves."""
        raise NotImplementedError

    def _may_differ_inside(self, now: Entry) -> bool:
        """Whether a directory that has not changed itself must be walked."""
        raise NotImplementedError

    def _is_like(self, path: str, now: Entry, before: Entry) -> bool:
        """Whether owner, mode, time and xattrs are the same."""
        a, b = now.status, before.status
        return (a.st_mode, a.st_uid, a.st_gid, a.st_mtime_ns) == (
            b.st_mode,
            b.st_uid,
            b.st_gid,
            b.st_mtime_ns,
        ) and self._new.xattrs(now.level, path) == self._old.xattrs(before.level, path)


class _Upper(_Comparison):
    """Upper directories: what they do not hold has not changed."""

    def __init__(self, stack: Stack, count: int) -> None:
        super().__init__(stack, stack, stack.top[count:])
        self._count = count

    def _differs(self, path: str, now: Entry, before: Entry) -> bool:
        if now.level >= self._count:
            return False
        return not now.levels or not self._is_like(path, now, before)

    def _may_differ_inside(self, now: Entry) -> bool:
        return now.level < self._count


class _Trees(_Comparison):
    """Two trees of which nothing is known but, perhaps, when they were the same."""

    def __init__(self, new: Stack, old: Stack, since: int | None) -> None:
        super().__init__(new, old, old.top)
        self._since = since
        self._old_links = _hard_links(old)
        self._new_links = _hard_links(new)

    def _differs(self, path: str, now: Entry, before: Entry) -> bool:
        a, b = now.status, before.status
        if self._is_linked_anew(path):
            return True
        # of the same moment, it may have been touched just after; coarse clocks tick in ms
        if self._since is not None and a.st_ctime_ns < self._since:
            return False
        if not self._is_like(path, now, before):
            return True
        if stat.S_ISREG(a.st_mode):
            return a.st_size != b.st_size or not self._has_same_content(path, now, before)
        if stat.S_ISLNK(a.st_mode):
            return self._new.read_link(now.level, path) != self._old.read_link(before.level, path)
        return a.st_rdev != b.st_rdev

    def _may_differ_inside(self, now: Entry) -> bool:
        return bool(now.levels)

    def _is_linked_anew(self, path: str) -> bool:
        """Whether `path` is the same file as another path now and was not before, or the reverse.

        All names of such a file are changes: an archive can only link what it holds itself.
        """
        alone = frozenset((path,))
        return self._new_links.get(path, alone) != self._old_links.get(path, alone)

    def _has_same_content(self, path: str, now: Entry, before: Entry) -> bool:
        left = self._new.open_file(now.level, path)
        right = self._old.open_file(before.level, path)
        try:
            if left is None or right is None:
                return left is right
            while True:
                data = os.read(left, _CHUNK)
                if data != _read(right, len(data)):
                    return False
                if not data:
                    return True
        finally:
            for fd in (left, right):
                if fd is not None:
                    os.close(fd)


def _read(fd: int, size: int) -> bytes:
    """`size` bytes, fewer only at the end; for 0, what tells whether there is more."""
    data = os.read(fd, size or 1)
    while len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data


def _hard_links(stack: Stack) -> dict[str, frozenset[str]]:
    """All names of each file that the tree has by several names, by each of them."""
    names: dict[tuple[int, int, int], list[str]] = {}
    pending = [("", stack.top)]
    while pending:
        path, levels = pending.pop()
        prefix = f"{path}/" if path else ""
        for entry in stack.scan(path, levels).values():
            if entry.levels:
                pending.append((prefix + entry.name, entry.levels))
            elif entry.status.st_nlink > 1:
                names.setdefault(entry.identity, []).append(prefix + entry.name)
    found = {}
    for paths in names.values():
        if len(paths) > 1:
            group = frozenset(paths)
            found.update(dict.fromkeys(paths, group))
    return found
