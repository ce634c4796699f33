"""`images`, `image ls`: the list of images."""

from __future__ import annotations

import time

from proa.cli.command import Command
from proa.cli.filters import filters
from proa.cli.format import is_table, render, template_of
from proa.cli.output import write
from proa.cli.units import decimal_size, local_time
from proa.lean.duration import ago

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values

_HEADERS = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
_FILTERS = "before dangling label reference since until".split()
_NONE = "<none>"


def _ls(session: Session, values: Values, arguments: list[str]) -> int:
    wanted = filters(values, _FILTERS)
    if arguments:
        wanted.setdefault("reference", []).append(arguments[0])
    images = session.engine.images.list(filters=wanted, all=values.flag("all"))
    truncate = not values.flag("no-trunc")
    template = values.text("format", "table")
    digests = values.flag("digests") or ".Digest" in template
    now = time.time_ns()
    rows = [
        row
        for image in images
        for row in _rows(image.summary, now, digests=digests, truncate=truncate)
    ]
    if values.flag("quiet") and is_table(template):
        template = "{{.ID}}"
    columns = ["Repository", "Tag", "ID", "CreatedSince", "Size"]
    if values.flag("digests"):
        columns.insert(2, "Digest")
    write(render(rows, template, default=template_of(columns), headers=_HEADERS))
    return 0


def _rows(
    attributes: dict[str, Any], now: int, *, digests: bool, truncate: bool
) -> Iterator[dict[str, Any]]:
    """A line for each name of the image; one with `<none>` where it has no name."""
    id: str = attributes["Id"]
    created = attributes["Created"] * 1_000_000_000
    size = decimal_size(attributes["Size"])
    common = {
        "ID": id.removeprefix("sha256:")[:12] if truncate else id,
        "CreatedSince": ago(created, now) if created > 0 else "N/A",
        "CreatedAt": local_time(created) if created > 0 else "N/A",
        "Size": size,
        "VirtualSize": size,
        "Containers": "N/A",
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
    }
    for repository, tag, digest in _names(attributes, digests=digests):
        yield {**common, "Repository": repository, "Tag": tag, "Digest": digest}


def _names(attributes: dict[str, Any], *, digests: bool) -> list[tuple[str, str, str]]:
    """Repository, tag and digest of each line."""
    by_repository: dict[str, list[str]] = {}
    for text in attributes.get("RepoDigests") or ():
        repository, _, digest = text.partition("@")
        by_repository.setdefault(repository, []).append(digest)
    found = []
    named = set()
    for text in attributes.get("RepoTags") or ():
        repository, _, tag = text.rpartition(":")
        named.add(repository)
        for digest in (by_repository.get(repository) or [_NONE]) if digests else [_NONE]:
            found.append((repository, tag, digest))
    for repository, known in by_repository.items():
        if repository not in named:
            found.extend((repository, _NONE, digest) for digest in known[: None if digests else 1])
    return found or [(_NONE, _NONE, _NONE)]


COMMAND = Command(
    usage="[OPTIONS] [REPOSITORY[:TAG]]",
    summary="List images",
    run=_ls,
    flags=(
        ("all", "a", "bool", "Show intermediate images too"),
        ("digests", "", "bool", "Show digests"),
        ("filter", "f", "filter", "Show only what matches (reference=al*, dangling=true)"),
        (
            "format",
            "",
            "string",
            "Show it as 'table', 'table TEMPLATE', 'json' or by a Go TEMPLATE",
        ),
        ("no-trunc", "", "bool", "Show everything at full length"),
        ("quiet", "q", "bool", "Show ids only"),
    ),
    maximum=1,
    completes="images",
)
