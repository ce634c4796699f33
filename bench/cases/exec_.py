"""A command in a container that runs: `exec c true`."""

from __future__ import annotations

from functools import partial

from bench.context import DETACHED, IMAGE, Context
from bench.measure import Bar, Measurement, interleave


def measure(context: Context) -> list[Measurement]:
    """Cold processes of each engine's exec."""
    measurement = Measurement("exec", "exec c true", "ms", (Bar(0.35, "docker"),))
    for engine in context.engines.values():
        engine.output(*DETACHED, "--name", "box", IMAGE, "sleep", "100000")
    try:
        interleave(
            measurement,
            {
                name: partial(engine.timed, "exec", "box", "true")
                for name, engine in context.engines.items()
            },
            rounds=context.rounds(40),
        )
    finally:
        for engine in context.engines.values():
            engine.remove("box")
    return [measurement]
