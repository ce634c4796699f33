"""`history`: how an image was made."""

from __future__ import annotations

import time

from proa.cli.command import Command
from proa.cli.format import is_table, render, template_of
from proa.cli.output import write
from proa.cli.table import truncated
from proa.cli.units import decimal_size
from proa.lean import clock
from proa.lean.duration import ago

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values

_COLUMNS = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
_HEADERS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}


def _history(session: Session, values: Values, arguments: list[str]) -> int:
    template = values.text("format", "table")
    if values.flag("quiet") and is_table(template):
        template = "{{.ID}}"
    now = time.time_ns()
    human, truncate = values.flag("human", True), not values.flag("no-trunc")
    rows = [
        _row(entry, now, human=human, truncate=truncate)
        for entry in session.engine.images.get(arguments[0]).history()
    ]
    columns = (
        _COLUMNS
        if human
        else tuple("CreatedAt" if name == "CreatedSince" else name for name in _COLUMNS)
    )
    write(render(rows, template, default=template_of(columns), headers=_HEADERS))
    return 0


def _row(entry: dict[str, Any], now: int, *, human: bool, truncate: bool) -> dict[str, Any]:
    """An entry of the history, in the form of the Docker API, as what a template can ask for."""
    id: str = entry["Id"]
    if truncate:
        id = id.removeprefix("sha256:")[:12] if id != "<missing>" else id
    moment = int(entry["Created"]) * 1_000_000_000
    at = clock.from_nanoseconds(moment).partition(".")[0] + "Z"
    by = entry["CreatedBy"].replace("\t", " ").replace("\n", " ")
    return {
        "ID": id,
        "CreatedSince": ago(moment, now) if moment > 0 else "N/A",
        "CreatedAt": at if moment > 0 else "N/A",
        "CreatedBy": truncated(by, 45) if truncate else by,
        "Size": decimal_size(entry["Size"]) if human else str(entry["Size"]),
        "Comment": entry["Comment"],
    }


COMMAND = Command(
    usage="[OPTIONS] IMAGE",
    summary="Show the steps by which an image was made",
    run=_history,
    flags=(
        (
            "format",
            "",
            "string",
            "Show it as 'table', 'table TEMPLATE', 'json' or by a Go TEMPLATE",
        ),
        ("human", "H", "bool", "Sizes and dates for people (default true)"),
        ("no-trunc", "", "bool", "Show everything at full length"),
        ("quiet", "q", "bool", "Show ids only"),
    ),
    minimum=1,
    maximum=1,
    completes="images",
)
