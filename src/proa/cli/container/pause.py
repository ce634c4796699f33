"""`pause` and `unpause`."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _pause(session: Session, _values: Values, arguments: list[str]) -> int:
    containers = session.engine.containers

    def pause(name: str) -> str:
        containers.get(name).pause()
        return name

    return for_each(arguments, pause, debug=session.debug)


def _unpause(session: Session, _values: Values, arguments: list[str]) -> int:
    containers = session.engine.containers

    def unpause(name: str) -> str:
        containers.get(name).unpause()
        return name

    return for_each(arguments, unpause, debug=session.debug)


PAUSE = Command(
    usage="CONTAINER [CONTAINER...]",
    summary="Freeze all processes of containers",
    run=_pause,
    minimum=1,
    completes="running",
)
UNPAUSE = Command(
    usage="CONTAINER [CONTAINER...]",
    summary="Let the processes of paused containers go on",
    run=_unpause,
    minimum=1,
    completes="running",
)
