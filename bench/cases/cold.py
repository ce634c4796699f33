"""A whole container in a whole process: `run --rm --network none alpine true`."""

from __future__ import annotations

from collections.abc import Callable

from bench.context import IMAGE, RUN, Context
from bench.engines import Engine
from bench.measure import Bar, Measurement, interleave


def measure(context: Context) -> list[Measurement]:
    """Cold processes of each engine, and of the runtimes with a bundle made before."""
    measurement = Measurement(
        "cold",
        "run --rm --network none alpine true; crun, runc: run of a bare bundle, same spec",
        "ms",
        (Bar(0.12, "docker"), Bar(0.25, "podman"), Bar(1.5, "crun")),
    )
    contestants = {name: _once(engine) for name, engine in context.engines.items()}
    contestants |= {name: runtime.timed for name, runtime in context.runtimes.items()}
    interleave(measurement, contestants, rounds=context.rounds(40))
    if context.specification_from:
        measurement.remarks.append(f"the bundle's specification is {context.specification_from}'s")
    return [measurement]


def _once(engine: Engine) -> Callable[[], float]:
    return lambda: engine.timed(*RUN, IMAGE, "true")
