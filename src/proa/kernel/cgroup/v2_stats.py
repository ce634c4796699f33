"""What a cgroup of version 2 has used."""

from __future__ import annotations

import posix

from proa.kernel.cgroup.files import number, read_if_there, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def stats(directory: str) -> dict[str, Any]:
    """See `Cgroup.stats`."""
    found: dict[str, Any] = {}
    if (usage := number(read_if_there(f"{directory}/memory.current"))) is not None:
        found["memory"] = _memory(directory, usage)
    if (cpu := read_if_there(f"{directory}/cpu.stat")) is not None:
        found["cpu"] = _cpu(table(cpu))
    if (current := number(read_if_there(f"{directory}/pids.current"))) is not None:
        limit = number(read_if_there(f"{directory}/pids.max"))
        found["pids"] = {"current": current, "limit": limit}
    if (io := read_if_there(f"{directory}/io.stat")) is not None:
        found["io"] = [_io_line(line) for line in io.decode().splitlines() if "rbytes=" in line]
    if sizes := huge_page_sizes(directory, ".current"):
        found["hugetlb"] = {size: _hugetlb(directory, size) for size in sizes}
    pressure = {
        name: _pressure(text)
        for name in ("cpu", "memory", "io")
        if (text := read_if_there(f"{directory}/{name}.pressure")) is not None
    }
    if pressure:
        found["pressure"] = pressure
    return found


def _memory(directory: str, usage: int) -> dict[str, Any]:
    events = table(read_if_there(f"{directory}/memory.events"))
    stat = table(read_if_there(f"{directory}/memory.stat"))
    found: dict[str, Any] = {
        "usage": usage,
        "limit": number(read_if_there(f"{directory}/memory.max")),
        "maximum": number(read_if_there(f"{directory}/memory.peak")) or usage,  # Linux 5.19
        "failures": events.get("max", 0),
        "oom_kills": events.get("oom_kill", 0),
        "kernel": stat.get("kernel", 0),
        "stat": stat,
    }
    if (swap := number(read_if_there(f"{directory}/memory.swap.current"))) is not None:
        found["swap"] = swap
        found["swap_limit"] = number(read_if_there(f"{directory}/memory.swap.max"))
    return found


def _cpu(stat: dict[str, int]) -> dict[str, Any]:
    return {
        "usage": stat.get("usage_usec", 0) * 1000,
        "user": stat.get("user_usec", 0) * 1000,
        "system": stat.get("system_usec", 0) * 1000,
        "periods": stat.get("nr_periods", 0),
        "throttled_periods": stat.get("nr_throttled", 0),
        "throttled": stat.get("throttled_usec", 0) * 1000,
    }


def _io_line(line: str) -> dict[str, int]:
    device, _, rest = line.partition(" ")
    major, _, minor = device.partition(":")
    values = dict(pair.split("=", 1) for pair in rest.split() if "=" in pair)
    return {
        "major": int(major),
        "minor": int(minor),
        "read_bytes": int(values.get("rbytes", 0)),
        "write_bytes": int(values.get("wbytes", 0)),
        "reads": int(values.get("rios", 0)),
        "writes": int(values.get("wios", 0)),
    }


def _hugetlb(directory: str, size: str) -> dict[str, int]:
    events = table(read_if_there(f"{directory}/hugetlb.{size}.events"))
    usage = number(read_if_there(f"{directory}/hugetlb.{size}.current")) or 0
    return {"usage": usage, "maximum": usage, "failures": events.get("max", 0)}


def huge_page_sizes(directory: str, suffix: str) -> list[str]:
    """The sizes of huge pages, as in `2MB`, that the hugetlb controller counts here."""
    try:
        names = posix.listdir(directory)
    except OSError:
        return []
    return [
        name[len("hugetlb.") : -len(suffix)]
        for name in sorted(names)
        if name.startswith("hugetlb.") and name.endswith(suffix) and ".rsvd." not in name
    ]


def _pressure(text: bytes) -> dict[str, dict[str, float]]:
    found = {}
    for line in text.decode().splitlines():
        kind, _, rest = line.partition(" ")
        pairs = (pair.split("=") for pair in rest.split())
        found[kind] = {key: float(value) for key, value in pairs}
    return found
