"""`image bootstrap`: a base image without any registry."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _bootstrap(session: Session, _values: Values, arguments: list[str]) -> int:
    for name in arguments:
        image = session.engine.images.bootstrap(name)
        for tag in image.tags or (str(image.id),):
            line(tag)
    return 0


COMMAND = Command(
    usage="NAME [NAME...]",
    summary="Make a base image from the host's package sources (busybox, debian:bookworm)",
    run=_bootstrap,
    minimum=1,
)
