"""`system boot` and `system halt`: containers when the machine comes up and goes down."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.exit_codes import FAILED, OK
from proa.cli.output import complain, line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.boot import Outcome


def _boot(session: Session, _values: Values, _arguments: list[str]) -> int:
    from proa.engine.boot import boot
    from proa.engine.engine import Engine
    from proa.engine.monitors import Monitors

    # many monitors: one process forks them all
    with Engine(session.root, monitors=Monitors(spawner=True)) as engine:
        return _code(boot(engine, on_outcome=_tell))


def _halt(session: Session, _values: Values, _arguments: list[str]) -> int:
    from proa.engine.boot import halt

    return _code(halt(session.engine, on_outcome=_tell))


def _tell(outcome: Outcome) -> None:
    if outcome.error is None:
        line(outcome.name)
    else:
        complain(f"{outcome.name}: {outcome.error}")


def _code(outcomes: list[Outcome]) -> int:
    return FAILED if any(outcome.error is not None for outcome in outcomes) else OK


BOOT = Command(
    usage="",
    summary="Start the containers that ran when the machine went down, as their policies say",
    run=_boot,
    maximum=0,
)
HALT = Command(
    usage="",
    summary="Stop all containers before the machine goes down; 'system boot' starts them again",
    run=_halt,
    maximum=0,
)
