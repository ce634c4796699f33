"""`image copy`: from a registry, an archive or the store to another one."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _copy(session: Session, values: Values, arguments: list[str]) -> int:
    from proa.cli.progress import display

    digest = session.engine.images.copy(
        arguments[0],
        arguments[1],
        platform=values.text("platform") or None,
        progress=None if values.flag("quiet") else display(),
    )
    line(digest if values.flag("quiet") else f"Digest: {digest}")
    return 0


COMMAND = Command(
    usage="[OPTIONS] SOURCE TARGET",
    summary="Copy an image between registries, archives, layouts and the store",
    run=_copy,
    flags=(
        ("platform", "", "string", "Of several, only the image for this platform (linux/arm64)"),
        ("quiet", "q", "bool", "Print the digest only"),
    ),
    minimum=2,
    maximum=2,
)
