"""`stop` and `restart`."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values

_FLAGS = (
    ("signal", "s", "string", "Signal that asks it to end"),
    ("timeout", "t", "int", "Seconds it has before it is killed; -1: for ever"),
    ("time", "", "=timeout", ""),
)


def _stop(session: Session, values: Values, arguments: list[str]) -> int:
    containers = session.engine.containers

    def stop(name: str) -> str:
        containers.get(name).stop(values.number("timeout"), values.text("signal") or None)
        return name

    return for_each(arguments, stop, debug=session.debug)


def _restart(session: Session, values: Values, arguments: list[str]) -> int:
    containers = session.engine.containers

    def restart(name: str) -> str:
        containers.get(name).restart(values.number("timeout"), values.text("signal") or None)
        return name

    return for_each(arguments, restart, debug=session.debug)


STOP = Command(
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Ask containers to end, and kill those that do not",
    run=_stop,
    flags=_FLAGS,
    minimum=1,
    completes="running",
)
RESTART = Command(
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Stop containers and start them again",
    run=_restart,
    flags=_FLAGS,
    minimum=1,
    completes="containers",
)
