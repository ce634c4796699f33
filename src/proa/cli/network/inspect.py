"""`network inspect`: all about networks."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.inspecting import FORMAT_FLAG, inspect, network_finder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _inspect(session: Session, values: Values, arguments: list[str]) -> int:
    return inspect(arguments, (network_finder(session),), "network", values.text("format"))


COMMAND = Command(
    usage="[OPTIONS] NETWORK [NETWORK...]",
    summary="Show all about networks",
    run=_inspect,
    flags=(FORMAT_FLAG, ("verbose", "v", "bool", "")),
    minimum=1,
    completes="networks",
)
