"""What files are: digests of what would be copied, by which a step is found in the cache.

A file is its kind, mode, owner where that is kept, link, xattrs and content; its times are not.
Contents of a build context are read once: what stat(2) says of a file is remembered with its
digest. A file that was changed too short a time ago to tell a further change by its times is not
remembered.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import stat
import time
from typing import TYPE_CHECKING

from proa.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proa.build.tree import Item, Tree

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK = 1 << 20
_MARGIN = 2_000_000_000
"""Nanoseconds: longer than the steps of any file system's clock that we know of."""
_VERSION = 1
_XATTRS = ("user.", "security.capability", "system.posix_acl_")
Identity = tuple[int, int, int, int, int]


class Digests:
    """The digests of a context's files, kept in the file `path` between builds ("": nowhere)."""

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._known: dict[str, tuple[Identity, str]] = {}
        self._used: dict[str, tuple[Identity, str]] = {}
        self._is_changed = False
        try:
            with open(path, "rb") as file:
                # read whole: from a file object, marshal reads each value by itself
                version, known = marshal.loads(file.read())  # noqa: S302 - our own file
                if version == _VERSION:
                    self._known = known
        except (OSError, ValueError, EOFError, TypeError):
            pass  # a cache: without it all is read again

    def of(self, tree: Tree, item: Item) -> str:
        """The digest of a regular file's content and xattrs. Raises Conflict where it changes."""
        identity = identity_of(item.status)
        known = self._known.get(item.source)
        if known is not None and known[0] == identity:
            self._used[item.source] = known
            return known[1]
        began = time.time_ns()
        digest = _read(tree, item)
        if item.status.st_ctime_ns < began - _MARGIN:
            self._used[item.source] = identity, digest
            self._is_changed = True
        return digest

    def save(self) -> None:
        """Keep what is known for the next build."""
        if not self._path or not self._is_changed:
            return
        draft = f"{self._path}.{os.getpid()}"
        try:
            with open(draft, "wb") as file:
                file.write(marshal.dumps((_VERSION, {**self._known, **self._used})))
            os.replace(draft, self._path)
        except OSError:
            return  # a full disk: the next build reads the files again


def identity_of(status: os.stat_result) -> Identity:
    """What changes with every change of a file: the time of its inode cannot be set."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def fingerprint(
    tree: Tree, items: Iterable[Item], digests: Digests, *, with_owners: bool
) -> tuple[str, dict[str, str]]:
    """The digest of `items`, and of each one by where it comes to be."""
    whole = hashlib.sha256()
    files: dict[str, str] = {}
    for item in items:
        text = _describe(tree, item, digests, with_owners)
        files[item.target] = text
        whole.update(f"{item.target}\0{text}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest(), files


def _describe(tree: Tree, item: Item, digests: Digests, with_owners: bool) -> str:
    status = item.status
    mode = status.st_mode
    owner = f" {status.st_uid}:{status.st_gid}" if with_owners else ""
    if stat.S_ISREG(mode):
        return f"{mode:o}{owner} {digests.of(tree, item)}"
    if stat.S_ISLNK(mode):
        return f"link{owner} {read_link(tree, item.source)}"
    if stat.S_ISDIR(mode):
        return f"{mode:o}{owner}{' top' if item.top else ''}"
    return f"{mode:o}{owner} {status.st_rdev}"


def read_link(tree: Tree, path: str) -> str:
    """Where the symbolic link `path` of the tree leads."""
    parent, _, name = path.rpartition("/")
    directory = tree.open(parent, os.O_PATH | os.O_DIRECTORY)
    try:
        return os.readlink(name, dir_fd=directory)
    finally:
        os.close(directory)


def open_same(tree: Tree, item: Item) -> int:
    """A descriptor of a regular file, if it is still what it was when it was selected.

    Raises Conflict.
    """
    try:
        file = tree.open(item.source, _READ)
    except OSError:
        raise changed(tree, item) from None
    if identity_of(os.fstat(file)) != identity_of(item.status):
        os.close(file)
        raise changed(tree, item)
    return file


def changed(tree: Tree, item: Item) -> Conflict:
    """The error for a file that does not stay as it is."""
    return Conflict(f"/{item.source} in {tree.what} changed while it was read; build again")


def own_xattrs(file: int | str) -> list[tuple[str, bytes]]:
    """The xattrs that belong to a file, wherever it is, sorted."""
    try:
        names = (
            os.listxattr(file)
            if isinstance(file, int)
            else os.listxattr(file, follow_symlinks=False)
        )
        return sorted((name, os.getxattr(file, name)) for name in names if name.startswith(_XATTRS))
    except OSError:
        return []


def _read(tree: Tree, item: Item) -> str:
    file = open_same(tree, item)
    try:
        content = hashlib.sha256()
        for name, value in own_xattrs(file):
            content.update(f"{name}\0{len(value)}\0".encode() + value)
        while chunk := os.read(file, _CHUNK):
            content.update(chunk)
        if identity_of(os.fstat(file)) != identity_of(item.status):
            raise changed(tree, item)
        return content.hexdigest()
    finally:
        os.close(file)
