"""A tree of files with a `/` of its own: a container's, or the host's.

Every path is resolved by the kernel with the tree's root as `/`: whatever links it leads through,
it stays within. What is found out here is for deciding what to do; what is done then resolves the
path anew.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument, NotFound, PermissionDenied
from proa.kernel.path import open_in_root
from proa.lean.record import record
from proa.snapshot.pack_tree import gather_tree, pack_tree
from proa.snapshot.place import Rules, place, transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from proa.snapshot.pack import Gatherer

_PLACE = os.O_PATH | os.O_DIRECTORY
_MOST_LINKS = 40
_WILD = frozenset("*?[")


@record
class PathStat:
    """What lies at a path."""

    name: str
    """the last part of the path, `/` for the root"""
    size: int
    mode: int
    """as in stat(2), type included"""
    mtime: int
    """nanoseconds since 1970"""
    link_target: str = ""
    """of a symbolic link: where it leads in the end, from the tree's root on"""

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


class Tree:
    """The tree whose root directory `root` is open; the descriptor becomes this object's.

    `where` says in errors where it is: ` in container web`. `confined`: what is placed in it goes
    through no link.
    """

    def __init__(self, root: int, where: str, *, confined: bool = False) -> None:
        self.root = root
        self._where = where
        self._confined = confined

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the root directory."""
        os.close(self.root)

    def stat(self, path: str) -> PathStat:
        """What lies at `path`; of a link the link itself, unless a slash follows.

        Raises NotFound, InvalidArgument where a slash follows what is no directory.
        """
        parent, name = self._open(path)
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise self._explain(error, path) from None
        finally:
            os.close(parent)
        return PathStat(
            name=base_of(path),
            size=found.st_size,
            mode=found.st_mode,
            mtime=found.st_mtime_ns,
            link_target=self.evaluate(path) if stat.S_ISLNK(found.st_mode) else "",
        )

    def evaluate(self, path: str) -> str:
        """`path` without links, from the root on; its end need not be there.

        Raises InvalidArgument for links that lead in circles.
        """
        pending = _parts(path)[::-1]
        done: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                del done[-1:]
                continue
            target = self._link("/".join(done), part)
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise InvalidArgument(f"{path}{self._where} leads through too many links")
            if target.startswith("/"):
                done.clear()
            pending += _parts(target)[::-1]
        return "/" + "/".join(done)

    def expand(self, pattern: str) -> list[str]:
        """The paths that a pattern of a shell (`*`, `?`, `[…]`) stands for, sorted.

        A path that is there as it is written is no pattern. Raises NotFound where none matches.
        """
        if not _WILD.intersection(pattern) or self._exists(pattern):
            return [pattern]
        found = [""]
        for part in pattern.split("/"):
            if not _WILD.intersection(part):
                found = [f"{path}{part}/" for path in found]
                continue
            found = [f"{path}{name}/" for path in found for name in self._matching(path, part)]
        paths = [path.removesuffix("/") for path in found]
        paths = [path for path in paths if self._exists(path)]
        if not paths:
            raise NotFound(f"no file matches {pattern}{self._where}")
        return paths

    def pack(
        self, path: str, member: str | None = None, *, owner: tuple[int, int] | None = None
    ) -> Iterator[bytes]:
        """What lies at `path` as a tar archive, in pieces; it is called `member` there.

        By default it has its own name, `.` where the path ends so, and its own owners. Raises as
        `stat`, and PermissionDenied.
        """
        parent, name = self._open(path)
        try:
            chosen = base_of(path) if member is None else member
            yield from pack_tree(parent, name, os.fsencode(chosen.rstrip("/")), owner=owner)
        finally:
            os.close(parent)

    def gather(self, path: str, member: str, gatherer: Gatherer) -> Iterator[None]:
        """As `pack`, into a gatherer; see `gather_tree`."""
        parent, name = self._open(path)
        try:
            yield from gather_tree(gatherer, parent, name, os.fsencode(member.rstrip("/")))
        finally:
            os.close(parent)

    def place(
        self,
        path: str,
        next_chunk: Callable[[], bytes],
        rules: Rules,
        skipped: Callable[[str, str], None],
    ) -> None:
        """Put a tar archive into the directory `path`; see `proa.snapshot.place`."""
        place(
            self.root,
            path,
            next_chunk,
            rules=rules,
            confined=self._confined,
            skipped=skipped,
        )

    def transfer(
        self,
        path: str,
        gather: Callable[[Gatherer], Iterator[None]],
        rules: Rules,
        skipped: Callable[[str, str], None],
        progress: Callable[[int], None],
    ) -> None:
        """Put what is gathered into the directory `path`; see `proa.snapshot.place`."""
        transfer(
            self.root,
            path,
            gather,
            rules=rules,
            confined=self._confined,
            skipped=skipped,
            progress=progress,
        )

    def _open(self, path: str) -> tuple[int, str]:
        """A descriptor of the directory in which `path` lies, and what it is called there."""
        plain = path.rstrip("/")
        parent, _, name = plain.rpartition("/")
        try:
            if path.endswith("/") or name in ("", ".", ".."):
                return open_in_root(self.root, path or "/", _PLACE), "."
            return open_in_root(self.root, parent or "/", _PLACE), name
        except OSError as error:
            raise self._explain(error, path) from None

    def _exists(self, path: str) -> bool:
        try:
            self.stat(path)
        except (NotFound, InvalidArgument):
            return False
        return True

    def _link(self, parent: str, name: str) -> str | None:
        try:
            descriptor = open_in_root(self.root, parent or "/", _PLACE)
        except OSError:
            return None
        try:
            return os.readlink(name, dir_fd=descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _matching(self, path: str, pattern: str) -> list[str]:
        flags = os.O_RDONLY | os.O_DIRECTORY
        try:
            descriptor = open_in_root(self.root, path or "/", flags)
        except OSError:
            return []
        try:
            names = os.listdir(descriptor)
        finally:
            os.close(descriptor)
        hidden = pattern.startswith(".")
        return sorted(
            name
            for name in names
            if fnmatch.fnmatchcase(name, pattern) and (hidden or not name.startswith("."))
        )

    def _explain(self, error: OSError, path: str) -> Exception:
        if error.errno == ENOENT:
            return NotFound(f"no such file: {path}{self._where}")
        if error.errno == ENOTDIR:
            return InvalidArgument(f"not a directory: {path}{self._where}")
        if error.errno in (EACCES, EPERM):
            return PermissionDenied(f"cannot reach {path}{self._where}: {error.strerror}")
        if error.errno in (ELOOP, ENAMETOOLONG):
            return InvalidArgument(f"cannot follow {path}{self._where}: {error.strerror}")
        return error


def base_of(path: str) -> str:
    """The last part of a path: `.` where it ends so, `/` for the root."""
    if path.rstrip("/").rpartition("/")[2] == ".":
        return "."
    parts = _parts(path)
    return parts[-1] if parts and parts[-1] != ".." else "/"


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
