"""A container's limits as OCI resources (runtime-spec, config-linux.md) and rlimits."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.engine.config import ContainerConfig, DeviceRate

LEAST_MEMORY = 6 * 1024 * 1024
"""Docker's: less does not get a process started."""
CPU_PERIOD = 100_000


def resources(config: ContainerConfig) -> dict[str, Any]:
    """The limits that `config` asks for, but for devices. Raises InvalidArgument."""
    found: dict[str, Any] = {}
    if memory := _memory(config):
        found["memory"] = memory
    if cpu := _cpu(config):
        found["cpu"] = cpu
    if config.pids_limit:
        found["pids"] = {"limit": config.pids_limit if config.pids_limit > 0 else -1}
    if block := _block(config):
        found["blockIO"] = block
    return found


def rlimits(config: ContainerConfig) -> list[dict[str, Any]]:
    """`--ulimit`s in the runtime spec's form."""
    return [
        {
            "type": f"RLIMIT_{limit.name.upper()}",
            "soft": _unlimited(limit.soft),
            "hard": _unlimited(limit.hard),
        }
        for limit in config.ulimits
    ]


def _memory(config: ContainerConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if config.memory:
        if config.memory < LEAST_MEMORY:
            raise InvalidArgument("minimum memory limit allowed is 6MB; give --memory 6m or more")
        found["limit"] = config.memory
        swap = config.memory_swap or config.memory * 2
        if 0 < swap < config.memory:
            raise InvalidArgument("minimum memoryswap limit should be larger than memory limit")
        found["swap"] = swap
    elif config.memory_swap:
        raise InvalidArgument("you should always set the memory limit when using memory-swap")
    if config.memory_reservation:
        if config.memory and config.memory < config.memory_reservation:
            raise InvalidArgument(
                "minimum memory limit can not be less than memory reservation limit"
            )
        found["reservation"] = config.memory_reservation
    if config.memory_swappiness is not None and config.memory_swappiness != -1:
        if not 0 <= config.memory_swappiness <= 100:
            raise InvalidArgument(
                f"invalid value: {config.memory_swappiness}: memory swappiness is 0 to 100"
            )
        found["swappiness"] = config.memory_swappiness
    if config.kernel_memory:
        found["kernel"] = config.kernel_memory
    if config.oom_kill_disable:
        found["disableOOMKiller"] = True
    return found


def _cpu(config: ContainerConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if config.cpu_quota is not None and 0 < config.cpu_quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if config.cpu_period and not 1000 <= config.cpu_period <= 1_000_000:
        raise InvalidArgument(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    _check_set("CPUs", config.cpuset_cpus, "/sys/devices/system/cpu/online")
    _check_set("memory nodes", config.cpuset_mems, "/sys/devices/system/node/online")
    if config.nano_cpus:
        if config.cpu_quota or config.cpu_period:
            raise InvalidArgument(
                "conflicting options: --cpus cannot be used with --cpu-quota and --cpu-period"
            )
        available = len(posix.sched_getaffinity(0))
        if config.nano_cpus < 10_000_000 or config.nano_cpus > available * 1_000_000_000:
            raise InvalidArgument(
                f"range of CPUs is from 0.01 to {available}.00, as there are only {available}"
                " CPUs available"
            )
        found["period"] = CPU_PERIOD
        found["quota"] = config.nano_cpus * CPU_PERIOD // 1_000_000_000
    for name, value in (
        ("shares", config.cpu_shares),
        ("period", config.cpu_period),
        ("quota", config.cpu_quota),
        ("realtimePeriod", config.cpu_rt_period),
        ("realtimeRuntime", config.cpu_rt_runtime),
        ("cpus", config.cpuset_cpus),
        ("mems", config.cpuset_mems),
    ):
        if value:
            found[name] = value
    return found


def _check_set(what: str, wanted: str, online: str) -> None:
    """Refuse a list such as `0-3,5` that is none, or that names what the machine has not."""
    if not wanted:
        return
    numbers = _numbers_of(wanted)
    if numbers is None:
        raise InvalidArgument(f"invalid value {wanted} for a set of {what}: write it as 0-3 or 0,1")
    try:
        descriptor = posix.open(online, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return  # a kernel without NUMA does not tell
    try:
        available = posix.read(descriptor, 4096).decode().strip()
    finally:
        posix.close(descriptor)
    there = _numbers_of(available)
    if there is not None and not numbers <= there:
        raise InvalidArgument(
            f"requested {what} are not available - requested {wanted}, available: {available}"
        )


def _numbers_of(text: str) -> set[int] | None:
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            return None
        low, high = int(first), int(last or first)
        if low > high or high > 1 << 16:
            return None
        numbers.update(range(low, high + 1))
    return numbers


def _block(config: ContainerConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if config.blkio_weight:
        # Docker's range; blkio.bfq.weight of cgroup v1 has it too
        if not 10 <= config.blkio_weight <= 1000:
            raise InvalidArgument("range of blkio weight is from 10 to 1000")
        found["weight"] = config.blkio_weight
    if config.blkio_weight_device:
        found["weightDevice"] = [
            {**_numbers(item), "weight": item.rate} for item in config.blkio_weight_device
        ]
    for name, items in (
        ("throttleReadBpsDevice", config.device_read_bps),
        ("throttleWriteBpsDevice", config.device_write_bps),
        ("throttleReadIOPSDevice", config.device_read_iops),
        ("throttleWriteIOPSDevice", config.device_write_iops),
    ):
        if items:
            found[name] = _rates(items)
    return found


def _rates(items: Sequence[DeviceRate]) -> list[dict[str, int]]:
    return [{**_numbers(item), "rate": item.rate} for item in items]


def _numbers(item: DeviceRate) -> dict[str, int]:
    try:
        device = posix.stat(item.path).st_rdev
    except OSError as error:
        raise NotFound(f"no such device: {item.path} ({error.strerror})") from None
    return {"major": posix.major(device), "minor": posix.minor(device)}


def _unlimited(value: int) -> int:
    return value if value >= 0 else 2**64 - 1
