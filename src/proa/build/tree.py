"""Trees that files are copied from: a build context, or what a stage has come to.

A tree is reached by a descriptor alone; the kernel resolves every path with the tree's root as
`/`, so that a link in it leads nowhere else. What is ignored does not exist.
"""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass
from errno import ELOOP, ENOENT, ENOTDIR
from typing import TYPE_CHECKING

from proa.build.dockerfile.ignore import Ignore, State, compile_component
from proa.errors import NotFound
from proa.kernel.path import open_in_root

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence
    from typing import Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_CLOEXEC
_GONE = (ENOENT, ENOTDIR, ELOOP)
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is to be copied."""

    source: str
    """its path in the tree, links on the way resolved; "" is the root"""
    target: str
    """where it comes to be, below the destination; "" is the destination itself"""
    status: os.stat_result
    top: bool = False
    """a directory whose contents are meant, not itself"""
    named: bool = False
    """a source itself, and no directory"""


class Tree:
    """The tree below the descriptor `root`, which becomes this object's."""

    def __init__(self, root: int, what: str, ignore: Ignore | None = None) -> None:
        self.root = root
        self.what = what
        """what errors call it"""
        self._ignore = ignore if ignore else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        os.close(self.root)

    def select(
        self, pattern: str, *, parents: bool = False, excludes: Sequence[str] = ()
    ) -> list[Item]:
        """What a source of COPY means, in order: a directory before what is in it.

        Raises NotFound, unless the source is a pattern that matches nothing.
        """
        pivot, pattern = _pivot(pattern) if parents else ("", pattern)
        excluded = Ignore(tuple(_clean(text) for text in excludes)) if excludes else None
        found: list[Item] = []
        for path in self._expand(pattern):
            found += self._item(path, pivot if parents else None, excluded)
        return found

    def open(self, path: str, flags: int) -> int:
        """A descriptor of what lies at `path`."""
        return open_in_root(self.root, path or ".", flags)

    def _item(self, path: str, pivot: str | None, excluded: Ignore | None) -> Iterator[Item]:
        real, status = self._resolve(path)
        name = posixpath.basename(path)
        if stat.S_ISDIR(status.st_mode):
            base = "" if pivot is None else _below(path, pivot)
            state = None if excluded is None else excluded.root
            yield Item(real, base, status, top=pivot is None)
            yield from self._walk(real, base, self._state(real), excluded, state)
            return
        if excluded is not None and excluded.enter(excluded.root, name).ignored:
            return
        yield Item(real, name if pivot is None else _below(path, pivot), status, named=True)

    def _walk(
        self,
        path: str,
        target: str,
        state: State | None,
        excluded: Ignore | None,
        excluded_state: State | None,
    ) -> Iterator[Item]:
        directory = self.open(path, _DIRECTORY)
        try:
            with os.scandir(directory) as entries:
                listed = sorted(
                    ((entry.name, entry.stat(follow_symlinks=False)) for entry in entries),
                    key=lambda item: os.fsencode(item[0]),
                )
        finally:
            os.close(directory)
        for name, status in listed:
            inner, inner_excluded = state, excluded_state
            hidden = False
            if state is not None and self._ignore is not None:
                inner = self._ignore.enter(state, name)
                hidden = inner.ignored
                if hidden and not inner.excepted_below:
                    continue
            if excluded is not None and excluded_state is not None:
                inner_excluded = excluded.enter(excluded_state, name)
                if inner_excluded.ignored and not inner_excluded.excepted_below:
                    continue
                hidden = hidden or inner_excluded.ignored
            below = Item(
                f"{path}/{name}" if path else name,
                f"{target}/{name}" if target else name,
                status,
            )
            if not stat.S_ISDIR(status.st_mode):
                if not hidden:
                    yield below
                continue
            inside = self._walk(below.source, below.target, inner, excluded, inner_excluded)
            if hidden:
                # a directory that is ignored comes along with what is excepted in it
                first = next(inside, None)
                if first is None:
                    continue
                yield below
                yield first
            else:
                yield below
            yield from inside

    def _state(self, path: str) -> State | None:
        if self._ignore is None:
            return None
        state = self._ignore.root
        for name in path.split("/") if path else ():
            state = self._ignore.enter(state, name)
        return state

    def _resolve(self, path: str) -> tuple[str, os.stat_result]:
        """Where `path` really is, and what. Raises NotFound."""
        try:
            descriptor = open_in_root(self.root, path or ".", _PLACE)
        except OSError as error:
            if error.errno in _GONE:
                raise self._missing(path) from None
            raise
        try:
            status = os.fstat(descriptor)
            real = self._relative(os.readlink(f"/proc/self/fd/{descriptor}"))
        finally:
            os.close(descriptor)
        state = self._state(real)
        if (
            state is not None
            and state.ignored
            and not (stat.S_ISDIR(status.st_mode) and state.excepted_below)
        ):
            raise self._missing(path, ignored=True)
        return real, status

    def _relative(self, path: str) -> str:
        root = os.readlink(f"/proc/self/fd/{self.root}")
        return path.removeprefix(root).strip("/")

    def _missing(self, path: str, *, ignored: bool = False) -> NotFound:
        hint = ""
        if ignored:
            hint = ": it is excluded by .dockerignore"
        else:
            parent, _, name = path.rpartition("/")
            try:
                known = [entry for entry in self._list(parent) if entry]
            except OSError:
                known = []
            from proa.build.dockerfile.source import did_you_mean

            hint = did_you_mean(name, known)
        return NotFound(f"no such file in {self.what}: /{path}{hint}")

    def _list(self, path: str) -> list[str]:
        directory = self.open(path, _DIRECTORY)
        try:
            return os.listdir(directory)
        finally:
            os.close(directory)

    # -- patterns

    def _expand(self, pattern: str) -> list[str]:
        clean = _clean(pattern)
        if not _WILD.intersection(clean) and "\\" not in clean:
            return [clean]
        found = [""]
        for component in clean.split("/"):
            matcher = compile_component(component, pattern)
            found = [path for parent in found for path in self._matching(parent, matcher)]
        return sorted(found, key=os.fsencode)

    def _matching(self, parent: str, matcher: str | re.Pattern[str]) -> list[str]:
        if isinstance(matcher, str):
            path = f"{parent}/{matcher}" if parent else matcher
            return [path] if self._exists(path) else []
        try:
            names = self._list(parent)
        except OSError as error:
            if error.errno in _GONE:
                return []
            raise
        paths = [
            f"{parent}/{name}" if parent else name for name in names if matcher.fullmatch(name)
        ]
        return [path for path in paths if self._exists(path)]

    def _exists(self, path: str) -> bool:
        try:
            self._resolve(path)
        except NotFound:
            return False
        return True


def literal(path: str) -> str:
    """The pattern that means `path` and nothing else."""
    return "".join(f"\\{character}" if character in "*?[\\" else character for character in path)


def _clean(pattern: str) -> str:
    """Relative to the root, which nothing leaves."""
    return posixpath.normpath("/" + pattern).lstrip("/")


def _pivot(pattern: str) -> tuple[str, str]:
    """With --parents, the part of the path that is not kept: what stands before `/./`."""
    before, mark, after = pattern.partition("/./")
    if not mark:
        return "", pattern
    return _clean(before), f"{before}/{after}"


def _below(path: str, pivot: str) -> str:
    return path.removeprefix(pivot).strip("/") if pivot else path
