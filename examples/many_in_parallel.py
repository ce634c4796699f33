"""Run many containers at once.

An engine may be used by any number of threads, as may its directory by any number of processes.
Each container has its own process that looks after it, so there is nothing they wait for but the
machine.

Prints:
    20 containers counted the primes below 2000: 303
    10 containers stay, all of them running: True
    all ended: True
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from proa import Engine

CONTAINERS = 20
NUMBERS = 2000
COUNT_PRIMES = """
BEGIN {
    for (n = from; n < to; n++) {
        prime = n > 1
        for (d = 2; d * d <= n; d++) if (n % d == 0) { prime = 0; break }
        count += prime
    }
    print count + 0
}
"""


def main(engine: Engine) -> None:
    """Divide work among containers, then keep some of them running side by side."""
    step = NUMBERS // CONTAINERS

    def count_primes(start: int) -> int:
        variables = ["-v", f"from={start}", "-v", f"to={start + step}"]
        output = engine.containers.run("busybox", ["awk", *variables, COUNT_PRIMES], remove=True)
        return int(output)

    with ThreadPoolExecutor(max_workers=8) as threads:
        total = sum(threads.map(count_primes, range(0, NUMBERS, step)))
    print(f"{CONTAINERS} containers counted the primes below {NUMBERS}: {total}")

    # Detached ones need no thread of ours: starting one takes some milliseconds.
    group = [
        engine.containers.run("busybox", "sleep 600", detach=True, labels={"example": "many"})
        for _ in range(10)
    ]
    try:
        running = engine.containers.list(filters={"label": "example=many"})
        print(f"{len(group)} containers stay, all of them running:", len(running) == len(group))
    finally:
        with ThreadPoolExecutor(max_workers=8) as threads:
            list(threads.map(lambda container: container.remove(force=True), group))
    left = engine.containers.list(all=True, filters={"label": "example=many"})
    print("all ended:", not left)


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
