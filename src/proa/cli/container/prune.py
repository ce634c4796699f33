"""`container prune`: remove the containers that do not run."""

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

_FILTERS = ("label", "label!", "until")


def _prune(session: Session, values: Values, _arguments: list[str]) -> int:
    wanted = filters(values, _FILTERS)
    if not values.flag("force") and not is_confirmed(
        "WARNING! This will remove all stopped containers."
    ):
        return 0
    unused = (values.number("unused-for") or 0) / 1e9
    done = session.engine.containers.prune(wanted, unused_for=unused)
    show(done["ContainersDeleted"])
    line(f"Total reclaimed space: {decimal_size(done['SpaceReclaimed'])}")
    return 0


def show(ids: list[str] | None) -> None:
    """Say which containers were removed."""
    if ids:
        line("Deleted Containers:")
        for id in ids:
            line(id)
        line("")


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Remove all containers that do not run",
    run=_prune,
    flags=(
        ("filter", "", "filter", "Remove only what matches (until=24h, label=x, label!=y)"),
        ("force", "f", "bool", "Do not ask"),
        ("unused-for", "", "age", "Remove only what has not run for so long (30d, 12h)"),
    ),
    maximum=0,
)
