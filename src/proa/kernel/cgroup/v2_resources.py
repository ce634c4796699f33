"""OCI's linux.resources in the control files of version 2.

OCI's form is that of version 1; what has another scale there is converted as runc and crun do.
"""

from __future__ import annotations

import posix
from errno import EBUSY

from proa.errors import InvalidArgument
from proa.kernel.cgroup.files import number, read_if_there, refused, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    # file, value, the limit's name as a user knows it
    Step = tuple[str, str, str]


def apply(directory: str, resources: Mapping[str, Any]) -> list[str]:
    """Write all limits but those for devices; returns a warning for each that has no file.

    Raises KernelError for a limit that the kernel refuses, InvalidArgument for one that
    contradicts itself.
    """
    warnings = []
    for name, value, limit in plan(directory, resources):
        path = f"{directory}/{name}"
        if not value:
            warnings.append(f"not limited: {limit}: cgroup version 2 has nothing like it")
            continue
        try:
            if name == "memory.max" and value != "max":
                _make_room(directory, int(value))
            write(path, value)
        except FileNotFoundError:
            controller = name.partition(".")[0]
            enabled = (read_if_there(f"{directory}/cgroup.controllers") or b"").decode().split()
            reason = f"this kernel has no {name}"
            if controller not in (*enabled, "cgroup"):
                reason = f"the {controller} controller is not available in {directory}"
            warnings.append(f"not limited: {limit}: {reason}")
        except OSError as error:
            raise refused(path, value, error, _advice(directory, name, error)) from None
    return warnings


def _make_room(directory: str, limit: int) -> None:
    """Have the kernel reclaim what lies above a limit that is to come. Raises OSError: EBUSY.

    Version 1 refuses a limit below what is in use; here the kernel would kill processes until it
    holds.
    """
    if (number(read_if_there(f"{directory}/memory.current")) or 0) <= limit:
        return
    path = f"{directory}/memory.high"
    before = read_if_there(path)
    if before is None:
        return
    write(path, str(limit))  # reclaims before it returns, and kills nobody
    try:
        if (number(read_if_there(f"{directory}/memory.current")) or 0) > limit:
            raise OSError(EBUSY, posix.strerror(EBUSY))
    finally:
        write(path, before.decode().strip())


def plan(directory: str, resources: Mapping[str, Any]) -> Iterator[Step]:
    """What to write, in order; an empty value stands for what version 2 does not have."""
    yield from _memory(resources.get("memory") or {})
    yield from _cpu(resources.get("cpu") or {})
    pids = (resources.get("pids") or {}).get("limit")
    if pids:
        yield "pids.max", str(pids) if pids > 0 else "max", "pids"
    if resources.get("blockIO"):
        yield from _io(directory, resources["blockIO"])
    for page in resources.get("hugepageLimits") or ():
        size, limit = page["pageSize"], str(page["limit"])
        yield f"hugetlb.{size}.max", limit, f"huge pages of {size}"
        if read_if_there(f"{directory}/hugetlb.{size}.rsvd.max") is not None:
            yield f"hugetlb.{size}.rsvd.max", limit, f"huge pages of {size}"
    if resources.get("rdma"):
        from proa.kernel.cgroup.v1_resources import rdma_line

        for device, limits in resources["rdma"].items():
            yield "rdma.max", rdma_line(device, limits), f"rdma of {device}"
    network = resources.get("network") or {}
    if network.get("classID"):
        yield "net_cls.classid", "", "network class"
    if network.get("priorities"):
        yield "net_prio.ifpriomap", "", "network priority"
    for name, value in (resources.get("unified") or {}).items():
        if "/" in name or name.startswith("."):
            raise InvalidArgument(f"linux.resources.unified: {name!r} is no file of a cgroup")
        yield from ((name, line, name) for line in str(value).splitlines())


def _memory(memory: Mapping[str, Any]) -> Iterator[Step]:
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit == -1 and not swap:
        swap = -1
    if swap:
        yield "memory.swap.max", swap_only(limit, swap), "swap"
    if limit:
        yield "memory.max", _or_max(limit), "memory"
    if memory.get("reservation"):
        yield "memory.low", _or_max(memory["reservation"]), "memory reservation"
    if memory.get("kernel") and memory["kernel"] > 0:
        yield "memory.kmem", "", "kernel memory"
    if memory.get("kernelTCP") and memory["kernelTCP"] > 0:
        yield "memory.kmem.tcp", "", "kernel memory for TCP"
    swappiness = memory.get("swappiness")
    if swappiness is not None and swappiness != -1:
        yield "memory.swappiness", "", "memory swappiness"
    if memory.get("disableOOMKiller"):
        yield "memory.oom_control", "", "OOM kill disable"


