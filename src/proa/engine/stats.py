"""What running containers use: samples of many of them at once, and Docker's form of them.

Shares of the processors follow from two samples. However many containers there are, all are
sampled, then the time between passes once, then all are sampled again.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from proa.errors import Conflict, ContainerNotFound, NotFound
from proa.kernel import usage
from proa.lean import clock
from proa.lean.json import dumps
from proa.lean.record import record
from proa.runtime.container import Container as Running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from proa.engine.container import Container
    from proa.engine.containers import ContainerSummary
    from proa.engine.engine import Engine

WINDOW = 0.5
"""Seconds between the two samples of a single look."""
INTERVAL = 1.0
"""Seconds between those of a stream."""
_LIVE = ("running", "paused")


@record
class Sample:
    """What a container had used at a moment."""

    time: int
    """nanoseconds since 1970"""
    machine_cpu: int = 0
    """nanoseconds that all processors had spent"""
    cgroup: Mapping[str, Any] | None = None
    """as `Cgroup.stats` has it; None: it did not run"""
    networks: Mapping[str, Mapping[str, int]] | None = None


@record
class Use:
    """What a container uses: how `stats` shows it, in bytes."""

    id: str
    name: str
    running: bool = False
    cpu_percent: float = 0.0
    """of one processor: two that are busy are 200"""
    memory: int = 0
    """without what the kernel would take back from the page cache first"""
    memory_limit: int = 0
    """of the machine, where the container has none"""
    received: int = 0
    sent: int = 0
    read: int = 0
    written: int = 0
    pids: int = 0

    @property
    def memory_percent(self) -> float:
        """Of the limit."""
        return self.memory / self.memory_limit * 100 if self.memory_limit else 0.0


class Sampler:
    """Samples containers again and again; what is asked of each only once is kept."""

    def __init__(self, engine: Engine) -> None:
        self._root = f"{engine.root}/run/oci"
        self._known: dict[tuple[str, str], Running] = {}

    def sample(self, item: ContainerSummary) -> Sample:
        """What it has used so far."""
        now = time.time_ns()
        if item.state not in _LIVE:
            return Sample(now)
        try:
            running = self._running(item)
            found = dict(running.stats())
            _complete(found, running)
        except (NotFound, OSError):
            return Sample(now)  # it has just ended
        networks = {} if "host" in item.networks else usage.network(running.pid)
        return Sample(now, usage.machine_cpu(), found, networks)

    def _running(self, item: ContainerSummary) -> Running:
        # one that was started again has other cgroups and another process
        key = item.id, item.started_at
        running = self._known.get(key)
        if running is None:
            running = self._known[key] = Running.load(item.id, self._root)
        return running


def _complete(found: dict[str, Any], running: Running) -> None:
    """Add what the container's cgroups do not count, as far as its processes tell it."""
    if all(part in found for part in ("cpu", "memory", "pids", "io")):
        return
    pids = running.processes()
    if "io" not in found:
        found["io"] = [{"major": 0, "minor": 0, **usage.block_io(pids)}]
    if "cpu" not in found:
        found["cpu"] = usage.cpu(pids)
    if "memory" not in found:
        found["memory"] = {"usage": usage.resident(pids), "limit": None, "stat": {}}
    if "pids" not in found:
        found["pids"] = {"current": len(pids), "limit": None}


def uses(engine: Engine, names: Sequence[str] = (), *, all: bool = False) -> list[Use]:
    """What those containers use at this moment: those that run, or `all`, or those of `names`.

    Takes `WINDOW`, however many they are. Raises ContainerNotFound.
    """
    watch = Watch(engine, names, all=all)
    watch.look()
    time.sleep(WINDOW)
    return watch.look()


class Watch:
    """Looks at the same containers again and again, and tells what they use in between."""

    def __init__(self, engine: Engine, names: Sequence[str] = (), *, all: bool = False) -> None:
        """Raises ContainerNotFound."""
        self._engine = engine
        self._all = all
        self._ids = [engine.containers.get(name).id for name in names]
        self._sampler = Sampler(engine)
        self._before: dict[str, Sample] = {}

    def look(self) -> list[Use]:
        """What they have used since the last look; the newest container first."""
        found = []
        samples = {}
        for item in self._items():
            sample = samples[item.id] = self._sampler.sample(item)
            found.append(use(item, self._before.get(item.id), sample))
        self._before = samples
        return found

    def _items(self) -> list[ContainerSummary]:
        if not self._ids:
            return self._engine.containers.summaries(all=self._all)
        from proa.engine.containers import summarize

        found = []
        for id in self._ids:
            try:
                found.append(summarize(self._engine.containers.get(id).row))
            except ContainerNotFound:
                continue  # removed meanwhile
        return found


