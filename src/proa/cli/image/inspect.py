"""`image inspect`: all about images."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.inspecting import FORMAT_FLAG, image_finder, inspect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _inspect(session: Session, values: Values, arguments: list[str]) -> int:
    return inspect(arguments, (image_finder(session),), "image", values.text("format"))


COMMAND = Command(
    usage="[OPTIONS] IMAGE [IMAGE...]",
    summary="Show all about images",
    run=_inspect,
    flags=(FORMAT_FLAG,),
    minimum=1,
    completes="images",
)
