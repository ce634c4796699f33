"""What a cgroup of version 1 has used."""

from __future__ import annotations

from proa.kernel.cgroup.files import number, read_if_there, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_TICK = 10_000_000  # cpuacct.stat counts USER_HZ, which is 100 on every architecture
_NO_LIMIT = 1 << 62  # PAGE_COUNTER_MAX in bytes is just below 2^63


def stats(paths: Mapping[str, str]) -> dict[str, Any]:
    """See `Cgroup.stats`."""
    found: dict[str, Any] = {}
    if directory := paths.get("memory"):
        found["memory"] = _memory(directory)
    if "cpu" in paths or "cpuacct" in paths:
        found["cpu"] = _cpu(paths.get("cpu"), paths.get("cpuacct"))
    if directory := paths.get("pids"):
        found["pids"] = {
            "current": number(read_if_there(f"{directory}/pids.current")) or 0,
            "limit": number(read_if_there(f"{directory}/pids.max")),
        }
    if directory := paths.get("blkio"):
        found["io"] = _io(directory)
    if directory := paths.get("hugetlb"):
        found["hugetlb"] = _hugetlb(directory)
    return found


def _memory(directory: str) -> dict[str, Any]:
    def value(name: str) -> int | None:
        return number(read_if_there(f"{directory}/memory.{name}"))

    usage, limit = value("usage_in_bytes") or 0, value("limit_in_bytes")
    both, both_limit = value("memsw.usage_in_bytes"), value("memsw.limit_in_bytes")
    found: dict[str, Any] = {
        "usage": usage,
        "limit": None if limit is None or limit >= _NO_LIMIT else limit,
        "maximum": value("max_usage_in_bytes") or 0,
        "failures": value("failcnt") or 0,
        "kernel": value("kmem.usage_in_bytes") or 0,
        "stat": table(read_if_there(f"{directory}/memory.stat")),
        "oom_kills": table(read_if_there(f"{directory}/memory.oom_control")).get("oom_kill", 0),
    }
    if both is not None:
        found["swap"] = max(0, both - usage)
        found["swap_limit"] = None
        if both_limit is not None and both_limit < _NO_LIMIT:
            found["swap_limit"] = max(0, both_limit - (found["limit"] or 0))
    return found


def _cpu(cpu: str | None, cpuacct: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if cpuacct is not None:
        ticks = table(read_if_there(f"{cpuacct}/cpuacct.stat"))
        user = number(read_if_there(f"{cpuacct}/cpuacct.usage_user"))
        system = number(read_if_there(f"{cpuacct}/cpuacct.usage_sys"))
        found["usage"] = number(read_if_there(f"{cpuacct}/cpuacct.usage")) or 0
        found["user"] = ticks.get("user", 0) * _TICK if user is None else user
        found["system"] = ticks.get("system", 0) * _TICK if system is None else system
        per_cpu = read_if_there(f"{cpuacct}/cpuacct.usage_percpu") or b""
        found["per_cpu"] = [int(item) for item in per_cpu.split()]
    if cpu is not None:
        throttling = table(read_if_there(f"{cpu}/cpu.stat"))
        found["periods"] = throttling.get("nr_periods", 0)
        found["throttled_periods"] = throttling.get("nr_throttled", 0)
        found["throttled"] = throttling.get("throttled_time", 0)
    return found


def _io(directory: str) -> list[dict[str, int]]:
    devices: dict[str, dict[str, int]] = {}
    for pair in (
        ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"),
        ("blkio.bfq.io_service_bytes_recursive", "blkio.bfq.io_serviced_recursive"),
    ):
        for name, keys in zip(
            pair, (("read_bytes", "write_bytes"), ("reads", "writes")), strict=True
        ):
            for line in (read_if_there(f"{directory}/{name}") or b"").splitlines():
                fields = line.decode().split()
                if len(fields) == 3 and fields[1] in ("Read", "Write"):
                    entry = devices.setdefault(fields[0], {})
                    entry[keys[fields[1] == "Write"]] = int(fields[2])
        if devices:
            break
    return [_device(name, values) for name, values in devices.items()]


def _device(name: str, values: dict[str, int]) -> dict[str, int]:
    major, _, minor = name.partition(":")
    counts = ("read_bytes", "write_bytes", "reads", "writes")
    return {
        "major": int(major),
        "minor": int(minor),
        **{count: values.get(count, 0) for count in counts},
    }


def _hugetlb(directory: str) -> dict[str, dict[str, int]]:
    from proa.kernel.cgroup.v2_stats import huge_page_sizes

    return {
        size: {
            "usage": number(read_if_there(f"{directory}/hugetlb.{size}.usage_in_bytes")) or 0,
            "maximum": number(read_if_there(f"{directory}/hugetlb.{size}.max_usage_in_bytes")) or 0,
            "failures": number(read_if_there(f"{directory}/hugetlb.{size}.failcnt")) or 0,
        }
        for size in huge_page_sizes(directory, ".usage_in_bytes")
    }
