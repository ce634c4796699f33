"""`stats`: what containers use."""

from __future__ import annotations

import time

from proa.cli.command import Command
from proa.cli.format import is_table, render, template_of
from proa.cli.output import write
from proa.cli.units import binary_size, decimal_size
from proa.engine.stats import INTERVAL, WINDOW, Watch, uses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.stats import Use

_COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
_HEADERS = {
    "BlockIO": "BLOCK I/O",
    "CPUPerc": "CPU %",
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "MemPerc": "MEM %",
    "MemUsage": "MEM USAGE / LIMIT",
    "Name": "NAME",
    "NetIO": "NET I/O",
    "PIDs": "PIDS",
}
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def _stats(session: Session, values: Values, arguments: list[str]) -> int:
    template = values.text("format", "table")
    truncate = not values.flag("no-trunc")
    everything = values.flag("all")
    if values.flag("no-stream"):
        write(_text(uses(session.engine, arguments, all=everything), template, truncate))
        return 0
    watch = Watch(session.engine, arguments, all=everything)
    watch.look()
    time.sleep(WINDOW)
    while True:
        text = _text(watch.look(), template, truncate)
        if is_table(template):
            # drawn over what is there, so that it does not flicker
            text = _HOME + text.replace("\n", f"{_CLEAR_LINE}\n") + _CLEAR_BELOW
        write(text)
        time.sleep(INTERVAL)


def _text(found: Sequence[Use], template: str, truncate: bool) -> str:
    rows = [_row(item, truncate) for item in found]
    return render(rows, template, default=template_of(_COLUMNS), headers=_HEADERS)


def _row(item: Use, truncate: bool) -> dict[str, Any]:
    id = item.id[:12] if truncate else item.id
    return {
        "BlockIO": f"{decimal_size(item.read)} / {decimal_size(item.written)}",
        "CPUPerc": f"{item.cpu_percent:.2f}%",
        "Container": id,
        "ID": id,
        "MemPerc": f"{item.memory_percent:.2f}%",
        "MemUsage": f"{binary_size(item.memory)} / {binary_size(item.memory_limit)}",
        "Name": item.name,
        "NetIO": f"{decimal_size(item.received)} / {decimal_size(item.sent)}",
        "PIDs": str(item.pids),
    }


COMMAND = Command(
    usage="[OPTIONS] [CONTAINER...]",
    summary="Show what containers use, again and again",
    run=_stats,
    flags=(
        ("all", "a", "bool", "Show all containers, not only those that run"),
        (
            "format",
            "",
            "string",
            "Show it as 'table', 'table TEMPLATE', 'json' or by a Go TEMPLATE",
        ),
        ("no-stream", "", "bool", "Show it once"),
        ("no-trunc", "", "bool", "Show ids at full length"),
    ),
    completes="running",
)
