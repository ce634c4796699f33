"""Listing running containers: `ps` with one and with many."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.context import DETACHED, IMAGE, Context
from bench.engines import Engine
from bench.measure import Bar, Measurement, interleave


def measure(context: Context) -> list[Measurement]:
    """`ps` of each engine with 1 and with 500 running containers (quick: 50)."""
    many = 50 if context.quick else 500
    results: list[Measurement] = []
    started = dict.fromkeys(context.engines, 0)
    try:
        for number in (1, many):
            for name, engine in context.engines.items():
                start(engine, [f"ps-{index}" for index in range(started[name], number)])
                started[name] = number
            measurement = Measurement(
                "ps", f"ps, {number} running containers", "ms", (Bar(2.0, "docker"),)
            )
            interleave(
                measurement,
                {name: partial(engine.timed, "ps") for name, engine in context.engines.items()},
                rounds=context.rounds(30),
            )
            results.append(measurement)
    finally:
        for name, engine in context.engines.items():
            engine.remove(*(f"ps-{number}" for number in range(started[name])))
    return results


def start(engine: Engine, names: Iterable[str]) -> None:
    """Start an idle container of each name."""

    def run(name: str) -> None:
        engine.output(*DETACHED, "--name", name, IMAGE, "sleep", "100000")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, names))
