"""Other limits, and another restart policy, for a container that exists: `proa update`."""

from __future__ import annotations

import fcntl
import posix

from proa.engine import config as configs
from proa.engine import limits, process
from proa.errors import Conflict, InvalidArgument
from proa.lean import json
from proa.lean.record import as_dict, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.engine.config import ContainerConfig
    from proa.store.containers import ContainerRow
    from proa.store.store import Store

SECTIONS = {
    "blkio_weight": "blockIO",
    "cpu_period": "cpu",
    "cpu_quota": "cpu",
    "cpu_rt_period": "cpu",
    "cpu_rt_runtime": "cpu",
    "cpu_shares": "cpu",
    "cpuset_cpus": "cpu",
    "cpuset_mems": "cpu",
    "kernel_memory": "memory",
    "memory": "memory",
    "memory_reservation": "memory",
    "memory_swap": "memory",
    "nano_cpus": "cpu",
    "pids_limit": "pids",
}
"""The limits that can be changed: fields of ContainerConfig, and where OCI's resources have them"""

_TIMES = {"cpu_period": "CPU period", "cpu_quota": "CPU quota"}


def record(
    store: Store, row: ContainerRow, changes: Mapping[str, Any]
) -> tuple[ContainerConfig, dict[str, Any]]:
    """Note `changes` (fields of `SECTIONS`, and `restart`) for the starts to come.

    Returns the new config, and what of OCI's resources differs for one that runs.
    Raises InvalidArgument, Conflict; then nothing has changed.
    """
    directory = store.path("containers", row.id)
    lock = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        # two updates at a time do not lose one another
        fcntl.flock(lock, fcntl.LOCK_EX)
        row = store.containers.find(row.id)
        config = changed(configs.from_json(row.config["request"]), changes)
        if config.restart.name == "on-unhealthy":
            from proa.engine.health import check

            check(process.from_json(row.config["process"]), config.restart)
        wanted = _resources(config, changes)
        _rewrite_spec(f"{directory}/config.json", config)
        store.containers.set_config(row.id, {**row.config, "request": configs.to_json(config)})
    finally:
        posix.close(lock)
    return config, wanted


def changed(config: ContainerConfig, changes: Mapping[str, Any]) -> ContainerConfig:
    """`config` with `changes`. Raises InvalidArgument, Conflict for those that cannot be."""
    restart = changes.get("restart")
    if restart is not None and config.auto_remove and restart.name not in ("", "no"):
        raise Conflict(
            "restart policy cannot be updated because AutoRemove is enabled for the container"
        )
    for field, name in _TIMES.items():
        if changes.get(field) and config.nano_cpus:
            raise Conflict(
                f"conflicting options: {name} cannot be updated as NanoCPUs has already been set;"
                " use --cpus"
            )
        if changes.get("nano_cpus") and getattr(config, field):
            raise Conflict(
                f"conflicting options: NanoCPUs cannot be updated as {name} has already been set;"
                " use --cpu-period and --cpu-quota"
            )
    merged = replace(config, **changes)
    if changes.get("memory") and not changes.get("memory_swap") and config.memory:
        # what is decided once about both together stays
        both = config.memory_swap or config.memory * 2
        if 0 < both < changes["memory"]:
            raise Conflict(
                "memory limit should be smaller than already set memoryswap limit, update the"
                " memoryswap at the same time"
            )
        merged = replace(merged, memory_swap=both)
    limits.resources(merged)
    return merged


def from_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that `Container.update(**options)` asks for, by the fields of the config.

    Raises InvalidArgument.
    """
    from proa.engine.options import to_config

    names = {
        *SECTIONS.keys() - {"memory", "memory_reservation", "memory_swap"},
        *("cpus", "mem_limit", "mem_reservation", "memswap_limit", "restart_policy"),
    }
    if unknown := options.keys() - names:
        raise InvalidArgument(
            f"update() has no option {min(unknown)}; there are {', '.join(sorted(names))}"
        )
    plain = as_dict(to_config("", None, {}).config)
    asked = as_dict(to_config("", None, options).config)
    return {
        name: value
        for name, value in asked.items()
        if (name in SECTIONS and value != plain[name])
        or (name == "restart" and options.get("restart_policy"))
    }


def _resources(config: ContainerConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    sections = {SECTIONS[name] for name in changes if name in SECTIONS}
    found = {key: value for key, value in limits.resources(config).items() if key in sections}
    if "pids" in sections and "pids" not in found:
        found["pids"] = {"limit": -1}  # 0, as -1: no limit from now on
    return found


def _rewrite_spec(path: str, config: ContainerConfig) -> None:
    """Put the limits into the spec that the next start reads, at once as a whole."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        spec = json.loads(posix.read(descriptor, posix.fstat(descriptor).st_size))
    finally:
        posix.close(descriptor)
    linux = spec["linux"]
    linux["resources"] = {
        **limits.resources(config),
        "devices": linux["resources"]["devices"],
    }
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    descriptor = posix.open(f"{path}.new", flags, 0o600)
    try:
        data = memoryview(json.dumps(spec).encode("utf-8", "surrogateescape"))
        while data:
            data = data[posix.write(descriptor, data) :]
    finally:
        posix.close(descriptor)
    posix.rename(f"{path}.new", path)
