"""`container inspect`: all about containers."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.inspecting import FORMAT_FLAG, container_finder, inspect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _inspect(session: Session, values: Values, arguments: list[str]) -> int:
    finder = container_finder(session, size=values.flag("size"))
    return inspect(arguments, (finder,), "container", values.text("format"))


COMMAND = Command(
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Show all about containers",
    run=_inspect,
    flags=(FORMAT_FLAG, ("size", "s", "bool", "Show sizes too")),
    minimum=1,
    completes="containers",
)
