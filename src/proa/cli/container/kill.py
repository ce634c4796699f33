"""`kill`: send containers a signal."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _kill(session: Session, values: Values, arguments: list[str]) -> int:
    containers = session.engine.containers

    def kill(name: str) -> str:
        containers.get(name).kill(values.text("signal") or "KILL")
        return name

    return for_each(arguments, kill, debug=session.debug)


COMMAND = Command(
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Send containers a signal, SIGKILL unless another is named",
    run=_kill,
    flags=(("signal", "s", "string", "Signal to send"),),
    minimum=1,
    completes="running",
)
