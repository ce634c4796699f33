"""From an archive to a running container: `load` and a first `run` on a fresh disk."""

from __future__ import annotations

import os
import subprocess

from bench import sandbox, tree
from bench.context import RUN, Context
from bench.measure import Bar, Measurement, interleave


def measure(context: Context) -> list[Measurement]:
    """Load and run the large image with new engines on new file systems each time."""
    scale = 0.1 if context.quick else 1.0
    archive = os.path.join(context.cache, f"tree-{scale}.tar")
    tree.archive(archive, context.shell(), scale=scale)
    size = os.path.getsize(archive) // 1_000_000
    measurement = Measurement(
        "load",
        f"load of a gzip layer ({size} MB, {int(tree.ENTRIES * scale)} entries) and first run",
        "s",
        (Bar(0.5, "docker"),),
    )

    def once(name: str) -> float:
        engine = context.started(type(context.engines[name]), "-load")
        try:
            with open(archive, "rb") as file:  # read once, so that nobody waits for the disk
                while file.read(1 << 20):
                    pass
            subprocess.run(["sync"], check=True)
            elapsed = engine.timed("load", "--input", archive)
            elapsed += engine.timed(*RUN, tree.TAG, "/bin/busybox", "true")
        finally:
            engine.stop()
            sandbox.discard_disk(os.path.join(context.disks, f"{name}-load"))
            subprocess.run(["rm", "-rf", os.path.join(context.work, f"{name}-load")], check=True)
        return elapsed / 1000

    contestants = {name: (lambda name=name: once(name)) for name in context.engines}
    interleave(measurement, contestants, rounds=3, warm_up=0)
    return [measurement]
