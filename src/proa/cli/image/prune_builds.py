"""`builder prune`: remove what builds keep to be quicker the next time."""

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

_FILTERS = ("description", "id", "unused-for", "until")
_WARNINGS = {
    False: "WARNING! This will remove all steps of builds from the cache.",
    True: "WARNING! This will remove all build cache, cache mounts included.",
}


def _prune(session: Session, values: Values, _arguments: list[str]) -> int:
    wanted = filters(values, _FILTERS)
    everything = values.flag("all")
    if not values.flag("force") and not is_confirmed(_WARNINGS[everything]):
        return 0
    done = session.engine.images.prune_builds(
        all=everything, filters=wanted, keep_storage=values.number("keep-storage") or 0
    )
    if done["CachesDeleted"]:
        line("ID")
        for key in done["CachesDeleted"]:
            line(key[:25])
        line("")
    line(f"Total reclaimed space: {decimal_size(done['SpaceReclaimed'])}")
    return 0


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Remove what builds keep to be quicker the next time",
    run=_prune,
    flags=(
        ("all", "a", "bool", "Remove cache mounts and what was fetched, too"),
        ("filter", "", "filter", "Remove only what matches (until=24h, unused-for=720h)"),
        ("force", "f", "bool", "Do not ask"),
        ("keep-storage", "", "bytes", "Keep that much, what was used last"),
        ("max-used-space", "", "=keep-storage", ""),
    ),
    maximum=0,
)
