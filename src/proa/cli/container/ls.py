"""`ps`, `container ls`: the list of containers."""

from __future__ import annotations

import time

from proa.cli.command import Command
from proa.cli.output import warn, write
from proa.cli.table import layout, quoted, truncated
from proa.engine.status import status
from proa.lean.duration import ago

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.containers import ContainerSummary

_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Mounts": "MOUNTS",
    "Names": "NAMES",
    "Networks": "NETWORKS",
}
_FILTERS = (
    "ancestor before exited expose health id is-task label name network publish since status volume"
).split()


def _ls(session: Session, values: Values, _arguments: list[str]) -> int:
    wanted = None
    if "filter" in values:
        from proa.cli.filters import filters

        wanted = filters(values, _FILTERS)
    last = values.number("last")
    limit = last if last is not None and last > 0 else None
    if values.flag("latest") and limit is None:
        limit = 1
    template = values.text("format", "table")
    size = values.flag("size") or ".Size" in template
    found = session.engine.containers.summaries(all=values.flag("all"), limit=limit, filters=wanted)
    if size:
        found = _with_sizes(session, found)
    truncate = not values.flag("no-trunc")
    if template == "table":
        if values.flag("quiet"):
            write("".join(f"{_id(item, truncate)}\n" for item in found))
        else:
            write(_table(found, truncate=truncate, size=values.flag("size")))
        return 0
    from proa.cli.format import is_table, render, template_of

    if values.flag("quiet"):
        if not is_table(template):
            warn("WARNING: Ignoring custom format, because both --format and --quiet are set.")
        template = "{{.ID}}"
    now = time.time_ns()
    rows = [_row(item, now, truncate=truncate) for item in found]
    columns = (*_COLUMNS, "Size") if size else _COLUMNS
    write(render(rows, template, default=template_of(columns), headers=_HEADERS))
    return 0


def _table(found: Sequence[ContainerSummary], *, truncate: bool, size: bool) -> str:
    """The plain table, of which `ps` is mostly asked for; no template has to be read for it."""
    now = time.time_ns()
    columns = (*_COLUMNS, "Size") if size else _COLUMNS
    cells = [[_HEADERS[name] for name in columns]]
    for item in found:
        row = [
            _id(item, truncate),
            _image(item, truncate),
            command_of(item, truncate=truncate),
            ago(item.created, now),
            status(item, now),
            _ports(item),
            item.name,
        ]
        if size:
            row.append(_size(item))
        cells.append(row)
    return layout(cells)


def _row(item: ContainerSummary, now: int, *, truncate: bool) -> dict[str, Any]:
    """All that a template can ask for."""
    from proa.cli.units import local_time

    mounts = [truncated(mount, 15) if truncate else mount for mount in item.mounts]
    return {
        "Command": command_of(item, truncate=truncate),
        "CreatedAt": local_time(item.created),
        "ID": _id(item, truncate),
        "Image": _image(item, truncate),
        "Label": lambda name: item.labels.get(name, ""),
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(item.labels.items())),
        "LocalVolumes": str(item.local_volumes),
        "Mounts": ",".join(mounts),
        "Names": item.name,
        "Platform": None,
        "Networks": ",".join(item.networks),
        "Ports": _ports(item),
        "RunningFor": ago(item.created, now),
        "Size": _size(item),
        "State": item.state,
        "Status": status(item, now),
    }


def _with_sizes(session: Session, found: Sequence[ContainerSummary]) -> list[ContainerSummary]:
    from proa.errors import NotFound
    from proa.lean.record import replace

    measured = []
    for item in found:
        try:
            writable, whole = session.engine.containers.get(item.id).sizes()
        except NotFound:
            measured.append(item)  # it, or its image, was removed meanwhile
            continue
        measured.append(replace(item, size_rw=writable, size_rootfs=whole))
    return measured


def _id(item: ContainerSummary, truncate: bool) -> str:
    return item.id[:12] if truncate else item.id


def _image(item: ContainerSummary, truncate: bool) -> str:
    image = item.image or "<no image>"
    if not truncate:
        return image
    digits = image.removeprefix("sha256:")
    if len(digits) > 12 and item.image_id.removeprefix("sha256:").startswith(digits):
        return digits[:12]
    name, at, _ = image.partition("@")
    # of name:tag@digest the digest is left away; of name@digest it is what is known
    return name if at and ":" in name.rpartition("/")[2] else image


def command_of(item: ContainerSummary, *, truncate: bool) -> str:
    """Its command as one quoted text."""
    first, *others = item.command
    text = " ".join([first, *(f"'{word}'" if " " in word else word for word in others)])
    return quoted(truncated(text, 20) if truncate else text)


def _ports(item: ContainerSummary) -> str:
    if item.state not in ("running", "paused") or not (item.ports or item.exposed_ports):
        return ""
    from proa.cli.container.ports import ports

    return ports(item.ports, item.exposed_ports)


def _size(item: ContainerSummary) -> str:
    from proa.cli.units import decimal_size

    text = decimal_size(item.size_rw or 0)
    return f"{text} (virtual {decimal_size(item.size_rootfs)})" if item.size_rootfs else text


COMMAND = Command(
    usage="[OPTIONS]",
    summary="List containers",
    run=_ls,
    flags=(
        ("all", "a", "bool", "Show all containers, not only those that run"),
        ("filter", "f", "filter", "Show only what matches (name=web, status=exited, label=a=b)"),
        (
            "format",
            "",
            "string",
            "Show it as 'table', 'table TEMPLATE', 'json' or by a Go TEMPLATE",
        ),
        ("last", "n", "int", "Show the n newest containers, running or not (default -1)"),
        ("latest", "l", "bool", "Show the newest container, running or not"),
        ("no-trunc", "", "bool", "Show everything at full length"),
        ("quiet", "q", "bool", "Show ids only"),
        ("size", "s", "bool", "Show sizes too"),
    ),
    maximum=0,
)
