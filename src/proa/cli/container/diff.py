"""`diff`: what a container has changed of its image."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values

_LETTERS = "CAD"


def _diff(session: Session, _values: Values, arguments: list[str]) -> int:
    changes = session.engine.containers.get(arguments[0]).diff()
    write("".join(f"{_LETTERS[change['Kind']]} {change['Path']}\n" for change in changes))
    return 0


COMMAND = Command(
    usage="CONTAINER",
    summary="Show what a container has added (A), changed (C) and deleted (D)",
    run=_diff,
    minimum=1,
    maximum=1,
    completes="containers",
)
