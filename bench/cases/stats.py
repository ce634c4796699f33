"""What many containers use, asked once: `stats --no-stream`."""

from __future__ import annotations

from functools import partial

from bench.cases.ps import start
from bench.context import Context
from bench.measure import Bar, Measurement, interleave


def measure(context: Context) -> list[Measurement]:
    """`stats --no-stream` of 100 running containers (quick: as many)."""
    many = 100
    names = [f"stats-{number}" for number in range(many)]
    measurement = Measurement(
        "stats", f"stats --no-stream, {many} running containers", "ms", (Bar(0.5, "docker"),)
    )
    measurement.remarks.append("the share of the processors takes two samples: time passes between")
    try:
        for engine in context.engines.values():
            start(engine, names)
        interleave(
            measurement,
            {
                name: partial(engine.timed, "stats", "--no-stream")
                for name, engine in context.engines.items()
            },
            rounds=context.rounds(15),
            warm_up=1,
        )
    finally:
        for engine in context.engines.values():
            engine.remove(*names)
    return [measurement]
