"""Removing a directory with everything in it, whatever a container or a layer put there."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST = 32
"""Levels of directories that are open at the same time."""
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_ENOTDIR, _ELOOP = 20, 40


def remove_tree(path: str) -> None:
    """Remove the directory `path` and what is in it; nothing happens where it is missing.

    Symbolic links are removed, never followed. Trees may be deeper than a path or than the
    number of open files allows: what lies deep is first moved up. Raises OSError.
    """
    try:
        top = _open(path, None)
    except FileNotFoundError:
        return
    try:
        moved = _Moved(top)
        _empty(top, moved, 0)
        while moved.names:
            name = moved.names.pop()
            child = _open(name, top)
            try:
                _empty(child, moved, 0)
            finally:
                posix.close(child)
            posix.rmdir(name, dir_fd=top)
    finally:
        posix.close(top)
    posix.rmdir(path)


class _Moved:
    """Directories that were too deep, moved to the top of the tree."""

    def __init__(self, top: int) -> None:
        self.top = top
        self.names: list[str] = []
        self._count = 0

    def take(self, name: str, parent: int) -> None:
        while True:
            self._count += 1
            place = f".moved-{self._count}"
            try:
                posix.stat(place, dir_fd=self.top, follow_symlinks=False)
            except FileNotFoundError:
                break
        posix.rename(name, place, src_dir_fd=parent, dst_dir_fd=self.top)
        self.names.append(place)


def _empty(directory: int, moved: _Moved, depth: int) -> None:
    for name, is_directory in _entries(directory):
        if not is_directory:
            try:
                posix.unlink(name, dir_fd=directory)
            except FileNotFoundError:
                pass
            continue
        if depth >= _DEEPEST:
            moved.take(name, directory)
            continue
        try:
            child = _open(name, directory)
        except FileNotFoundError:
            continue
        try:
            _empty(child, moved, depth + 1)
        finally:
            posix.close(child)
        try:
            posix.rmdir(name, dir_fd=directory)
        except FileNotFoundError:
            pass


def _entries(directory: int) -> Iterator[tuple[str, bool]]:
    # read to the end before anything changes: removing disturbs the position in the directory
    with posix.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    return iter(found)


def _open(name: str, parent: int | None) -> int:
    try:
        return posix.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        # an ordinary user may own a directory that nobody may read
        posix.chmod(name, 0o700, dir_fd=parent)
        return posix.open(name, _DIRECTORY, dir_fd=parent)
