"""`image prune`: remove the images that nobody needs."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.confirm import is_confirmed
from proa.cli.filters import filters
from proa.cli.output import line
from proa.cli.units import decimal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values

_FILTERS = ("dangling", "label", "label!", "until")
_WARNINGS = {
    False: "WARNING! This will remove all dangling images.",
    True: "WARNING! This will remove all images without at least one container associated to them.",
}


def _prune(session: Session, values: Values, _arguments: list[str]) -> int:
    wanted = filters(values, _FILTERS)
    everything = values.flag("all")
    if not values.flag("force") and not is_confirmed(_WARNINGS[everything]):
        return 0
    done = session.engine.images.prune(
        wanted,
        all=everything,
        unused_for=(values.number("unused-for") or 0) / 1e9,
        keep_storage=values.number("keep-storage"),
    )
    show(done["ImagesDeleted"])
    line(f"Total reclaimed space: {decimal_size(done['SpaceReclaimed'])}")
    return 0


def show(events: list[dict[str, str]] | None) -> None:
    """Say which images and layers were removed."""
    if events:
        line("Deleted Images:")
        for event in events:
            for deed, what in event.items():
                line(f"{deed.lower()}: {what}")
        line("")


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Remove the images that have no name, or that no container uses",
    run=_prune,
    flags=(
        ("all", "a", "bool", "Remove all images that no container uses"),
        ("filter", "", "filter", "Remove only what matches (until=24h, label=x)"),
        ("force", "f", "bool", "Do not ask"),
        ("keep-storage", "", "bytes", "Remove only until images take no more than this (10GB)"),
        ("unused-for", "", "age", "Remove only what no container was made of for so long (30d)"),
    ),
    maximum=0,
)
