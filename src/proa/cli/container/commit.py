"""`commit`: an image of what a container has changed."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _commit(session: Session, values: Values, arguments: list[str]) -> int:
    image = session.engine.containers.get(arguments[0]).commit(
        arguments[1] if len(arguments) > 1 else None,
        message=values.text("message"),
        author=values.text("author"),
        pause=values.flag("pause", True) and not values.flag("no-pause"),
        changes=values.texts("change"),
    )
    line(str(image.id))
    return 0


COMMAND = Command(
    usage="[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    summary="Make an image of what a container has changed",
    run=_commit,
    flags=(
        ("author", "a", "string", 'Author of the image ("Jo Doe <jo@example.org>")'),
        ("change", "c", "list", 'Dockerfile instruction for the image (CMD ["sh"])'),
        ("message", "m", "string", "Comment in the image's history"),
        ("no-pause", "", "bool", "Let the container run meanwhile"),
        ("pause", "p", "bool", "Keep the container from running meanwhile (default true)"),
    ),
    minimum=1,
    maximum=2,
    completes="containers",
)
