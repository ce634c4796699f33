"""`port`: the published ports of a container."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import line
from proa.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _port(session: Session, _values: Values, arguments: list[str]) -> int:
    ports = session.engine.containers.get(arguments[0]).port()
    if len(arguments) > 1:
        wanted = arguments[1] if "/" in arguments[1] else f"{arguments[1]}/tcp"
        if not ports.get(wanted):
            raise NotFound(f"no public port '{wanted}' published for {arguments[0]}")
        for binding in ports[wanted]:
            line(_address(binding))
        return 0
    for port in sorted(ports):
        for binding in ports[port]:
            line(f"{port} -> {_address(binding)}")
    return 0


def _address(binding: dict[str, str]) -> str:
    address = binding["HostIp"]
    return (
        f"[{address}]:{binding['HostPort']}"
        if ":" in address
        else (f"{address}:{binding['HostPort']}")
    )


COMMAND = Command(
    usage="CONTAINER [PRIVATE_PORT[/PROTO]]",
    summary="Show the published ports of a container",
    run=_port,
    minimum=1,
    maximum=2,
    completes="containers",
)
