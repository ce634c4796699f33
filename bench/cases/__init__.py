"""The cases, by the name that selects them."""

from __future__ import annotations

from collections.abc import Callable

from bench.cases import (
    build,
    cold,
    commit,
    cp,
    exec_,
    guest,
    load,
    many,
    many_cost,
    memory,
    ps,
    registry,
    stats,
    volume,
    warm,
)
from bench.context import Context
from bench.measure import Measurement

CASES: dict[str, Callable[[Context], list[Measurement]]] = {
    "cold": cold.measure,
    "warm": warm.measure,
    "exec": exec_.measure,
    "memory": memory.measure,
    "many": many.measure,
    "many-cost": many_cost.measure,
    "ps": ps.measure,
    "stats": stats.measure,
    "load": load.measure,
    "registry": registry.measure,
    "volume": volume.measure,
    "cp": cp.measure,
    "commit": commit.measure,
    "build": build.measure,
    "guest": guest.measure,
}
