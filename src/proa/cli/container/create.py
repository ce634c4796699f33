"""`create`: a new container that does not run yet."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.container.build import build_config, with_image
from proa.cli.container.options import CREATE_FLAGS
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _create(session: Session, values: Values, arguments: list[str]) -> int:
    config = build_config(values, arguments)
    containers = session.engine.containers
    if "cidfile" in values:
        from proa.cli.container.cidfile import IdFile

        with IdFile(values.text("cidfile")) as file:
            container = with_image(session, values, config, lambda: containers.create(config))
            file.write(container.id)
    else:
        container = with_image(session, values, config, lambda: containers.create(config))
    line(container.id)
    return 0


COMMAND = Command(
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    summary="Make a container from an image without starting it",
    run=_create,
    flags=CREATE_FLAGS,
    minimum=1,
    interspersed=False,
    completes="images",
)
