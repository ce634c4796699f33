"""`cp`: copy files between containers and this machine."""

from __future__ import annotations

import os
import sys
import time

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import STDERR, STDIN, STDOUT, complain, write_bytes
from proa.cli.units import decimal_size
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.files import Side

_STREAM = "-"
_PAUSE = 0.1
"""Seconds between two words about the progress."""


@record
class _Place:
    """CONTAINER:PATH, or a path of this machine."""

    container: str
    """empty: this machine"""
    path: str

    def __str__(self) -> str:
        return f"{self.container}:{self.path}" if self.container else self.path


def _cp(session: Session, values: Values, arguments: list[str]) -> int:
    places = [_place(argument) for argument in arguments]
    _check(places)
    work = _Copying(session, values)
    if places[0].path == _STREAM and not places[0].container:
        work.from_stream(places[-1])
    elif places[-1].path == _STREAM and not places[-1].container:
        work.to_stream(places[0])
    else:
        work.copy(places[:-1], places[-1])
    return 0


def _place(argument: str) -> _Place:
    """A colon ends a container's name, unless the path begins with a slash or a dot before it."""
    container, colon, path = argument.partition(":")
    if not colon or argument.startswith((".", "/")):
        return _Place("", argument)
    return _Place(container, path)


def _check(places: list[_Place]) -> None:
    for place in places:
        if not place.path:
            kind = "destination" if place is places[-1] else "source"
            raise UsageError(f"{kind} can not be empty: {place} needs a path, as in NAME:/path")
    if not any(place.container for place in places):
        raise UsageError("must specify at least one container, as in 'proa cp NAME:/path .'")
    streams = [place for place in places if place.path == _STREAM and not place.container]
    if streams and len(places) > 2:
        raise UsageError("'-' is one archive: it goes with one other path only")


class _Copying:
    """One call of the command."""

    def __init__(self, session: Session, values: Values) -> None:
        self._session = session
        self._archive = values.flag("archive")
        self._follow = values.flag("follow-link")
        self._progress = not values.flag("quiet") and os.isatty(STDERR)
        self._sides: dict[str, Side] = {}
        self._copied = 0
        self._told = 0.0

    def from_stream(self, target: _Place) -> None:
        """Put what comes from stdin into a directory of a container."""
        from proa.engine.archives import plain
        from proa.engine.copy import require_directory

        if os.isatty(STDIN):
            raise UsageError("'-' reads an archive from stdin, which is a terminal")
        side = self._side(target)
        directory = require_directory(side, target.path, str(target))
        pieces = self._counted(plain(sys.stdin.buffer))
        side.place(directory, pieces, archive=self._archive, skipped=_skipped)
        self._done(target)

    def to_stream(self, source: _Place) -> None:
        """Write what lies at a path of a container to stdout."""
        from proa.engine.copy import look_up

        if os.isatty(STDOUT):
            raise UsageError("'-' writes an archive to stdout, which is a terminal; redirect it")
        side = self._side(source)
        found = look_up(side, source.path, follow=self._follow)
        for piece in side.pack(found.path, None):
            write_bytes(STDOUT, piece)

    def copy(self, sources: list[_Place], target: _Place) -> None:
        """Copy all of `sources`; several of them go into a directory."""
        from proa.engine.copy import copy, look_up, require_directory

        wanted = [
            (self._side(source), path)
            for source in sources
            for path in self._side(source).expand(_local(source))
        ]
        to = self._side(target)
        path = _local(target)
        if len(wanted) > 1:
            path = require_directory(to, path, str(target))
        for side, source in wanted:
            copy(
                side,
                look_up(side, source, follow=self._follow),
                to,
                path,
                archive=self._archive,
                skipped=_skipped,
                progress=self._count,
            )
        self._done(target)

    def _side(self, place: _Place) -> Side:
        known = self._sides.get(place.container)
        if known is None:
            from proa.engine.files import HostSide

            known = (
                self._session.engine.containers.get(place.container).files()
                if place.container
                else HostSide()
            )
            self._sides[place.container] = known
        return known

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._count(len(piece))
            yield piece

    def _count(self, size: int) -> None:
        self._copied += size
        if self._progress and time.monotonic() - self._told > _PAUSE:
            self._told = time.monotonic()
            write_bytes(STDERR, f"\rCopying - {decimal_size(self._copied)}\x1b[K".encode())

    def _done(self, target: _Place) -> None:
        if self._progress:
            text = f"\rSuccessfully copied {decimal_size(self._copied)} to {target}\x1b[K\n"
            write_bytes(STDERR, text.encode("utf-8", "surrogateescape"))


def _local(place: _Place) -> str:
    """The path of a place; of this machine absolute, a slash or `/.` at its end kept."""
    if place.container:
        return place.path
    path = os.path.abspath(place.path)
    for end in ("/", "/."):
        if place.path.endswith(end):
            return path.rstrip("/") + end
    return f"{path.rstrip('/')}/." if place.path == "." else path


def _skipped(name: str, why: str) -> None:
    complain(f"warning: {name} was not copied: {why}")


COMMAND = Command(
    usage="[OPTIONS] CONTAINER:SRC_PATH... DEST_PATH|-\n"
    "       proa cp [OPTIONS] SRC_PATH...|- CONTAINER:DEST_PATH",
    summary="Copy files between containers and this machine",
    run=_cp,
    flags=(
        ("archive", "a", "bool", "Keep owners; into a container: give all to the user it runs as"),
        ("follow-link", "L", "bool", "Copy what a symbolic link SRC_PATH leads to"),
        ("quiet", "q", "bool", "Do not tell how far it is"),
    ),
    minimum=2,
    completes="containers",
)
