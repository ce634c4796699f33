"""Whether a start costs more for the containers that there are already."""

from __future__ import annotations

from bench.cases.ps import start
from bench.context import IMAGE, RUN, Context
from bench.measure import Bar, Measurement


def measure(context: Context) -> list[Measurement]:
    """`run --rm` with no, 100 and 500 containers running (quick: no, 50 and 500)."""
    engine = context.engines.get("proa")
    if engine is None:
        return []
    counts = (0, 50 if context.quick else 100, 500)
    rounds = context.rounds(60)
    alone = f"proa, {counts[0]} others"
    measurement = Measurement(
        "many-cost",
        f"run --rm true, {counts[-1]} other containers running",
        "ms",
        (Bar(1.1, alone),),
    )
    names: list[str] = []
    try:
        for count in counts:
            more = [f"cost-{number}" for number in range(len(names), count)]
            names += more
            start(engine, more)
            title = "proa" if count == counts[-1] else f"proa, {count} others"
            for turn in range(-2, rounds):
                sample = engine.timed(*RUN, IMAGE, "true")
                if turn >= 0:
                    measurement.add(title, sample)
    finally:
        engine.remove(*names)
    return [measurement]
