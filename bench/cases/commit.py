"""An image of what a container has changed: `commit` of 10,000 files."""

from __future__ import annotations

import subprocess
from functools import partial

from bench.context import IMAGE, RUN, Context
from bench.engines import Engine
from bench.measure import Bar, Measurement, interleave

FILES = 10_000


def measure(context: Context) -> list[Measurement]:
    """`commit` of a stopped container that made the files; each time one of its own."""
    count = FILES // 10 if context.quick else FILES
    measurement = Measurement(
        "commit", f"commit of {count} changed files of 2 kB", "ms", (Bar(0.6, "docker"),)
    )
    interleave(
        measurement,
        {name: partial(_once, engine, count, []) for name, engine in context.engines.items()},
        rounds=5,
        warm_up=1,
    )
    return [measurement]


def _once(engine: Engine, count: int, done: list[int]) -> float:
    done.append(1)
    name = f"commit-{len(done)}"
    engine.output(
        *(argument for argument in RUN if argument != "--rm"),
        *("--name", name, IMAGE, "sh", "-c", _SCRIPT, "sh", str(count), name),
    )
    subprocess.run(["sync"], check=True)
    # nothing is removed before the end: making files after that takes several times as long
    return engine.timed("commit", name, f"bench/commit:{len(done)}")


# no two containers make the same layer
_SCRIPT = """
text=$2; while [ ${#text} -lt 2000 ]; do text="$text $text"; done
i=0
while [ $i -lt $1 ]; do
    [ $((i % 100)) = 0 ] && directory=/data/$i && mkdir -p $directory
    echo "$i $text" > $directory/file-$i
    i=$((i + 1))
done
"""
