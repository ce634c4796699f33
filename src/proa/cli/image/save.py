"""`save`: images as an archive."""

from __future__ import annotations

import os
import sys

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from proa.cli.command import Session
    from proa.cli.flags import Values

_FORMATS = ("docker-archive", "oci-archive", "oci-dir")


def _save(session: Session, values: Values, arguments: list[str]) -> int:
    images = session.engine.images
    format = values.text("format", "docker-archive")
    if format not in _FORMATS:
        raise UsageError(f'invalid argument "{format}" for "--format" flag: one of '
                         + ", ".join(_FORMATS))  # fmt: skip
    platform = values.text("platform") or None
    path = values.text("output")
    if format == "oci-dir":
        if not path or path == "-":
            raise UsageError("an oci-dir is a directory; name it with -o DIR")
        images.save_layout(arguments, path, platform=platform)
        return 0
    if not path or path == "-":
        if os.isatty(STDOUT):
            raise UsageError(
                "refusing to write an archive to a terminal; use -o FILE, or redirect stdout"
            )
        images.save(arguments, sys.stdout.buffer, format=format, platform=platform)
        sys.stdout.buffer.flush()
        return 0
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise UsageError(f"invalid output path: directory {directory} does not exist")
    if os.path.exists(path) and not os.path.isfile(path):
        if os.path.isdir(path):
            raise UsageError(f"invalid output path: {path} is a directory")
        with open(path, "wb") as device:  # a pipe or a device: nothing to be renamed
            images.save(arguments, device, format=format, platform=platform)
        return 0
    _save_to_file(path, lambda file: images.save(arguments, file, format=format, platform=platform))
    return 0


def _save_to_file(path: str, save: Callable[[BinaryIO], None]) -> None:
    """Write beside `path` and rename: half an archive never has the name of a whole one."""
    import tempfile

    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path) or "."
    )
    try:
        with open(descriptor, "wb") as file:
            save(file)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


COMMAND = Command(
    usage="[OPTIONS] IMAGE [IMAGE...]",
    summary="Write images to an archive, or to stdout",
    run=_save,
    flags=(
        (
            "format",
            "",
            "string",
            'docker-archive, oci-archive or oci-dir (default "docker-archive")',
        ),
        ("output", "o", "string", "File, or directory of an oci-dir, to write instead of stdout"),
        ("platform", "", "string", "Save this platform only (linux/arm64)"),
    ),
    minimum=1,
    completes="images",
)
