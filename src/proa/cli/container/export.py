"""`export`: all files of a container as a tar archive."""

from __future__ import annotations

import os
import secrets

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import STDOUT, write_bytes
from proa.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from proa.cli.command import Session
    from proa.cli.flags import Values


def _export(session: Session, values: Values, arguments: list[str]) -> int:
    path = values.text("output")
    if not path and os.isatty(STDOUT):
        raise UsageError("cowardly refusing to save to a terminal; give --output, or redirect")
    pieces = session.engine.containers.get(arguments[0]).export()
    if path:
        _write_file(path, pieces)
    else:
        for piece in pieces:
            write_bytes(STDOUT, piece)
    return 0


def _write_file(path: str, pieces: Iterator[bytes]) -> None:
    """Write `path`: complete, or as it was before."""
    directory, name = os.path.split(os.path.abspath(path))
    if not os.path.isdir(directory):
        raise NotFound(f"invalid output path: directory {directory!r} does not exist")
    if os.path.exists(path) and not os.path.isfile(path):
        # a device or a pipe takes it as it comes; a directory refuses
        with open(path, "wb", buffering=0) as file:
            for piece in pieces:
                write_bytes(file.fileno(), piece)
        return
    place = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(place), f".{name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb", buffering=0) as file:
            for piece in pieces:
                write_bytes(file.fileno(), piece)
        os.rename(temporary, place)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise


COMMAND = Command(
    usage="[OPTIONS] CONTAINER",
    summary="Write all files of a container as a tar archive",
    run=_export,
    flags=(("output", "o", "string", "Write to this file instead of stdout"),),
    minimum=1,
    maximum=1,
    completes="containers",
)
