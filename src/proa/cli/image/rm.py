"""`rmi`, `image rm`: remove images, or names of them."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each
from proa.errors import ImageNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _rm(session: Session, values: Values, arguments: list[str]) -> int:
    images = session.engine.images
    force = values.flag("force")

    def remove(name: str) -> str | None:
        try:
            done = images.remove(name, force=force, no_prune=values.flag("no-prune"))
        except ImageNotFound as error:
            if not force:
                raise
            from proa.cli.output import complain

            complain(str(error))
            return None
        return "\n".join(f"{deed}: {what}" for item in done for deed, what in item.items()) or None

    return for_each(arguments, remove, debug=session.debug)


COMMAND = Command(
    usage="[OPTIONS] IMAGE [IMAGE...]",
    summary="Remove images",
    run=_rm,
    flags=(
        ("force", "f", "bool", "Remove it with all of its names"),
        ("no-prune", "", "bool", "Keep parents that have no name"),
    ),
    minimum=1,
    completes="images",
)
