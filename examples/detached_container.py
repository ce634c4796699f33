"""Start a container, leave it running, work with it, end it.

The container does not depend on this program: it would go on if the program ended, and any other
program, or the command `proa`, can go on with it by its name.

Prints:
    status: running
    output so far: ready
    a command in it: exit code 4, output: counted to 3
    process 1 in it: sh, on this machine another number: True
    exit code: 7
    last line of output: asked to end
    status: exited
"""

from __future__ import annotations

import sys

from proa import Container, Engine

SERVICE = """
trap 'echo asked to end; exit 7' TERM
echo ready
while :; do sleep 0.05; done
"""


def main(engine: Engine) -> None:
    """Take a container through its life."""
    container = engine.containers.run(
        "busybox", ["sh", "-c", SERVICE], detach=True, labels={"example": "detached"}
    )
    try:
        wait_for_line(container, b"ready\n")
        # What an object says about itself is as of the last look; `reload` looks again.
        container.reload()
        print("status:", container.status)
        print("output so far:", log(container))

        # A further process shares the container's files, processes and limits.
        code, output = container.exec_run(
            ["sh", "-c", "echo counted to $COUNT; exit 4"], environment={"COUNT": 3}
        )
        print(f"a command in it: exit code {code}, output: {output.decode().rstrip()}")

        # Its processes are processes of this machine like all others, by other numbers.
        _, output = container.exec_run("cat /proc/1/comm")
        name = output.decode().rstrip()
        print(f"process 1 in it: {name}, on this machine another number: {container.pid > 1}")

        container.stop(timeout=5)  # SIGTERM, and SIGKILL after five seconds
        print("exit code:", container.wait())
        print("last line of output:", log(container, tail=1))
        container.reload()
        print("status:", container.status)
    finally:
        container.remove(force=True)


def wait_for_line(container: Container, wanted: bytes) -> None:
    """Follow the container's output up to the line `wanted`, or to its end."""
    for line in container.logs(stream=True):
        if line == wanted:
            return


def log(container: Container, *, tail: int | str = "all") -> str:
    """The container's output, or the last `tail` lines of it, as text."""
    output = container.logs(tail=tail)
    assert isinstance(output, bytes)  # with stream=True it is an iterator of lines
    return output.decode().rstrip()


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
