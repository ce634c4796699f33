"""`volume inspect`: all about volumes."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.inspecting import FORMAT_FLAG, inspect, volume_finder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _inspect(session: Session, values: Values, arguments: list[str]) -> int:
    return inspect(arguments, (volume_finder(session),), "volume", values.text("format"))


COMMAND = Command(
    usage="[OPTIONS] VOLUME [VOLUME...]",
    summary="Show all about volumes",
    run=_inspect,
    flags=(FORMAT_FLAG,),
    minimum=1,
    completes="volumes",
)
