"""Run commands in containers and get their output.

Prints:
    hello from a container
    Linux
    two lines: ['one', 'two']
    it ended with exit code 3 and wrote: no such luck
    there is no image called no-such-image
"""

from __future__ import annotations

import sys

from proa import ContainerFailed, Engine, ImageNotFound


def main(engine: Engine) -> None:
    """Run some commands, each in a new container that is removed when it has ended."""
    # Without `remove` the container would stay, as with `docker run` and `proa run` without --rm.
    output = engine.containers.run("busybox", ["echo", "hello from a container"], remove=True)
    print(output.decode().rstrip())

    # A string is split into words as a shell does. No shell runs where none is asked for.
    print(engine.containers.run("busybox", "uname -s", remove=True).decode().rstrip())

    script = "echo $FIRST; echo $SECOND"
    environment = {"FIRST": "one", "SECOND": "two"}
    output = engine.containers.run(
        "busybox", ["sh", "-c", script], environment=environment, remove=True
    )
    print("two lines:", output.decode().split())

    # A command that fails raises, with its exit code and what it wrote to standard error.
    try:
        engine.containers.run("busybox", ["sh", "-c", "echo no such luck >&2; exit 3"], remove=True)
    except ContainerFailed as error:
        wrote = error.output.decode().rstrip()
        print(f"it ended with exit code {error.exit_code} and wrote: {wrote}")

    # Every kind of error is a class of its own; nobody has to look into its text.
    try:
        engine.images.get("no-such-image")
    except ImageNotFound:
        print("there is no image called no-such-image")


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
