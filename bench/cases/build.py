"""Images from Dockerfiles: `build` when all is cached, when nothing is, and of many files."""

from __future__ import annotations

import os
import random
from functools import partial

from bench import sandbox
from bench.context import IMAGE, Context
from bench.engines import Engine
from bench.measure import Bar, Measurement, interleave

STEPS = 20
FILES = 10_000
COPIED_FILES, COPIED_BYTES = 20_000, 500_000_000
_SEED = 20_251_126


def measure(context: Context) -> list[Measurement]:
    """Each engine builds of the same directories; what it built before stays in its cache."""
    scale = 0.1 if context.quick else 1.0
    disk = os.path.join(context.disks, "build")
    sandbox.fresh_disk(disk)
    rounds = 3 if context.quick else 5
    count = int(FILES * scale)
    cached = Measurement(
        "build",
        f"build, all of {STEPS} steps cached, context of {count} files",
        "ms",
        (Bar(0.3, "docker"), Bar(150.0)),
    )
    steps = Measurement(
        "build", f"build of {STEPS} RUN true, nothing cached", "ms", (Bar(0.1, "docker"),)
    )
    copied, size = int(COPIED_FILES * scale), int(COPIED_BYTES * scale)
    copy = Measurement(
        "build", f"COPY of {copied} files, {size // 1_000_000} MB", "ms", (Bar(0.5, "docker"),)
    )
    changed = Measurement(
        "build", "build with one changed file after a layer", "ms", (Bar(0.3, "docker"),)
    )
    try:
        places = {name: os.path.join(disk, name) for name in ("cached", "steps", "copy", "changed")}
        runs = "".join(f"RUN true # {number}\n" for number in range(STEPS - 1))
        _make(places["cached"], f"FROM {IMAGE}\nCOPY . /src\n{runs}", count, count * 500)
        _make(places["steps"], f"FROM {IMAGE}\n{runs}RUN true # last\n", 0, 0)
        _make(places["copy"], f"FROM {IMAGE}\nCOPY . /src\n", copied, size)
        _make(places["changed"], f"FROM {IMAGE}\nRUN true # layer\nCOPY source /\n", 0, 0)
        for measurement, once in (
            (cached, partial(_plain, places["cached"])),
            (steps, partial(_uncached, places["steps"])),
            (copy, partial(_uncached, places["copy"])),
            (changed, partial(_changed, places["changed"])),
        ):
            contestants = {
                name: partial(once, engine, []) for name, engine in context.engines.items()
            }
            interleave(measurement, contestants, rounds=rounds, warm_up=1)
    finally:
        sandbox.discard_disk(disk)
    return [cached, steps, copy, changed]


def _plain(place: str, engine: Engine, done: list[int]) -> float:
    done.append(1)
    return engine.timed("build", "-q", place)


def _uncached(place: str, engine: Engine, done: list[int]) -> float:
    done.append(1)
    return engine.timed("build", "-q", "--no-cache", place)


def _changed(place: str, engine: Engine, done: list[int]) -> float:
    done.append(1)
    with open(f"{place}/source", "w", encoding="ascii") as file:
        file.write(f"{engine.name} {len(done)}\n")
    return engine.timed("build", "-q", place)


def _make(place: str, dockerfile: str, count: int, size: int) -> None:
    os.mkdir(place)
    with open(f"{place}/Dockerfile", "w", encoding="ascii") as file:
        file.write(dockerfile)
    with open(f"{place}/source", "w", encoding="ascii") as file:
        file.write("first\n")
    noise = random.Random(_SEED).randbytes((size // count if count else 0) + count)
    for number in range(count):
        if number % 100 == 0:
            os.mkdir(f"{place}/directory-{number}")
        with open(f"{place}/directory-{number - number % 100}/file-{number}", "wb") as sink:
            sink.write(noise[number : number + size // count])
