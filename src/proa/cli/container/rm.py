"""`rm`: remove containers."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each
from proa.errors import ContainerNotFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _rm(session: Session, values: Values, arguments: list[str]) -> int:
    if values.flag("link"):
        raise Unsupported("--link: links between containers are not available; leave it away")
    containers = session.engine.containers
    force, volumes = values.flag("force"), values.flag("volumes")

    def remove(name: str) -> str | None:
        try:
            containers.get(name).remove(v=volumes, force=force)
        except ContainerNotFound as error:
            if not force:
                raise
            # as with rm(1), -f of what is not there is no failure; it is told all the same
            from proa.cli.output import complain

            complain(str(error))
            return None
        return name

    return for_each((name.strip("/") or name for name in arguments), remove, debug=session.debug)


COMMAND = Command(
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Remove containers, with their changes and logs",
    run=_rm,
    flags=(
        ("force", "f", "bool", "Kill it first where it runs"),
        ("link", "l", "bool", ""),
        ("volumes", "v", "bool", "Remove its anonymous volumes too"),
    ),
    minimum=1,
    completes="containers",
)
