"""Gathering a directory tree, or one file, that is in use: what `cp` takes out of a container."""

from __future__ import annotations

import os
import stat
from errno import EACCES, ENAMETOOLONG, EPERM
from typing import TYPE_CHECKING

from proa.errors import LimitExceeded, NotFound, PermissionDenied
from proa.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from proa.snapshot.pack import GONE, Gatherer, Packer

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS


def pack_tree(
    parent: int, name: str, member: bytes, *, owner: tuple[int, int] | None = None
) -> Iterator[bytes]:
    """What `gather_tree` gathers, as a tar archive, in pieces. `owner`: whose everything is there;
    by default those that it has.
    """
    packer = Packer(owner)
    try:
        for _ in gather_tree(packer, parent, name, member):
            yield from packer.pieces()
        yield packer.end()
    finally:
        packer.close()


def gather_tree(gatherer: Gatherer, parent: int, name: str, member: bytes) -> Iterator[None]:
    """Have `gatherer` take what is called `name` in the directory `parent`, a descriptor, as
    `member`; of a directory also what is in it, mounts included. One member with each step. No
    link is followed.

    `parent` must stay open until the end. Raises NotFound, PermissionDenied, LimitExceeded.
    """
    status = _status(parent, name, member)
    gatherer.add(parent, name, member, status)
    yield
    if stat.S_ISDIR(status.st_mode):
        yield from _contents(gatherer, parent, name, member)


def _status(parent: int, name: str, member: bytes) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno in GONE:
            raise NotFound(f"no such file: {_show(member)}; it was there a moment ago") from None
        raise


def _contents(gatherer: Gatherer, parent: int, name: str, member: bytes) -> Iterator[None]:
    top = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        pending = [("", member)]
        while pending:
            path, shown = pending.pop()
            directory = _open(top, path, shown)
            if directory is None:
                continue
            try:
                inside = []
                for found, status in _list(directory):
                    below = shown + b"/" + os.fsencode(found)
                    gatherer.add(directory, found, below, status)
                    yield
                    if stat.S_ISDIR(status.st_mode):
                        inside.append((f"{path}/{found}" if path else found, below))
                pending += reversed(inside)
            finally:
                os.close(directory)
    finally:
        os.close(top)


def _open(top: int, path: str, member: bytes) -> int | None:
    """The directory `path` below `top`; None where it has gone, or became a link."""
    try:
        return openat2(top, path or ".", _DIRECTORY, resolve=_BENEATH)
    except OSError as error:
        if error.errno in GONE:
            return None
        if error.errno in (EACCES, EPERM):
            raise PermissionDenied(f"cannot read {_show(member)}: {error.strerror}") from None
        if error.errno == ENAMETOOLONG:
            raise LimitExceeded(
                f"the path {_show(member)} is longer than 4095 bytes, and cannot be copied"
            ) from None
        raise


def _list(directory: int) -> list[tuple[str, os.stat_result]]:
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                found.append((entry.name, entry.stat(follow_symlinks=False)))
            except OSError as error:
                if error.errno not in GONE:
                    raise
    found.sort(key=lambda item: os.fsencode(item[0]))
    return found


def _show(member: bytes) -> str:
    text = member[:200].decode("utf-8", "backslashreplace")
    return repr(text) if len(member) <= 200 else repr(text) + "…"
