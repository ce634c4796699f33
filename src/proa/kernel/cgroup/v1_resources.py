"""OCI's linux.resources in the control files of version 1."""

from __future__ import annotations

from proa.kernel.cgroup.files import number, read_if_there, refused, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    # controller, file, value, the limit's name as a user knows it
    Step = tuple[str, str, str, str]


def apply(paths: Mapping[str, str], resources: Mapping[str, Any]) -> list[str]:
    """Write all limits but those for devices; returns a warning for each that has no file.

    Raises KernelError for a limit that the kernel refuses.
    """
    warnings = []
    for controller, name, value, limit in plan(paths, resources):
        directory = paths.get(controller)
        if directory is None:
            warnings.append(f"not limited: {limit}: the {controller} controller is not mounted")
            continue
        path = f"{directory}/{name}"
        try:
            write(path, value)
        except FileNotFoundError:
            warnings.append(f"not limited: {limit}: this kernel has no {name}")
        except OSError as error:
            raise refused(path, value, error, _advice(directory, name, error)) from None
    return warnings


def plan(paths: Mapping[str, str], resources: Mapping[str, Any]) -> Iterator[Step]:
    """What to write, in order. Zero and null say nothing, as in runc."""
    yield from _memory(paths.get("memory"), resources.get("memory") or {})
    yield from _cpu(paths.get("cpu"), resources.get("cpu") or {})
    pids = (resources.get("pids") or {}).get("limit")
    if pids:
        yield "pids", "pids.max", str(pids) if pids > 0 else "max", "pids"
    if resources.get("blockIO"):
        yield from _blkio(paths.get("blkio"), resources["blockIO"])
    for page in resources.get("hugepageLimits") or ():
        size, limit = page["pageSize"], str(page["limit"])
        yield "hugetlb", f"hugetlb.{size}.limit_in_bytes", limit, f"huge pages of {size}"
        if _has(paths.get("hugetlb"), f"hugetlb.{size}.rsvd.limit_in_bytes"):
            yield "hugetlb", f"hugetlb.{size}.rsvd.limit_in_bytes", limit, f"huge pages of {size}"
    network = resources.get("network") or {}
    if network.get("classID") is not None:
        yield "net_cls", "net_cls.classid", str(network["classID"]), "network class"
    for priority in network.get("priorities") or ():
        line = f"{priority['name']} {priority['priority']}"
        yield "net_prio", "net_prio.ifpriomap", line, "network priority"
    for device, limits in (resources.get("rdma") or {}).items():
        yield "rdma", "rdma.max", rdma_line(device, limits), f"rdma of {device}"


def _memory(directory: str | None, memory: Mapping[str, Any]) -> Iterator[Step]:
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit == -1 and not swap:
        # no limit for memory leaves none for both together; where swap is not counted, nothing
        # is lost by that
        swap = -1 if _has(directory, "memory.memsw.limit_in_bytes") else None
    steps: list[Step] = []
    if limit:
        steps.append(("memory", "memory.limit_in_bytes", str(limit), "memory"))
    if swap:
        steps.append(("memory", "memory.memsw.limit_in_bytes", str(swap), "memory and swap"))
    if limit and swap and directory is not None:
        # The kernel holds memory <= memory+swap at every moment, so a raised limit is raised
        # from above and a lowered one lowered from below.
        now = number(read_if_there(f"{directory}/memory.limit_in_bytes"))
        if swap == -1 or (now is not None and swap > now):
            steps.reverse()
    yield from steps
    if memory.get("reservation"):
        value = str(memory["reservation"])
        yield "memory", "memory.soft_limit_in_bytes", value, "memory reservation"
    if memory.get("kernel"):
        yield "memory", "memory.kmem.limit_in_bytes", str(memory["kernel"]), "kernel memory"
    if memory.get("kernelTCP"):
        value = str(memory["kernelTCP"])
        yield "memory", "memory.kmem.tcp.limit_in_bytes", value, "kernel memory for TCP"
    swappiness = memory.get("swappiness")
    if swappiness is not None and swappiness != -1:
        yield "memory", "memory.swappiness", str(swappiness), "memory swappiness"
    if memory.get("disableOOMKiller"):
        yield "memory", "memory.oom_control", "1", "OOM kill disable"


