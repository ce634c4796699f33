"""Files into a container and out of it: `cp` of a tree of 500 MB."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from functools import partial

from bench import sandbox
from bench.context import DETACHED, IMAGE, Context
from bench.engines import Engine
from bench.measure import Bar, Measurement, interleave

FILES = 8_000
BYTES = 500_000_000
_SEED = 20_251_125


def measure(context: Context) -> list[Measurement]:
    """`cp` of the tree from this machine's disk into a running container, and back."""
    scale = 0.1 if context.quick else 1.0
    disk = os.path.join(context.disks, "cp")
    sandbox.fresh_disk(disk)
    source = os.path.join(disk, "source")
    _make(source, int(FILES * scale), int(BYTES * scale))
    what = f"{int(BYTES * scale) // 1_000_000} MB in {int(FILES * scale)} files"
    into = Measurement("cp", f"cp of {what} into a container", "s", (Bar(0.6, "docker"),))
    out = Measurement("cp", f"cp of {what} out of a container", "s", (Bar(0.6, "docker"),))
    for engine in context.engines.values():
        engine.output(*DETACHED, "--name", "box", IMAGE, "sleep", "100000")
    try:
        interleave(into, _contestants(context, partial(_into, source)), rounds=4, warm_up=1)
        interleave(out, _contestants(context, partial(_out, disk)), rounds=4, warm_up=1)
    finally:
        for engine in context.engines.values():
            engine.remove("box")
        sandbox.discard_disk(disk)
    return [into, out]


def _contestants(
    context: Context, once: Callable[[Engine, list[int]], float]
) -> dict[str, Callable[[], float]]:
    return {name: partial(once, engine, []) for name, engine in context.engines.items()}


def _into(source: str, engine: Engine, done: list[int]) -> float:
    """Each time a directory of its own: nothing is removed, which would slow down the next one."""
    done.append(1)
    subprocess.run(["sync"], check=True)
    return engine.timed("cp", source, f"box:/tree-{len(done)}") / 1000


def _out(disk: str, engine: Engine, done: list[int]) -> float:
    done.append(1)
    target = os.path.join(disk, f"{engine.name}-{len(done)}")
    subprocess.run(["sync"], check=True)
    return engine.timed("cp", "box:/tree-1", target) / 1000


def _make(path: str, count: int, size: int) -> None:
    source = random.Random(_SEED)
    weights = [source.lognormvariate(8.0, 2.1) for _ in range(count)]
    factor = size / sum(weights)
    noise = source.randbytes(1 << 20)
    directories = [path]
    os.mkdir(path)
    for number, weight in enumerate(weights):
        parent = directories[source.randrange(len(directories))]
        if number % 10 == 0 and parent.count("/") < path.count("/") + 8:
            parent = f"{parent}/directory-{number}"
            os.mkdir(parent)
            directories.append(parent)
        left = int(weight * factor)
        with open(f"{parent}/file-{number}", "wb") as file:
            while left > 0:
                start = source.randrange(len(noise) // 2)
                left -= file.write(noise[start : start + left])
