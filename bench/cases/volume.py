"""A new volume that is filled with what the image has there: `run -v new:/usr`."""

from __future__ import annotations

import os
import subprocess
from itertools import count

from bench import tree
from bench.context import RUN, Context
from bench.measure import Bar, Measurement, interleave


def measure(context: Context) -> list[Measurement]:
    """Runs with a volume of a new name each time; nothing is removed in between."""
    scale = 0.1 if context.quick else 1.0
    archive = os.path.join(context.cache, f"tree-{scale}.tar")
    tree.archive(archive, context.shell(), scale=scale)
    measurement = Measurement(
        "volume",
        f"first run with a new volume: copy-up of {int(tree.BYTES * scale) // 1_000_000} MB,"
        f" {int(tree.ENTRIES * scale)} entries",
        "s",
        (Bar(0.6, "docker"),),
    )
    numbers = count()

    def once(name: str) -> float:
        volume = f"bench-{next(numbers)}:/usr"
        subprocess.run(["sync"], check=True)  # nobody waits for what another one has written
        return (
            context.engines[name].timed(*RUN, "-v", volume, tree.TAG, "/bin/busybox", "true") / 1000
        )

    for engine in context.engines.values():
        engine.output("load", "--input", archive)
    contestants = {name: (lambda name=name: once(name)) for name in context.engines}
    interleave(measurement, contestants, rounds=3, warm_up=1)
    return [measurement]
