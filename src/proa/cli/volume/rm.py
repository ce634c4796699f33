"""`volume rm`: remove volumes."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _rm(session: Session, values: Values, arguments: list[str]) -> int:
    volumes = session.engine.volumes
    force = values.flag("force")

    def remove(name: str) -> str:
        volumes.remove(name, force=force)
        return name

    return for_each(arguments, remove, debug=session.debug)


COMMAND = Command(
    usage="[OPTIONS] VOLUME [VOLUME...]",
    summary="Remove volumes with all that is in them",
    run=_rm,
    flags=(("force", "f", "bool", "It is no error where there is no such volume"),),
    minimum=1,
    completes="volumes",
)
