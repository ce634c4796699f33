"""`tag`: a further name for an image."""

from __future__ import annotations

from proa.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _tag(session: Session, _values: Values, arguments: list[str]) -> int:
    session.engine.images.tag(arguments[0], arguments[1])
    return 0


COMMAND = Command(
    usage="SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    summary="Give an image a further name",
    run=_tag,
    minimum=2,
    maximum=2,
    completes="images",
)
