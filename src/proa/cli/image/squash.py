"""`image squash`: several layers made one."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _squash(session: Session, values: Values, arguments: list[str]) -> int:
    image = session.engine.images.squash(
        arguments[0],
        base=values.text("from") or None,
        reference=values.text("tag") or None,
    )
    line(str(image.id))
    return 0


COMMAND = Command(
    usage="[OPTIONS] IMAGE",
    summary="Make an image like another one, with its layers made one",
    run=_squash,
    flags=(
        ("from", "", "string", "Keep the layers of this image, on top of which IMAGE is made"),
        ("tag", "t", "string", "Name of the new image"),
    ),
    minimum=1,
    maximum=1,
    completes="images",
)
