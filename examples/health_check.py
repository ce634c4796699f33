"""A service that is looked after: its health is checked, and it is started again when need be.

Prints:
    it is healthy
    it is broken, and was started again
    it is healthy
    the last check said: serving
"""

from __future__ import annotations

import sys
import time

from proa import Engine
from proa.engine.container import Container

SECOND = 1_000_000_000
"""Docker's API counts in nanoseconds."""


def wait_for(container: Container, health: str, restarts: int) -> None:
    """Look at the container until it is as expected."""
    deadline = time.monotonic() + 30
    while (container.health, container.attrs["RestartCount"]) != (health, restarts):
        assert time.monotonic() < deadline, container.attrs["State"]
        time.sleep(0.05)
        container.reload()


def main(engine: Engine) -> None:
    """Run a service, break it, and see what happens."""
    container = engine.containers.run(
        "busybox",
        # it serves until someone breaks it, and is whole again after a start
        ["sh", "-c", "trap 'exit 0' TERM; touch /well; while :; do sleep 0.05; done"],
        detach=True,
        healthcheck={
            "test": "test -e /well && echo serving",
            "interval": SECOND // 5,
            "retries": 2,
        },
        # beside Docker's policies: as on-failure, and when the check says that it is not well
        restart_policy={"Name": "on-unhealthy", "MaximumRetryCount": 3},
        stop_timeout=2,
    )
    wait_for(container, "healthy", restarts=0)
    print("it is healthy")

    container.exec_run("rm /well")
    wait_for(container, "healthy", restarts=1)
    print("it is broken, and was started again")
    print("it is", container.health)

    result = container.attrs["State"]["Health"]["Log"][-1]
    print("the last check said:", result["Output"].strip())
    container.remove(force=True)


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
