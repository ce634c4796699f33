"""`import`: an image from a root file system."""

from __future__ import annotations

import os
import sys

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import STDIN, line
from proa.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from proa.cli.command import Session
    from proa.cli.flags import Values


def _import(session: Session, values: Values, arguments: list[str]) -> int:
    source = arguments[0]
    reference = arguments[1] if len(arguments) > 1 else None
    if source.startswith(("http://", "https://")):
        raise Unsupported(
            f"import of {source}: download it first, as in 'curl -L URL | proa import - NAME'"
        )
    if source != "-":
        with open(source, "rb") as file:
            return _import_from(session, values, file, reference)
    if os.isatty(STDIN):
        raise UsageError("requested import from stdin, but stdin is a terminal; name a file")
    return _import_from(session, values, sys.stdin.buffer, reference)


def _import_from(session: Session, values: Values, stream: BinaryIO, reference: str | None) -> int:
    image = session.engine.images.import_(
        stream,
        reference,
        changes=values.texts("change"),
        message=values.text("message"),
        platform=values.text("platform") or None,
    )
    line(str(image.id))
    return 0


COMMAND = Command(
    usage="[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    summary="Make an image of a root file system in a tar archive",
    run=_import,
    flags=(
        ("change", "c", "list", 'Dockerfile instruction for the image (CMD ["sh"])'),
        ("message", "m", "string", "Comment in the image's history"),
        ("platform", "", "string", "Platform that the image is for (linux/arm64)"),
    ),
    minimum=1,
    maximum=2,
)
