"""`push`: an image to a registry."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.images import Pushed


def _push(session: Session, values: Values, arguments: list[str]) -> int:
    from proa.cli.progress import display
    from proa.oci.reference import Reference

    reference = Reference.parse(arguments[0])
    all_tags, quiet = values.flag("all-tags"), values.flag("quiet")
    if not quiet and not all_tags and reference.with_default_tag() != reference:
        line("Using default tag: latest")

    def told(pushed: Pushed) -> None:
        if not quiet:
            tag = pushed.reference.rpartition(":")[2]
            line(f"{tag}: digest: {pushed.digest} size: {pushed.size}")

    session.engine.images.push_each(
        arguments[0],
        all_tags=all_tags,
        progress=None if quiet else display(),
        pushed=told,
    )
    if quiet:
        line(str(reference if all_tags else reference.with_default_tag()))
    return 0


COMMAND = Command(
    usage="[OPTIONS] NAME[:TAG]",
    summary="Send an image to a registry",
    run=_push,
    flags=(
        ("all-tags", "a", "bool", "Send all tags that the repository has here"),
        ("disable-content-trust", "", "bool", ""),
        ("quiet", "q", "bool", "Print the image's name only"),
    ),
    minimum=1,
    maximum=1,
    completes="images",
)
