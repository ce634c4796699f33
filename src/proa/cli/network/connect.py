"""`network connect` and `network disconnect`: containers and networks, while they exist."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.flags import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _connect(session: Session, values: Values, arguments: list[str]) -> int:
    from proa.network.address import packed

    for flag in ("ip", "ip6"):
        if text := values.text(flag):
            packed(text)
    priority = values.number("gw-priority") or 0
    links = []
    for text in values.texts("link"):
        name, colon, alias = text.partition(":")
        if not name or (colon and not alias):
            raise UsageError(f'invalid argument "{text}" for "--link" flag: write NAME:ALIAS')
        links.append(f"{name}:{alias or name}")
    session.engine.networks.get(arguments[0]).connect(
        arguments[1],
        aliases=values.texts("alias"),
        links=links,
        ipv4_address=values.text("ip"),
        ipv6_address=values.text("ip6"),
        link_local_ips=values.texts("link-local-ip"),
        driver_opt=dict(text.partition("=")[::2] for text in values.texts("driver-opt")) or None,
        gw_priority=priority,
    )
    return 0


def _disconnect(session: Session, values: Values, arguments: list[str]) -> int:
    session.engine.networks.get(arguments[0]).disconnect(arguments[1], force=values.flag("force"))
    return 0


CONNECT = Command(
    usage="[OPTIONS] NETWORK CONTAINER",
    summary="Connect a container with a network",
    run=_connect,
    flags=(
        ("alias", "", "strings", "Further name of the container in the network"),
        ("driver-opt", "", "map", "Option of the network's driver"),
        ("gw-priority", "", "int", "Of several ways out the one of the highest is taken"),
        ("ip", "", "string", "IPv4 address of the container (172.30.0.10)"),
        ("ip6", "", "string", "IPv6 address of the container (2001:db8::33)"),
        ("link", "", "list", "Link to another container"),
        ("link-local-ip", "", "strings", "Link-local address of the container"),
    ),
    minimum=2,
    maximum=2,
    completes="networks",
)
DISCONNECT = Command(
    usage="[OPTIONS] NETWORK CONTAINER",
    summary="Take a container from a network",
    run=_disconnect,
    flags=(("force", "f", "bool", "Do it also where the container does not answer"),),
    minimum=2,
    maximum=2,
    completes="networks",
)
