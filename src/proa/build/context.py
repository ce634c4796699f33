"""Where files come from that are not in an image: the build context, and further ones."""

from __future__ import annotations

import os
import stat
from errno import ELOOP, ENOENT, ENOTDIR
from typing import TYPE_CHECKING

from proa.build.dockerfile.ignore import Ignore
from proa.build.dockerfile.source import Source
from proa.build.fingerprint import Digests
from proa.build.tree import Tree
from proa.build.workspace import files_path
from proa.errors import InvalidArgument, LimitExceeded, NotFound
from proa.kernel.path import open_in_root
from proa.lean.record import record

if TYPE_CHECKING:
    from proa.store.store import Store

DOCKERFILE = "Dockerfile"
_IGNORE = ".dockerignore"
_LARGEST = 8 << 20
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@record
class Directory:
    """A context that is a directory; files in it are read in place."""

    path: str
    """absolute"""
    what: str
    """what errors call it"""
    ignore: Ignore | None = None
    only: str = ""
    """the one file in it that is meant"""

    def open(self) -> Tree:
        """Its files. Raises NotFound."""
        try:
            root = os.open(self.path, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"path {self.path!r} not found, or no directory") from None
        return Tree(root, self.what, self.ignore)

    def digests(self, store: Store) -> Digests:
        """What is known of its files."""
        return Digests(files_path(store, self.path))


def open_directory(path: str, dockerfile: str = "", *, confined: bool = False) -> Directory:
    """The context in the directory `path`.

    `dockerfile`: where the Dockerfile lies: an ignore file of its own name goes before the
    context's. `confined`: the context was made by strangers, and no link in it leads out. Raises
    NotFound, InvalidArgument for a bad pattern.
    """
    absolute = os.path.abspath(path)
    if not os.path.isdir(absolute):
        raise NotFound(f"unable to prepare context: path {path!r} not found, or no directory")
    candidates = [f"{dockerfile}{_IGNORE}"] if dockerfile else []
    candidates.append(os.path.join(absolute, _IGNORE))
    for candidate in candidates:
        data = _read(candidate, absolute if confined else "")
        if data is None:
            continue
        try:
            ignore = Ignore.parse(data.decode("utf-8", "surrogateescape"))
        except InvalidArgument as error:
            raise InvalidArgument(f"{candidate}: {error}") from None
        return Directory(absolute, "the build context", ignore)
    return Directory(absolute, "the build context")


def read_dockerfile(context: str, name: str, *, confined: bool = False) -> tuple[Source, str]:
    """The Dockerfile of a context, and its path.

    `name`: as `-f` has it: a path, or one in the context. Without one it is `Dockerfile` there.
    `confined`: only in the context, and no link leads out. Raises NotFound, InvalidArgument,
    LimitExceeded.
    """
    candidates = [os.path.join(context, DOCKERFILE), os.path.join(context, DOCKERFILE.lower())]
    if name:
        inside = os.path.join(context, name)
        candidates = [inside] if confined else [name, inside]
    for path in candidates:
        data = _read(path, context if confined else "")
        if data is not None:
            return Source.decode(data, os.path.basename(path)), os.path.abspath(path)
    shown = name or DOCKERFILE
    raise NotFound(
        f"failed to read dockerfile: no such file: {shown} in {context}; name it with -f"
    )


def _read(path: str, root: str) -> bytes | None:
    """What is in a file; None where there is none. `root`: nothing leads out of there."""
    try:
        if root:
            directory = os.open(root, _DIRECTORY)
            try:
                file = open_in_root(directory, os.path.relpath(path, root), _FILE)
            finally:
                os.close(directory)
        else:
            file = os.open(path, _FILE)
    except OSError as error:
        if error.errno in (ENOENT, ENOTDIR, ELOOP):
            return None
        raise
    with open(file, "rb") as opened:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise InvalidArgument(f"{path} is a directory; name a file")
        data = opened.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise LimitExceeded(f"{path} is larger than {_LARGEST} bytes")
    return data
