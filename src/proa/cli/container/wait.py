"""`wait`: until containers have ended."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _wait(session: Session, _values: Values, arguments: list[str]) -> int:
    containers = session.engine.containers
    return for_each(arguments, lambda name: str(containers.get(name).wait()), debug=session.debug)


COMMAND = Command(
    usage="CONTAINER [CONTAINER...]",
    summary="Wait until containers have ended, and print their exit codes",
    run=_wait,
    minimum=1,
    completes="containers",
)
