"""`volume prune`: remove the volumes that no container has."""

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

_FILTERS = ("all", "label", "label!")


def _prune(session: Session, values: Values, _arguments: list[str]) -> int:
    wanted = filters(values, _FILTERS)
    if values.flag("all"):
        wanted["all"] = ["1"]
    anonymous = "" if "all" in wanted else "anonymous "
    if not values.flag("force") and not is_confirmed(
        f"WARNING! This will remove {anonymous or 'all '}local volumes not used by at least one"
        " container."
    ):
        return 0
    unused = (values.number("unused-for") or 0) / 1e9
    done = session.engine.volumes.prune(wanted, unused_for=unused)
    if done["VolumesDeleted"]:
        line("Deleted Volumes:")
        for name in done["VolumesDeleted"]:
            line(name)
        line("")
    line(f"Total reclaimed space: {decimal_size(done['SpaceReclaimed'])}")
    return 0


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Remove the volumes that no container has",
    run=_prune,
    flags=(
        ("all", "a", "bool", "Remove those too that have a name"),
        ("filter", "", "filter", "Remove only what matches (label=x, label!=y)"),
        ("force", "f", "bool", "Do not ask"),
        ("unused-for", "", "age", "Remove only what no container has had for so long (30d)"),
    ),
    maximum=0,
)
