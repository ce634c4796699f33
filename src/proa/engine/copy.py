"""Copying files into and out of containers, by the rules of `docker cp`.

Of SOURCE and TARGET: a directory that is there takes the copy under the source's name; with a
source that ends with `/.`, its content only. What is not there becomes the copy, in a directory
that is there. A file replaces a file. What ends with a slash must be a directory.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from proa.errors import Conflict, InvalidArgument, NotFound
from proa.lean.record import record
from proa.snapshot.tree import base_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proa.engine.files import Progress, Side, Skipped


@record
class Source:
    """Something to be copied."""

    path: str
    """where it is, links followed where that was asked for"""
    name: str
    """what the copy is called; `.` where it is the content only"""
    is_directory: bool


def look_up(side: Side, path: str, *, follow: bool) -> Source:
    """What is to be copied from `path`; `follow`: what a link there leads to.

    Raises NotFound, InvalidArgument.
    """
    found = side.stat(path)
    name = base_of(path)
    if follow and found.is_link:
        path = found.link_target
        found = side.stat(path)
    return Source(path, name, found.is_directory)


def copy(
    source_side: Side,
    source: Source,
    target_side: Side,
    target: str,
    *,
    archive: bool = False,
    skipped: Skipped = lambda _name, _why: None,
    progress: Progress = lambda _size: None,
) -> None:
    """Copy `source` to the path `target`. `archive`: `-a`; see the sides.

    `progress` is called with bytes that were copied, as it goes on. Raises NotFound, Conflict,
    InvalidArgument, NoSpace, PermissionDenied.
    """
    directory, name = _decide(source, target_side, target)
    if source_side is target_side and source.is_directory:
        inner, outer = (
            f"{side.evaluate(path)}/"
            for side, path in ((target_side, directory), (source_side, source.path))
        )
        if inner.startswith(outer.replace("//", "/")):
            raise InvalidArgument(f"cannot copy {source.path} into itself")
    if source_side.is_here and target_side.is_here:
        target_side.transfer(
            directory,
            lambda gatherer: source_side.gather(source.path, name, gatherer),
            archive=archive,
            skipped=skipped,
            progress=progress,
        )
        return
    pieces = _counted(source_side.pack(source.path, name), progress)
    target_side.place(directory, pieces, archive=archive, skipped=skipped)


def require_directory(side: Side, path: str, shown: str) -> str:
    """`path`, evaluated where it is a link. Raises InvalidArgument where it is no directory."""
    try:
        found = side.stat(path)
        if found.is_link:
            path = found.link_target
            found = side.stat(path)
    except NotFound:
        raise NotFound(f'destination "{shown}" must be a directory; there is none') from None
    if not found.is_directory:
        raise InvalidArgument(f'destination "{shown}" must be a directory')
    return path


def _decide(source: Source, side: Side, target: str) -> tuple[str, str]:
    """In which directory the copy is made, and under which name."""
    asserts_directory = target.endswith("/") or base_of(target) == "."
    try:
        found = side.stat(target)
        if found.is_link:
            target = found.link_target
            found = side.stat(target)
    except NotFound:
        if asserts_directory and not source.is_directory:
            raise NotFound(f"no such directory: {target}; make it first") from None
        return _split(side, target)
    except InvalidArgument:
        if asserts_directory:
            raise InvalidArgument(f"not a directory: {target}") from None
        raise
    if found.is_directory:
        return target, source.name
    if source.is_directory:
        raise Conflict(f"cannot copy a directory to {target}, which is none")
    if not stat.S_ISREG(found.mode):
        raise InvalidArgument(f"destination {target} must be a directory or a regular file")
    return _split(side, target)


def _split(side: Side, path: str) -> tuple[str, str]:
    """The directory that `path` lies in, which must be there, and the name in it."""
    plain = path.rstrip("/")
    while plain.endswith("/."):
        plain = plain[:-2].rstrip("/")
    parent, _, name = plain.rpartition("/")
    if name in ("", ".", ".."):
        raise InvalidArgument(f"{path} is no name for a copy")
    if not side.stat(f"{parent}/").is_directory:
        raise NotFound(f"no such directory: {parent}")
    return parent or "/", name


def _counted(pieces: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    for piece in pieces:
        progress(len(piece))
        yield piece
