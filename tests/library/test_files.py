"""A container's files and images of them, in the shapes that docker-py's users know."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator

import pytest

import proa
from proa import Engine
from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def engine(alpine: Command) -> Iterator[Engine]:
    with Engine(alpine.root) as engine:
        yield engine
        for container in engine.containers.list(all=True):
            container.remove(force=True)


@pytest.fixture
def box(engine: Engine) -> proa.Container:
    return engine.containers.run("alpine", ["sleep", "1000"], detach=True, name="box")


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_archives_in_and_out(box: proa.Container) -> None:
    assert box.put_archive("/srv", archive(one=b"1", two=b"22")) is True
    assert box.put_archive("/srv", io.BytesIO(archive(three=b"333")))
    data = archive(four=b"4444")
    assert box.put_archive("/srv/", (data[at : at + 100] for at in range(0, len(data), 100)))
    box.exec_run(["ln", "-s", "../srv", "/tmp/link"])
    assert box.put_archive("/tmp/link", archive(five=b"5"))

    pieces, stat = box.get_archive("/srv", chunk_size=1000)
    chunks = list(pieces)
    assert {len(chunk) for chunk in chunks[:-1]} == {1000}
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        assert {member.name: member.size for member in tar if member.isfile()} == {
            "srv/one": 1,
            "srv/two": 2,
            "srv/three": 3,
            "srv/four": 4,
            "srv/five": 1,
        }
    assert (stat["name"], stat["linkTarget"]) == ("srv", "")
    assert stat["mode"] == 1 << 31 | 0o755
    assert stat["mtime"].endswith("Z")
    _, stat = box.get_archive("/tmp/link")
    assert (stat["mode"] & 1 << 27, stat["linkTarget"]) == (1 << 27, "/srv")
    _, stat = box.get_archive("/srv/two")
    assert stat["size"] == 2


def test_what_is_refused(box: proa.Container) -> None:
    with pytest.raises(proa.NotFound):
        box.get_archive("/none")
    with pytest.raises(proa.NotFound):
        box.put_archive("/none", archive())
    with pytest.raises(proa.InvalidArgument):
        box.put_archive("/etc/passwd", archive())
    with pytest.raises(proa.CorruptData):
        box.put_archive("/srv", b"no archive" * 100)
    with pytest.raises(proa.Conflict):
        box.put_archive("/", archive(etc=b"a file"))
    with pytest.raises(proa.HostileData):
        box.put_archive("/srv", archive(**{"../../out": b""}))


def test_changes_and_images(engine: Engine, box: proa.Container) -> None:
    box.put_archive("/srv", archive(new=b"n"))
    box.exec_run(["rm", "/etc/passwd"])

    assert box.diff() == [
        {"Path": "/etc", "Kind": 0},
        {"Path": "/etc/passwd", "Kind": 2},
        {"Path": "/srv", "Kind": 0},
        {"Path": "/srv/new", "Kind": 1},
    ]
    image = box.commit(
        "mine", "1", message="why", author="me", changes=["ENV A=1", "USER 7"], conf={"Cmd": ["id"]}
    )
    assert image.tags == ["mine:1"]
    assert image.attrs["Config"]["Cmd"] == ["id"]
    assert b"uid=7" in engine.containers.run("mine:1", remove=True)
    with tarfile.open(fileobj=io.BytesIO(b"".join(box.export()))) as tar:
        assert "srv/new" in tar.getnames() and "etc/passwd" not in tar.getnames()

    assert len(image.squash(reference="mine:flat").attrs["RootFS"]["Layers"]) == 1
    assert engine.images.squash("mine:1", base="alpine").id == image.id
    (tree,) = [node for node in engine.images.tree() if node["Above"]]
    assert tree["Images"][0]["RepoTags"] == ["alpine:latest"]
    assert tree["Above"][0]["Images"][0]["RepoTags"] == ["mine:1"]
    with pytest.raises(proa.InvalidArgument):
        box.commit("mine", "1", changes="RUN true")
    found = engine.events(since=0, until=time.time(), decode=True)
    happened = {event["Action"] for event in found}
    assert {"commit", "export", "extract-to-dir"} <= happened
