"""`volume ls`: the list of volumes."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.filters import filters
from proa.cli.format import is_table, render, template_of
from proa.cli.output import warn, write
from proa.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.volumes import Volume

_HEADERS = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
    "Availability": "AVAILABILITY",
    "Group": "GROUP",
    "Status": "STATUS",
}
_FILTERS = ("dangling", "driver", "label", "name")


def _ls(session: Session, values: Values, _arguments: list[str]) -> int:
    if values.flag("cluster"):
        raise Unsupported("--cluster shows volumes of a swarm, of which there is none")
    volumes = session.engine.volumes.list(filters(values, _FILTERS))
    template = values.text("format", "table")
    if values.flag("quiet"):
        if not is_table(template):
            warn("WARNING: Ignoring custom format, because both --format and --quiet are set.")
        template = "{{.Name}}"
    default = template_of(("Driver", "Name"))
    write(render([_row(volume) for volume in volumes], template, default=default, headers=_HEADERS))
    return 0


def _row(volume: Volume) -> dict[str, Any]:
    labels = volume.labels
    return {
        "Availability": "N/A",
        "Driver": "local",
        "Group": "N/A",
        "Label": lambda name: labels.get(name, ""),
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        "Links": "N/A",
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Scope": "local",
        "Size": "N/A",
        "Status": "N/A",
    }


COMMAND = Command(
    usage="[OPTIONS]",
    summary="List volumes",
    run=_ls,
    flags=(
        ("cluster", "", "bool", ""),
        ("filter", "f", "filter", "Show only what matches (dangling=true, label=a=b, name=db)"),
        (
            "format",
            "",
            "string",
            "Show it as 'table', 'table TEMPLATE', 'json' or by a Go TEMPLATE",
        ),
        ("quiet", "q", "bool", "Show names only"),
    ),
    maximum=0,
)