def use(item: ContainerSummary, before: Sample | None, now: Sample) -> Use:
    """What a container has used from one sample to the next."""
    counted = now.cgroup
    if counted is None:
        return Use(item.id, item.name)
    memory = counted["memory"]
    busy = 0.0
    if before is not None and before.cgroup is not None and now.time > before.time:
        spent = counted["cpu"]["usage"] - before.cgroup["cpu"]["usage"]
        busy = max(0, spent) / (now.time - before.time) * 100
    networks = (now.networks or {}).values()
    return Use(
        id=item.id,
        name=item.name,
        running=True,
        cpu_percent=busy,
        memory=_without_cache(memory),
        memory_limit=memory["limit"] or usage.machine_memory(),
        received=sum(counters["rx_bytes"] for counters in networks),
        sent=sum(counters["tx_bytes"] for counters in networks),
        read=sum(device["read_bytes"] for device in counted["io"]),
        written=sum(device["write_bytes"] for device in counted["io"]),
        pids=counted["pids"]["current"],
    )


def _without_cache(memory: Mapping[str, Any]) -> int:
    """As Docker's command has it: the pages of files that have not been used lately do not count.

    total_inactive_file is version 1's, inactive_file version 2's, of all cgroups below.
    """
    stat = memory["stat"]
    inactive = stat.get("total_inactive_file", stat.get("inactive_file", 0))
    taken: int = memory["usage"]
    return taken - inactive if inactive < taken else taken


def stream(
    engine: Engine, container: Container, *, decode: bool
) -> Iterator[dict[str, Any] | bytes]:
    """A document each second until it ends, as docker-py gives them."""
    sampler = Sampler(engine)
    before: Sample | None = None
    while True:
        item = _summary(container)
        now = sampler.sample(item)
        if now.cgroup is None:
            return
        found = document(item, before, now)
        yield found if decode else dumps(found).encode() + b"\n"
        before = now
        time.sleep(INTERVAL)


def single(engine: Engine, container: Container, *, one_shot: bool) -> dict[str, Any]:
    """One document; with `one_shot` of one sample, so that shares of processors cannot be told."""
    sampler = Sampler(engine)
    before = None
    if not one_shot:
        before = sampler.sample(_summary(container))
        if before.cgroup is not None:
            time.sleep(WINDOW)
    item = _summary(container)
    return document(item, before, sampler.sample(item))


def _summary(container: Container) -> ContainerSummary:
    from proa.engine.containers import summarize

    try:
        container.reload()
    except ContainerNotFound as error:
        raise Conflict(f"cannot measure container {container.name}: {error}") from None
    return summarize(container.row)


def document(item: ContainerSummary, before: Sample | None, now: Sample) -> dict[str, Any]:
    """Docker's form (API 1.50, ContainerStatsResponse)."""
    counted = now.cgroup
    found = {
        "id": item.id,
        "name": f"/{item.name}",
        "read": clock.from_nanoseconds(now.time) if counted is not None else clock.NEVER,
        "preread": clock.NEVER,
        "pids_stats": {},
        "blkio_stats": _blkio(()),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(now),
        "precpu_stats": _cpu(before),
        "memory_stats": {},
    }
    if before is not None and before.cgroup is not None:
        found["preread"] = clock.from_nanoseconds(before.time)
    if counted is None:
        return found
    memory = counted["memory"]
    found["pids_stats"] = {
        "current": counted["pids"]["current"],
        **({"limit": counted["pids"]["limit"]} if counted["pids"].get("limit") else {}),
    }
    found["blkio_stats"] = _blkio(counted["io"])
    found["memory_stats"] = {
        "usage": memory["usage"],
        "max_usage": memory.get("maximum", memory["usage"]),
        "stats": dict(memory["stat"]),
        "failcnt": memory.get("failures", 0),
        "limit": memory["limit"] or usage.machine_memory(),
    }
    if now.networks:
        found["networks"] = {name: dict(counters) for name, counters in now.networks.items()}
    return found


def _cpu(sample: Sample | None) -> dict[str, Any]:
    if sample is None or sample.cgroup is None:
        return {
            "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
            "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
        }
    cpu = sample.cgroup["cpu"]
    per_cpu = {"percpu_usage": cpu["per_cpu"]} if cpu.get("per_cpu") else {}
    return {
        "cpu_usage": {
            "total_usage": cpu["usage"],
            **per_cpu,
            "usage_in_kernelmode": cpu["system"],
            "usage_in_usermode": cpu["user"],
        },
        "system_cpu_usage": sample.machine_cpu,
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": {
            "periods": cpu.get("periods", 0),
            "throttled_periods": cpu.get("throttled_periods", 0),
            "throttled_time": cpu.get("throttled", 0),
        },
    }


def _blkio(devices: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    def entries(*fields: tuple[str, str]) -> list[dict[str, Any]]:
        return [
            {"major": device["major"], "minor": device["minor"], "op": op, "value": device[field]}
            for device in devices
            for field, op in fields
            if field in device
        ]

    return {
        "io_service_bytes_recursive": entries(("read_bytes", "read"), ("write_bytes", "write")),
        "io_serviced_recursive": entries(("reads", "read"), ("writes", "write")),
        "io_queue_recursive": None,
        "io_service_time_recursive": None,
        "io_wait_time_recursive": None,
        "io_merged_recursive": None,
        "io_time_recursive": None,
        "sectors_recursive": None,
    }
