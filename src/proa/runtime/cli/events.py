"""`events`: what a container uses, and when it ran out of memory; the JSON is runc's."""

from __future__ import annotations

import time

from proa.errors import Conflict, InvalidArgument
from proa.lean import json
from proa.runtime.cli.arguments import parse
from proa.runtime.cli.session import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.runtime.cli.session import Session


def events(session: Session, arguments: Sequence[str]) -> int:
    """Print statistics every few seconds until the container ends, or once with --stats."""
    options = parse({"interval": "value", "stats": "bool"}, arguments, what="events")
    if len(options.rest) != 1:
        raise InvalidArgument("events takes the id of one container")
    interval = _seconds(options.text("interval", "5s"))
    container = session.load(options.rest[0])
    if container.status == "stopped":
        raise Conflict(f"container {container.id} is not running")
    kills = 0
    while True:
        stats = container.stats()
        found = int((stats.get("memory") or {}).get("oom_kills") or 0)
        if found > kills:
            kills = found
            _print("oom", container.id, None)
        _print("stats", container.id, in_runc_form(stats))
        if options.flag("stats"):
            return 0
        time.sleep(interval)
        if container.status == "stopped":
            return 0


def in_runc_form(stats: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of `Cgroup.stats` where programs that know runc look for them."""
    cpu, memory = stats.get("cpu") or {}, stats.get("memory") or {}
    swap = memory.get("swap")
    return {
        "cpu": {
            "usage": {
                "total": cpu.get("usage", 0),
                "percpu": cpu.get("per_cpu", []),
                "kernel": cpu.get("system", 0),
                "user": cpu.get("user", 0),
            },
            "throttling": {
                "periods": cpu.get("periods", 0),
                "throttledPeriods": cpu.get("throttled_periods", 0),
                "throttledTime": cpu.get("throttled", 0),
            },
        },
        "memory": {
            "usage": {
                "limit": memory.get("limit") or 0xFFFFFFFFFFFFFFFF,
                "usage": memory.get("usage", 0),
                "max": memory.get("maximum", 0),
                "failcnt": memory.get("failures", 0),
            },
            **({"swap": {"usage": swap}} if swap is not None else {}),
            "raw": memory.get("stat", {}),
        },
        "pids": {
            "current": (stats.get("pids") or {}).get("current", 0),
            "limit": (stats.get("pids") or {}).get("limit") or 0,
        },
        "blkio": {
            "ioServiceBytesRecursive": [
                {"major": item["major"], "minor": item["minor"], "op": op, "value": item[key]}
                for item in stats.get("io") or ()
                for op, key in (("Read", "read_bytes"), ("Write", "write_bytes"))
            ]
        },
        "hugetlb": {
            size: {
                "usage": item.get("usage", 0),
                "max": item.get("maximum", 0),
                "failcnt": item.get("failures", 0),
            }
            for size, item in (stats.get("hugetlb") or {}).items()
        },
    }


def _print(kind: str, id: str, data: dict[str, Any] | None) -> None:
    message: dict[str, Any] = {"type": kind, "id": id}
    if data is not None:
        message["data"] = data
    write(f"{json.dumps(message)}\n")


def _seconds(text: str) -> float:
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    unit = next((unit for unit in units if text.endswith(unit)), "")
    try:
        seconds = float(text.removesuffix(unit)) * units.get(unit, 1.0)
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise InvalidArgument(f"--interval takes a time such as 5s, not {text!r}")
    return seconds
