"""Detached containers, one started after the other, all of them running in the end."""

from __future__ import annotations

from bench.context import DETACHED, IMAGE, Context
from bench.measure import Bar, Measurement
from bench.spawn import Failed


def measure(context: Context) -> list[Measurement]:
    """Total time of 200 (quick: 20), engine by engine in slices of ten."""
    many = 20 if context.quick else 200
    measurement = Measurement(
        "many", f"{many} detached containers, one after the other", "s", (Bar(0.15, "docker"),)
    )
    names = [f"many-{number}" for number in range(many)]
    total = dict.fromkeys(context.engines, 0.0)
    try:
        for first in range(0, many, 10):
            for name, engine in context.engines.items():
                for container in names[first : first + 10]:
                    arguments = (*DETACHED, "--name", container, IMAGE, "sleep", "100000")
                    total[name] += engine.timed(*arguments) / 1000
        for name, engine in context.engines.items():
            listed = engine.output("ps", "--format", "{{.Names}}").split()
            running = len(set(listed) & set(names))
            if running != many:
                raise Failed(f"{name}: {running} of {many} containers run")
            measurement.add(name, total[name])
    finally:
        for engine in context.engines.values():
            engine.remove(*names)
    return [measurement]
