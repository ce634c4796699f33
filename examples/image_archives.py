"""Look into an image, write it to an archive, load it in another engine.

The archive is one that `docker load`, `podman load` and `skopeo` read, and theirs are read here.

Prints:
    names: busybox:latest
    command: ['sh']
    layers: 1
    steps: 1
    the archive holds: index.json, manifest.json, oci-layout and more
    loaded elsewhere: busybox:latest, the same image: True
    it runs there: hello
    a second name: example.org/tools/shell:1, the same image: True
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile

from proa import Engine


def main(engine: Engine) -> None:
    """Take an image from one engine to another by an archive."""
    image = engine.images.get("busybox")
    print("names:", *image.tags)
    print("command:", image.attrs["Config"]["Cmd"])
    print("layers:", len(image.attrs["RootFS"]["Layers"]))
    print("steps:", len(image.history()))

    with tempfile.TemporaryDirectory() as directory:
        archive = os.path.join(directory, "busybox.tar")
        with open(archive, "wb") as file:
            engine.images.save("busybox", file)
        with tarfile.open(archive) as content:
            known = {"index.json", "manifest.json", "oci-layout"} & set(content.getnames())
        print("the archive holds:", ", ".join(sorted(known)), "and more")

        # Each root directory is an engine of its own.
        with Engine(os.path.join(directory, "other")) as other:
            (loaded,) = other.images.load(archive)
            print(f"loaded elsewhere: {loaded.tags[0]}, the same image: {loaded.id == image.id}")
            output = other.containers.run("busybox", ["echo", "hello"], remove=True)
            print("it runs there:", output.decode().rstrip())

            # A name may say where an image belongs; it costs no copy.
            named = other.images.tag("busybox", "example.org/tools/shell:1")
            print(f"a second name: {named.tags[-1]}, the same image: {named.id == image.id}")


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
