"""A whole container through the library, in a process that already runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.context import IMAGE, Context
from bench.engines import Proa
from bench.measure import Bar, Measurement, interleave
from bench.spawn import Failed


def measure(context: Context) -> list[Measurement]:
    """`engine.containers.run(…)` in one process, `crun run` and `runc run` beside it."""
    measurement = Measurement(
        "warm",
        "the same through the library, in a process that already runs",
        "ms",
        (Bar(8.0), Bar(0.5, "crun")),
    )
    proa = context.engines.get("proa")
    if not isinstance(proa, Proa):
        return [measurement]
    with _process(proa) as once:
        contestants: dict[str, Callable[[], float]] = {"proa": once}
        contestants |= {name: runtime.timed for name, runtime in context.runtimes.items()}
        interleave(measurement, contestants, rounds=context.rounds(40), warm_up=5)
    return [measurement]


@contextmanager
def _process(proa: Proa) -> Iterator[_Once]:
    python = os.path.join(os.path.dirname(proa.launcher), "python3")
    process = subprocess.Popen(
        [python, "-I", "-c", _PROGRAM, proa.directory, IMAGE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=proa.env,
    )
    with process:
        yield _Once(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


class _Once:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self) -> float:
        """Have it run one container; milliseconds by its own clock."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise Failed("the process with the library has ended")
        return float(answer)


# What a user's program would do, and nothing else.
_PROGRAM = """
import sys
from time import perf_counter
from proa import Engine
with Engine(root=sys.argv[1]) as engine:
    for _ in sys.stdin:
        start = perf_counter()
        engine.containers.run(sys.argv[2], ["true"], network_mode="none", remove=True)
        print((perf_counter() - start) * 1000, flush=True)
"""
