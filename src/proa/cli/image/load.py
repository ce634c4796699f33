"""`load`: images from an archive."""

from __future__ import annotations

import os
import sys

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import STDIN, line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.images import Reader


def _load(session: Session, values: Values, _arguments: list[str]) -> int:
    path = values.text("input")
    if path and path != "-":
        if os.path.isdir(path):
            return _load_from(session, values, path)
        with open(path, "rb", buffering=0) as file:
            return _load_from(session, values, file)
    if os.isatty(STDIN):
        raise UsageError("requested load from stdin, but stdin is a terminal; name a file with -i")
    return _load_from(session, values, sys.stdin.buffer)


def _load_from(session: Session, values: Values, source: Reader | str) -> int:
    platform = values.text("platform") or None
    quiet = values.flag("quiet")

    def renamed(name: str, former: str) -> None:
        if not quiet:
            line(
                f"The image {name} already exists, renaming the old one with ID {former} to"
                " empty string"
            )

    for image in session.engine.images.load(source, platform=platform, renamed=renamed):
        if quiet:
            continue
        for tag in image.tags:
            line(f"Loaded image: {tag}")
        if not image.tags:
            line(f"Loaded image ID: {image.id}")
    return 0


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Load images from an archive, or from stdin",
    run=_load,
    flags=(
        (
            "input",
            "i",
            "string",
            "Archive, or directory of an OCI layout, to read instead of stdin",
        ),
        ("platform", "", "string", "Load this platform only (linux/arm64)"),
        ("quiet", "q", "bool", "Do not say what was loaded"),
    ),
    maximum=0,
)
