"""Put files into a container, take some out, and make an image of what it changed.

Prints:
    it says: hello from a file
    taken out: result.txt, 6 bytes
    changed: A /srv
    changed: A /srv/greeting
    changed: A /srv/result.txt
    the image: example.org/greeter:1, its layers: 2
    a container of it says: hello from a file
    as one layer: 1
"""

from __future__ import annotations

import io
import sys
import tarfile

from proa import Engine


def main(engine: Engine) -> None:
    """A container's files, there and back."""
    container = engine.containers.run("busybox", ["sleep", "1000"], detach=True)
    images = []
    try:
        container.exec_run(["mkdir", "/srv"])
        container.put_archive("/srv", archive({"greeting": b"hello from a file\n"}))
        print("it says:", container.exec_run(["cat", "/srv/greeting"]).output.decode().rstrip())

        container.exec_run(["sh", "-c", "echo 21 21 > /srv/result.txt"])
        pieces, found = container.get_archive("/srv/result.txt")
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as taken:
            print(f"taken out: {taken.getnames()[0]}, {found['size']} bytes")

        for change in container.diff():
            print("changed:", "CAD"[change["Kind"]], change["Path"])

        image = container.commit("example.org/greeter", "1", changes='CMD ["cat", "/srv/greeting"]')
        images.append(image)
        layers = len(image.attrs["RootFS"]["Layers"])
        print(f"the image: {image.tags[0]}, its layers: {layers}")
        output = engine.containers.run(image.tags[0], remove=True)
        print("a container of it says:", output.decode().rstrip())

        images.append(image.squash(reference="example.org/greeter:small"))
        print("as one layer:", len(images[1].attrs["RootFS"]["Layers"]))
    finally:
        container.remove(force=True)
        for image in images:
            image.remove()


def archive(files: dict[str, bytes]) -> bytes:
    """A tar archive of small files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