def _cpu(directory: str | None, cpu: Mapping[str, Any]) -> Iterator[Step]:
    if cpu.get("shares"):
        yield "cpu", "cpu.shares", str(cpu["shares"]), "CPU shares"
    period, quota, burst = cpu.get("period"), cpu.get("quota"), cpu.get("burst")
    if burst is not None and not quota:
        yield "cpu", "cpu.cfs_burst_us", str(burst), "CPU burst"
    steps: list[Step] = []
    if period:
        steps.append(("cpu", "cpu.cfs_period_us", str(period), "CPU period"))
    if quota:
        steps.append(("cpu", "cpu.cfs_quota_us", str(quota), "CPU quota"))
    if period and quota and quota > 0 and directory is not None:
        # quota/period may not pass the parent's at any moment: whichever step lowers it is first
        now = number(read_if_there(f"{directory}/cpu.cfs_period_us"))
        if now is not None and period < now:
            steps.reverse()
    if burst is not None and quota:
        # a burst above the quota is refused: the old one goes before, the new one comes after
        if (
            burst
            and directory is not None
            and number(read_if_there(f"{directory}/cpu.cfs_burst_us"))
        ):
            yield "cpu", "cpu.cfs_burst_us", "0", "CPU burst"
        steps.append(("cpu", "cpu.cfs_burst_us", str(burst), "CPU burst"))
    yield from steps
    if cpu.get("realtimePeriod"):
        value = str(cpu["realtimePeriod"])
        yield "cpu", "cpu.rt_period_us", value, "CPU real-time period"
    if cpu.get("realtimeRuntime"):
        value = str(cpu["realtimeRuntime"])
        yield "cpu", "cpu.rt_runtime_us", value, "CPU real-time runtime"
    if cpu.get("idle") is not None:
        yield "cpu", "cpu.idle", str(cpu["idle"]), "CPU idle"
    if cpu.get("cpus"):
        yield "cpuset", "cpuset.cpus", cpu["cpus"], "CPUs"
    if cpu.get("mems"):
        yield "cpuset", "cpuset.mems", cpu["mems"], "memory nodes"


_THROTTLE = {
    "throttleReadBpsDevice": "blkio.throttle.read_bps_device",
    "throttleWriteBpsDevice": "blkio.throttle.write_bps_device",
    "throttleReadIOPSDevice": "blkio.throttle.read_iops_device",
    "throttleWriteIOPSDevice": "blkio.throttle.write_iops_device",
}


def _blkio(directory: str | None, block: Mapping[str, Any]) -> Iterator[Step]:
    # Proportional shares came with the CFQ scheduler, and today with BFQ, under another name.
    bfq = not _has(directory, "blkio.weight") and _has(directory, "blkio.bfq.weight")
    prefix = "blkio.bfq" if bfq else "blkio"
    if block.get("weight"):
        yield "blkio", f"{prefix}.weight", str(block["weight"]), "block IO weight"
    if block.get("leafWeight"):
        yield "blkio", "blkio.leaf_weight", str(block["leafWeight"]), "block IO leaf weight"
    for device in block.get("weightDevice") or ():
        number_ = f"{device['major']}:{device['minor']}"
        if device.get("weight"):
            line = f"{number_} {device['weight']}"
            yield "blkio", f"{prefix}.weight_device", line, "block IO weight of a device"
        if device.get("leafWeight"):
            line = f"{number_} {device['leafWeight']}"
            yield "blkio", "blkio.leaf_weight_device", line, "block IO weight of a device"
    for key, name in _THROTTLE.items():
        for device in block.get(key) or ():
            line = f"{device['major']}:{device['minor']} {device['rate']}"
            yield "blkio", name, line, "block IO rate"


def rdma_line(device: str, limits: Mapping[str, Any]) -> str:
    """A line of `rdma.max`, the same in both versions (rdma.rst)."""
    handles, objects = limits.get("hcaHandles"), limits.get("hcaObjects")
    parts = [device]
    if handles is not None:
        parts.append(f"hca_handle={handles}")
    if objects is not None:
        parts.append(f"hca_object={objects}")
    return " ".join(parts)


def _advice(directory: str, name: str, error: OSError) -> str:
    if name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes") and error.errno == 16:
        usage = number(read_if_there(f"{directory}/memory.usage_in_bytes"))
        return f"{usage} bytes are in use"
    if name == "cpu.rt_runtime_us":
        return "the cgroups above must have real-time runtime to give"
    if name.startswith("cpuset."):
        parent = directory.rpartition("/")[0]
        offered = (read_if_there(f"{parent}/{name}") or b"").strip().decode()
        return f"available: {offered or 'none'}"
    return ""


def _has(directory: str | None, name: str) -> bool:
    return directory is not None and read_if_there(f"{directory}/{name}") is not None
