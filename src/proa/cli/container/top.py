"""`top`: the processes of a container."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import write
from proa.cli.table import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _top(session: Session, _values: Values, arguments: list[str]) -> int:
    container = session.engine.containers.get(arguments[0])
    titles, rows = container.top(" ".join(arguments[1:]) or "-ef")
    write(layout([titles, *rows], minimum=20))
    return 0


COMMAND = Command(
    usage="CONTAINER [ps OPTIONS]",
    summary="Show the processes of a container, as ps(1) does",
    run=_top,
    minimum=1,
    interspersed=False,
    completes="running",
)
