"""`volume create`: make a volume."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.exit_codes import WrongArguments
from proa.cli.flags import UsageError
from proa.cli.output import line
from proa.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values

_CLUSTER = (
    ("availability", "", "string", ""),
    ("group", "", "string", ""),
    ("limit-bytes", "", "bytes", ""),
    ("required-bytes", "", "bytes", ""),
    ("scope", "", "string", ""),
    ("secret", "", "map", ""),
    ("sharing", "", "string", ""),
    ("topology-preferred", "", "list", ""),
    ("topology-required", "", "list", ""),
    ("type", "", "string", ""),
)
"""Docker's flags for volumes of a swarm."""


def _create(session: Session, values: Values, arguments: list[str]) -> int:
    for name, *_ in _CLUSTER:
        if name in values:
            raise Unsupported(f"--{name} is for volumes of a swarm, of which there is none")
    name = values.text("name")
    if name and arguments:
        raise WrongArguments("conflicting options: cannot specify a volume-name through both --name and as a positional arg")  # fmt: skip # noqa: E501
    volume = session.engine.volumes.create(
        arguments[0] if arguments else name or None,
        driver=values.text("driver", "local"),
        driver_opts=_pairs(values, "opt"),
        labels=_pairs(values, "label"),
    )
    line(volume.name)
    return 0


def _pairs(values: Values, flag: str) -> dict[str, str]:
    found = {}
    for text in values.texts(flag):
        key, _, value = text.partition("=")
        if not key:
            raise UsageError(f'invalid argument "{text}" for "--{flag}" flag: write NAME=VALUE')
        found[key] = value
    return found


COMMAND = Command(
    usage="[OPTIONS] [VOLUME]",
    summary="Make a volume",
    run=_create,
    flags=(
        *_CLUSTER,
        ("driver", "d", "string", 'Driver of the volume (default "local")'),
        ("label", "", "list", "Label of the volume (name=value)"),
        ("name", "", "string", ""),
        ("opt", "o", "list", "Option of the driver: type=, device=, o= as in fstab"),
    ),
    maximum=1,
)
