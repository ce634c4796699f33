"""`network explain`: the way of a packet to a published port."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.exit_codes import WrongArguments
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _explain(session: Session, _values: Values, arguments: list[str]) -> int:
    from proa.engine.explain import explain

    number, _, protocol = arguments[0].lower().partition("/")
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 65536) or (
        protocol not in ("", "tcp", "udp", "sctp")
    ):
        raise WrongArguments(f"{arguments[0]!r} is no port: write it as 8080 or 53/udp")
    for step, text in explain(session.engine, int(number), protocol or "tcp"):
        line(f"{step:<11} {text}")
    return 0


COMMAND = Command(
    usage="PORT[/PROTOCOL]",
    summary="Show the way of a packet to a published port of this host",
    run=_explain,
    minimum=1,
    maximum=1,
)
