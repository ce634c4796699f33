"""Back up a volume into an archive, and restore it into another one.

A volume outlives the containers that have it. What copies it is a container too: it needs no
right on the host but to the directory where the archive lies.

Prints:
    written to the volume: 2 files
    while a container has it: volume example-notes is in use
    restored: first, second
    a file's mode and owner are kept: 640 7:8
"""

from __future__ import annotations

import os
import sys
import tempfile

from proa import Conflict, Engine

WRITE = """
echo first > /notes/one
echo second > /notes/two
chmod 640 /notes/two
chown 7:8 /notes/two
ls /notes | wc -l
"""


def main(engine: Engine) -> None:
    """Write, back up, lose, restore."""
    volume = engine.volumes.create("example-notes", labels={"example": "backup"})
    try:
        notes = {volume.name: {"bind": "/notes"}}
        count = engine.containers.run("busybox", ["sh", "-c", WRITE], volumes=notes, remove=True)
        print("written to the volume:", count.decode().strip(), "files")

        keeper = engine.containers.run("busybox", "sleep 600", volumes=notes, detach=True)
        try:
            volume.remove()
        except Conflict as error:
            print("while a container has it:", str(error).partition(" by ")[0])
        finally:
            keeper.remove(force=True)

        with tempfile.TemporaryDirectory() as directory:
            archive = os.path.join(directory, "notes.tar")
            back_up(engine, volume.name, archive)
            volume.remove()
            restore(engine, archive, "example-restored")
    finally:
        volume.remove(force=True)

    restored = engine.volumes.get("example-restored")
    try:
        show = "cat /n/one /n/two; stat -c '%a %u:%g' /n/two"
        output = engine.containers.run(
            "busybox", ["sh", "-c", show], volumes=[f"{restored.name}:/n:ro"], remove=True
        )
        first, second, status = output.decode().splitlines()
        print(f"restored: {first}, {second}")
        print("a file's mode and owner are kept:", status)
    finally:
        restored.remove()


def back_up(engine: Engine, volume: str, archive: str) -> None:
    """Write all of the volume to the new file `archive`."""
    directory, name = os.path.split(os.path.abspath(archive))
    engine.containers.run(
        "busybox",
        ["tar", "-c", "-f", f"/backup/{name}", "-C", "/from", "."],
        volumes=[f"{volume}:/from:ro", f"{directory}:/backup"],
        remove=True,
    )


def restore(engine: Engine, archive: str, volume: str) -> None:
    """Unpack `archive` into the volume, which is made where it is missing."""
    directory, name = os.path.split(os.path.abspath(archive))
    engine.containers.run(
        "busybox",
        ["tar", "-x", "-f", f"/backup/{name}", "-C", "/to"],
        volumes=[f"{volume}:/to", f"{directory}:/backup:ro"],
        remove=True,
    )


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
