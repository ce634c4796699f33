"""`network rm`: remove networks."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each
from proa.errors import NetworkNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _rm(session: Session, values: Values, arguments: list[str]) -> int:
    def remove(name: str) -> str | None:
        try:
            session.engine.networks.get(name).remove()
        except NetworkNotFound:
            if not values.flag("force"):
                raise
            return None
        return name

    return for_each(arguments, remove, debug=session.debug)


COMMAND = Command(
    usage="NETWORK [NETWORK...]",
    summary="Remove networks",
    run=_rm,
    flags=(("force", "f", "bool", "Be content where there is no such network"),),
    minimum=1,
    completes="networks",
)
