"""`rename`: give a container another name."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.flags import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _rename(session: Session, _values: Values, arguments: list[str]) -> int:
    old, new = (argument.strip() for argument in arguments)
    if not (old and new):
        raise UsageError("neither old nor new names may be empty")
    session.engine.containers.get(old).rename(new)
    return 0


COMMAND = Command(
    usage="CONTAINER NEW_NAME",
    summary="Give a container another name",
    run=_rename,
    minimum=2,
    maximum=2,
    completes="containers",
)
