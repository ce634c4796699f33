"""`inspect`: all about objects of any kind."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.exit_codes import WrongArguments
from proa.cli.inspecting import (
    FORMAT_FLAG,
    container_finder,
    image_finder,
    inspect,
    network_finder,
    volume_finder,
)
from proa.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values

_LATER = ("config", "node", "plugin", "secret", "service", "task")


def _inspect(session: Session, values: Values, arguments: list[str]) -> int:
    kind = values.text("type")
    if kind in _LATER:
        raise Unsupported(
            f"--type {kind}: there are no such objects; use container, image, network or volume"
        )
    if kind not in ("", "container", "image", "network", "volume"):
        raise WrongArguments(f'unknown type: "{kind}"; use container, image, network or volume')
    containers = container_finder(session, size=values.flag("size"))
    images = image_finder(session)
    volumes = volume_finder(session)
    networks = network_finder(session)
    finders = {
        "container": (containers,),
        "image": (images,),
        "network": (networks,),
        "volume": (volumes,),
        "": (containers, images, networks, volumes),
    }[kind]
    return inspect(arguments, finders, kind or "object", values.text("format"))


COMMAND = Command(
    usage="[OPTIONS] NAME|ID [NAME|ID...]",
    summary="Show all about containers, images, networks and volumes",
    run=_inspect,
    flags=(
        FORMAT_FLAG,
        ("size", "s", "bool", "Show the sizes of containers too"),
        ("type", "", "string", "Only objects of this kind: container, image, network, volume"),
    ),
    minimum=1,
    completes="containers",
)
