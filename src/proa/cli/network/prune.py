"""`network prune`: remove the networks that no container refers to."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.confirm import is_confirmed
from proa.cli.filters import filters
from proa.cli.output import line
from proa.engine.network_filters import PRUNE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _prune(session: Session, values: Values, _arguments: list[str]) -> int:
    wanted = filters(values, PRUNE)
    if not values.flag("force") and not is_confirmed(
        "WARNING! This will remove all custom networks not used by at least one container."
    ):
        return 0
    deleted = session.engine.networks.prune(wanted)["NetworksDeleted"]
    if deleted:
        line("Deleted Networks:")
        for name in deleted:
            line(name)
        line("")
    return 0


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Remove all networks that no container refers to",
    run=_prune,
    flags=(
        ("filter", "", "filter", "Remove only what matches (until=24h, label=x, label!=y)"),
        ("force", "f", "bool", "Do not ask"),
    ),
    maximum=0,
)
