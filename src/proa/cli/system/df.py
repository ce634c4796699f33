"""`system df`: where the disk went."""

from __future__ import annotations

import time

from proa.cli.command import Command
from proa.cli.container.ls import command_of
from proa.cli.exit_codes import WrongArguments
from proa.cli.format import is_table, render, template_of
from proa.cli.output import write
from proa.cli.units import decimal_size
from proa.engine.disk import disk_use
from proa.engine.status import status
from proa.lean.clock import to_nanoseconds
from proa.lean.duration import ago

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.disk import ContainerSpace, DiskUse, ImageSpace, VolumeSpace

    Row = dict[str, Any]

_SUMMARY = ("Type", "TotalCount", "Active", "Size", "Reclaimable")
_IMAGES = (
    *("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"),
)
_CONTAINERS = (
    *("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"),
)
_VOLUMES = ("Name", "Links", "Size")
_CACHE = ("ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared")
_HEADERS = {
    "Active": "ACTIVE",
    "CacheType": "CACHE TYPE",
    "Command": "COMMAND",
    "Containers": "CONTAINERS",
    "CreatedSince": "CREATED",
    "Image": "IMAGE",
    "LastUsedSince": "LAST USED",
    "Links": "LINKS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Name": "VOLUME NAME",
    "Names": "NAMES",
    "Reclaimable": "RECLAIMABLE",
    "Repository": "REPOSITORY",
    "RunningFor": "CREATED",
    "Shared": "SHARED",
    "SharedSize": "SHARED SIZE",
    "Size": "SIZE",
    "Status": "STATUS",
    "Tag": "TAG",
    "TotalCount": "TOTAL",
    "Type": "TYPE",
    "UniqueSize": "UNIQUE SIZE",
    "UsageCount": "USAGE",
}


def _df(session: Session, values: Values, _arguments: list[str]) -> int:
    template = values.text("format", "table")
    verbose = values.flag("verbose")
    if verbose and template.startswith(("table ", "table\t")):
        raise WrongArguments("--verbose has tables of its own; leave 'table' out of --format")
    found = disk_use(session.engine)
    if not verbose:
        rows = _summary(found)
        write(render(rows, template, default=template_of(_SUMMARY), headers=_HEADERS))
        return 0
    now = time.time_ns()
    everything = {
        "Images": [_image(item, now) for item in found.images],
        "Containers": [_container(item, now) for item in found.containers],
        "Volumes": [_volume(item) for item in found.volumes],
        "BuildCache": [_step(item, now) for item in found.builds],
    }
    if not is_table(template):
        write(render([everything], template, default="", headers={}))
        return 0
    write(_text(everything, found))
    return 0


def _summary(found: DiskUse) -> list[Row]:
    rows = []
    for name, kind in found.kinds.items():
        part = f" ({kind.reclaimable * 100 // kind.size}%)" if kind.size else ""
        counted = name != "Other"
        rows.append(
            {
                "Type": name,
                "TotalCount": str(kind.total) if counted else "-",
                "Active": str(kind.active) if counted else "-",
                "Size": decimal_size(kind.size, 4),
                "Reclaimable": decimal_size(kind.reclaimable, 4) + part,
            }
        )
    return rows


def _text(everything: dict[str, list[Row]], found: DiskUse) -> str:
    kinds = found.kinds
    sections = []
    for title, name, columns, key in (
        ("Images space usage", "Images", _IMAGES, "IMAGE ID"),
        ("Containers space usage", "Containers", _CONTAINERS, "CONTAINER ID"),
        ("Local Volumes space usage", "Volumes", _VOLUMES, ""),
        (f"Build cache usage: {decimal_size(kinds['Build Cache'].size)}", "BuildCache", _CACHE,
         "CACHE ID"),
    ):  # fmt: skip
        heading = title if ":" in title else f"{title}:"
        table = render(
            everything[name],
            "table",
            default=template_of(columns),
            headers={**_HEADERS, "ID": key},
        )
        sections.append(f"{heading}\n\n{table}")
    other = f"Other space usage: {decimal_size(found.other + found.left)}"
    if found.left:
        other += (
            f", of which {decimal_size(found.left)} belong to nothing;"
            " 'proa system check --repair' removes that"
        )
    return "\n".join([*sections, f"{other}\n"])


def _image(item: ImageSpace, now: int) -> Row:
    image = item.image
    # the name of a repository may have a port, but its tag comes last
    name = image.tags[0] if image.tags else "<none>:<none>"
    repository, _, tag = name.rpartition(":")
    return {
        "Repository": repository,
        "Tag": tag,
        "ID": image.id.short,
        "CreatedSince": ago(image.created, now) if image.created > 0 else "N/A",
        "LastUsedSince": ago(item.used, now) if item.used else "N/A",
        "Size": decimal_size(item.size),
        "SharedSize": decimal_size(item.shared),
        "UniqueSize": decimal_size(item.unique),
        "Containers": str(item.containers),
    }


def _container(item: ContainerSpace, now: int) -> Row:
    container = item.container
    return {
        "ID": container.id[:12],
        "Image": container.image,
        "Command": command_of(container, truncate=True),
        "LocalVolumes": str(item.volumes),
        "Size": decimal_size(item.size),
        "RunningFor": ago(container.created, now),
        "Status": status(container, now),
        "Names": container.name,
    }


def _volume(item: VolumeSpace) -> Row:
    return {"Name": item.name, "Links": str(item.links), "Size": decimal_size(item.size)}


def _step(item: Mapping[str, Any], now: int) -> Row:
    return {
        "ID": item["ID"][:12],
        "CacheType": item["Type"],
        "Size": decimal_size(item["Size"]),
        "CreatedSince": ago(to_nanoseconds(item["CreatedAt"]), now),
        "LastUsedSince": ago(to_nanoseconds(item["LastUsedAt"]), now),
        "UsageCount": str(item["UsageCount"]),
        "Shared": str(item["Shared"]).lower(),
        "Description": item["Description"],
    }


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Show where the disk went",
    run=_df,
    flags=(
        (
            "format",
            "",
            "string",
            "Show it as 'table', 'table TEMPLATE', 'json' or by a Go TEMPLATE",
        ),
        ("verbose", "v", "bool", "Show each image, container and volume"),
    ),
    maximum=0,
)
