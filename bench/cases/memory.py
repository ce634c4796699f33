"""What stays in memory beside each idle detached container."""

from __future__ import annotations

import time

from bench.context import DETACHED, IMAGE, Context
from bench.measure import Bar, Measurement

_IDLE = 3.0
"""Seconds after which a container that was just started counts as idle."""


def measure(context: Context) -> list[Measurement]:
    """PSS of the process that is the container's keeper: shim, conmon, monitor.

    What several keepers share is divided among them; so it is measured alone and among ten.
    """
    return [_among(context, 1), _among(context, 10)]


def _among(context: Context, number: int) -> Measurement:
    measurement = Measurement(
        "memory",
        f"PSS beside an idle detached container, {number} running",
        "MB",
        (Bar(0.4, "docker"),),
    )
    names = [f"memory-{index}" for index in range(number)]
    for engine_name, engine in context.engines.items():
        for name in names:
            engine.output(*DETACHED, "--name", name, IMAGE, "sleep", "100000")
        keepers = {engine.keeper(name) for name in names}
        time.sleep(_IDLE)
        for keeper in keepers:
            # one keeper of several containers counts once for them all
            measurement.add(engine_name, pss(keeper) * len(keepers) / number)
        measurement.remarks.append(f"{engine_name}'s is {_program(min(keepers))}")
        engine.remove(*names)
    return measurement


def pss(pid: int) -> float:
    """What a process has in memory, its share of what it shares, in MB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    raise AssertionError(f"no Pss in /proc/{pid}/smaps_rollup")


def _program(pid: int) -> str:
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().strip()