def swap_only(limit: int | None, swap: int) -> str:
    """The limit of swap alone, from OCI's limit of memory and swap together.

    Raises InvalidArgument where that cannot be said.
    """
    if swap == -1:
        return "max"
    if not limit or limit == -1:
        raise InvalidArgument(
            f"the limit of {swap} bytes for memory and swap needs one for memory as well"
        )
    if swap < limit:
        raise InvalidArgument(
            f"the limit of {swap} bytes for memory and swap is less than that of {limit} for memory"
        )
    return str(swap - limit)


def _cpu(cpu: Mapping[str, Any]) -> Iterator[Step]:
    if cpu.get("idle") is not None:
        yield "cpu.idle", str(cpu["idle"]), "CPU idle"
    if cpu.get("shares") and not cpu.get("idle"):  # the kernel takes no weight of an idle group
        yield "cpu.weight", str(weight_of_shares(cpu["shares"])), "CPU shares"
    period, quota, burst = cpu.get("period"), cpu.get("quota"), cpu.get("burst")
    if quota or period:
        value = str(quota) if quota and quota > 0 else "max"
        yield "cpu.max", f"{value} {period or 100_000}", "CPU quota"
    if burst is not None:
        yield "cpu.max.burst", str(burst), "CPU burst"
    if cpu.get("realtimeRuntime") or cpu.get("realtimePeriod"):
        yield "cpu.rt", "", "CPU real-time runtime"
    if cpu.get("cpus"):
        yield "cpuset.cpus", cpu["cpus"], "CPUs"
    if cpu.get("mems"):
        yield "cpuset.mems", cpu["mems"], "memory nodes"


def weight_of_shares(shares: int) -> int:
    """cpu.weight (1 to 10000, default 100) for cpu.shares (2 to 262144, default 1024).

    A curve through the two ends and the two defaults, as in runc 1.3 and crun 1.23: a straight
    line between the ends, as before, gives the default of 1024 shares less than half of what a
    process outside of any container gets.
    """
    from math import ceil, log2

    shares = min(max(shares, 2), 262_144)
    exponent = log2(shares)
    return ceil(10 ** ((exponent * exponent + 125 * exponent) / 612.0 - 7.0 / 34.0))


_RATES = {
    "throttleReadBpsDevice": "rbps",
    "throttleWriteBpsDevice": "wbps",
    "throttleReadIOPSDevice": "riops",
    "throttleWriteIOPSDevice": "wiops",
}


def _io(directory: str, block: Mapping[str, Any]) -> Iterator[Step]:
    bfq = read_if_there(f"{directory}/io.bfq.weight") is not None
    if block.get("weight"):
        yield _io_weight(bfq, "", block["weight"])
    for device in block.get("weightDevice") or ():
        if device.get("weight"):
            yield _io_weight(bfq, f"{device['major']}:{device['minor']} ", device["weight"])
    if block.get("leafWeight"):
        yield "io.leaf_weight", "", "block IO leaf weight"
    for key, word in _RATES.items():
        for device in block.get(key) or ():
            rate = device["rate"] or "max"
            yield "io.max", f"{device['major']}:{device['minor']} {word}={rate}", "block IO rate"


def _io_weight(bfq: bool, device: str, weight: int) -> Step:
    if bfq:
        return "io.bfq.weight", f"{device}{weight}", "block IO weight"
    # 10 to 1000 on a line to 1 to 10000
    scaled = 1 + (weight - 10) * 9999 // 990
    return "io.weight", f"{device or 'default '}{scaled}", "block IO weight"


def _or_max(value: int) -> str:
    return str(value) if value >= 0 else "max"


def _advice(directory: str, name: str, error: OSError) -> str:
    if name == "memory.max" and error.errno == EBUSY:
        return f"{number(read_if_there(f'{directory}/memory.current'))} bytes are in use"
    if name.startswith("cpuset."):
        offered = read_if_there(f"{directory.rpartition('/')[0]}/{name}.effective") or b""
        return f"available: {offered.strip().decode() or 'none'}"
    return ""
