"""Read a container's output line by line while it is written.

Prints (with other times):
    12:30:01.482 stdout: step 1
    12:30:01.583 stderr: step 2
    12:30:01.684 stdout: step 3
    3 lines, the container ended with exit code 0
"""

from __future__ import annotations

import sys

from proa import Engine

STEPS = """
for step in 1 2 3; do
    if [ $step = 2 ]; then echo step $step >&2; else echo step $step; fi
    sleep 0.1
done
"""


def main(engine: Engine) -> None:
    """Follow the log of a container from its first line to its end."""
    container = engine.containers.run("busybox", ["sh", "-c", STEPS], detach=True)
    try:
        container.reload()
        count = 0
        # `container.logs(stream=True)` yields the bytes alone. An entry also knows which stream
        # they came from, and when. Following ends with the container.
        for entry in container.log_entries(follow=True):
            time = entry.time.partition("T")[2][:12]
            print(f"{time} {entry.stream}: {entry.data.decode().rstrip()}")
            count += 1
        print(f"{count} lines, the container ended with exit code {container.wait()}")
    finally:
        container.remove(force=True)


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
