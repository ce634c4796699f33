"""`network ls`: the list of networks."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.filters import filters
from proa.cli.format import is_table, render, template_of
from proa.cli.output import warn, write
from proa.cli.units import local_time
from proa.engine.network_filters import LIST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.networks import Network

_HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
_COLUMNS = ("ID", "Name", "Driver", "Scope")


def _ls(session: Session, values: Values, _arguments: list[str]) -> int:
    found = session.engine.networks.list(filters=filters(values, LIST))
    template = values.text("format", "table")
    truncate = not values.flag("no-trunc")
    if values.flag("quiet"):
        if not is_table(template):
            warn("WARNING: Ignoring custom format, because both --format and --quiet are set.")
        write("".join(f"{item.short_id if truncate else item.id}\n" for item in found))
        return 0
    rows = [_row(item, truncate=truncate) for item in found]
    write(render(rows, template, default=template_of(_COLUMNS), headers=_HEADERS))
    return 0


def _row(item: Network, *, truncate: bool) -> dict[str, Any]:
    config = item.row.config
    labels = config.get("labels") or {}
    return {
        "ID": item.short_id if truncate else item.id,
        "Name": item.name,
        "Driver": item.row.driver,
        "Scope": "local",
        "IPv4": _text(config.get("ipv4", True)),
        "IPv6": _text(config.get("ipv6")),
        "Internal": _text(config.get("internal")),
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        "Label": lambda name: labels.get(name, ""),
        "CreatedAt": local_time(item.row.created),
    }


def _text(value: object) -> str:
    return "true" if value else "false"


COMMAND = Command(
    usage="[OPTIONS]",
    summary="List networks",
    run=_ls,
    flags=(
        ("filter", "f", "filter", "Show only what matches (driver=bridge, type=custom)"),
        (
            "format",
            "",
            "string",
            "Show it as 'table', 'table TEMPLATE', 'json' or by a Go TEMPLATE",
        ),
        ("no-trunc", "", "bool", "Show everything at full length"),
        ("quiet", "q", "bool", "Show ids only"),
    ),
    maximum=0,
)
