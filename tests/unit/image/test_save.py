"""Saving images: what comes out goes in again, byte for byte."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from proa.engine.images import Images
from proa.errors import (
    AlreadyExists,
    CorruptData,
    ImageNotFound,
    InvalidArgument,
    NoSpace,
    NotFound,
)
from proa.store.store import Store
from tests.unit.image.archives import FOREIGN, HOST, Layout, digest, layer


@pytest.fixture
def stock(images: Images) -> Images:
    layout = Layout()
    base = layer(base="b")
    layout.image(base, name="docker.io/library/app:1")
    layout.image(base, layer(top="t"), kind="zstd", name="quay.io/me/tool:2")
    images.load(layout.tar())
    images.tag("app:1", "app:2")
    return images


def saved(images: Images, *names: str, **options: str) -> tarfile.TarFile:
    buffer = io.BytesIO()
    images.save(names, buffer, **options)
    buffer.seek(0)
    return tarfile.open(fileobj=buffer)


def read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


@pytest.mark.parametrize("format", ["docker-archive", "oci-archive"])
def test_round_trip(stock: Images, tmp_path: Path, format: str) -> None:
    buffer = io.BytesIO()
    stock.save(["app", "quay.io/me/tool:2"], buffer, format=format)
    other = Images(Store.open(str(tmp_path / "other")))
    loaded = other.load(buffer.getvalue())
    assert [image.tags for image in loaded] == [["app:1", "app:2"], ["quay.io/me/tool:2"]]
    for image in loaded:
        known = stock.get(image.id).record
        assert (image.record.manifest, image.record.content) == (known.manifest, known.content)
    again = io.BytesIO()
    other.save(["app", "quay.io/me/tool:2"], again, format=format)
    assert again.getvalue() == buffer.getvalue()


def test_blobs_have_their_digest(stock: Images) -> None:
    archive = saved(stock, "app:1", "quay.io/me/tool:2")
    blobs = [name for name in archive.getnames() if name.startswith("blobs/sha256/")]
    assert len(blobs) == len(set(blobs)) == 7
    for name in blobs:
        assert hashlib.sha256(read(archive, name)).hexdigest() == name.rpartition("/")[2]


def test_what_docker_reads(stock: Images) -> None:
    archive = saved(stock, "app", "quay.io/me/tool:2")
    listing = json.loads(read(archive, "manifest.json"))
    assert [entry["RepoTags"] for entry in listing] == [["app:1", "app:2"], ["quay.io/me/tool:2"]]
    for entry in listing:
        config = json.loads(read(archive, entry["Config"]))
        assert len(entry["Layers"]) == len(config["rootfs"]["diff_ids"])
        for path in entry["Layers"]:
            assert archive.getmember(path).isfile()
    assert "manifest.json" not in saved(stock, "app:1", format="oci-archive").getnames()


def test_what_layouts_say(stock: Images) -> None:
    archive = saved(stock, "app", format="oci-archive")
    assert json.loads(read(archive, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    entries = json.loads(read(archive, "index.json"))["manifests"]
    assert [entry["annotations"] for entry in entries] == [
        {
            "io.containerd.image.name": f"docker.io/library/app:{tag}",
            "org.opencontainers.image.ref.name": tag,
        }
        for tag in ("1", "2")
    ]
    assert entries[0]["platform"] == {"architecture": HOST, "os": "linux"}


def test_names(stock: Images) -> None:
    def names(*wanted: str) -> list[list[str] | None]:
        listing = json.loads(read(saved(stock, *wanted), "manifest.json"))
        return [entry["RepoTags"] for entry in listing]

    record = stock.get("app:1").record
    assert names("app:1") == [["app:1"]]
    assert names("app") == [["app:1", "app:2"]]
    assert names("app:2", "app:1", "app:2") == [["app:2", "app:1"]]
    assert names(record.id) == names(record.id.short) == [None]
    assert names(f"app@{record.manifest}") == [None]
    assert names(f"app:1@{record.manifest}") == [["app:1"]]
    assert names(record.id.short, "app:1") == [["app:1"]]
    for name in ("gone", "app:3", "f" * 64):
        with pytest.raises(ImageNotFound, match=f"no such image: {name}"):
            names(name)
    with pytest.raises(InvalidArgument):
        names("UPPER")
    with pytest.raises(InvalidArgument):
        names()


def test_platforms(stock: Images) -> None:
    saved(stock, "app:1", platform=f"linux/{HOST}")
    with pytest.raises(ImageNotFound, match=f"is for linux/{HOST}, not for linux/{FOREIGN}"):
        saved(stock, "app:1", platform=f"linux/{FOREIGN}")


def test_unknown_formats(stock: Images) -> None:
    with pytest.raises(InvalidArgument, match="zip"):
        saved(stock, "app:1", format="zip")


def test_pieces_of_an_image(stock: Images) -> None:
    image = stock.get("app:1")
    unnamed = json.loads(
        read(tarfile.open(fileobj=io.BytesIO(b"".join(image.save()))), "manifest.json")
    )
    assert unnamed[0]["RepoTags"] is None
    named = tarfile.open(fileobj=io.BytesIO(b"".join(image.save(named="app:2"))))
    assert json.loads(read(named, "manifest.json"))[0]["RepoTags"] == ["app:2"]
    with pytest.raises(InvalidArgument, match="is not a name of image"):
        image.save(named="quay.io/me/tool:2")


def test_layouts_in_directories(stock: Images, tmp_path: Path) -> None:
    target = tmp_path / "layout"
    stock.save_layout(["app:1"], str(target))
    assert sorted(os.listdir(target)) == ["blobs", "index.json", "oci-layout"]
    for path in (target / "blobs/sha256").iterdir():
        assert digest(path.read_bytes()) == f"sha256:{path.name}"
    other = Images(Store.open(str(tmp_path / "other")))
    assert [image.tags for image in other.load(str(target))] == [["app:1"]]
    with pytest.raises(AlreadyExists, match="layout"):
        stock.save_layout(["app:1"], str(target))
    (tmp_path / "empty").mkdir()
    stock.save_layout("app:1", str(tmp_path / "empty"))
    with pytest.raises(ImageNotFound):
        stock.save_layout("gone", str(tmp_path / "never"))
    with pytest.raises(FileNotFoundError):
        stock.save_layout("app:1", str(tmp_path / "no/such/place"))
    assert sorted(os.listdir(tmp_path)) == ["empty", "layout", "other", "root"]


def test_a_blob_that_is_gone(stock: Images, store: Store, tmp_path: Path) -> None:
    blob = stock.get("app:1").record.content[-1]
    os.truncate(store.blobs.path(blob), 5)
    archive = tmp_path / "a.tar"
    with archive.open("wb") as file:
        stock.save("app:1", file)
    # whoever loads it is told
    with pytest.raises(CorruptData, match=blob):
        Images(Store.open(str(tmp_path / "other"))).load(str(archive))
    os.unlink(store.blobs.path(blob))
    with pytest.raises(NotFound, match=blob):
        stock.save("app:1", io.BytesIO())
    with pytest.raises(NotFound, match=blob):
        stock.save_layout("app:1", str(tmp_path / "layout"))
    assert not (tmp_path / "layout").exists()


class Full:
    def write(self, data: bytes, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_no_space(stock: Images, store: Store) -> None:
    with pytest.raises(NoSpace, match="archive"):
        stock.save("app:1", Full())
    assert os.listdir(store.path("run/leases")) == []


class Slow:
    """Takes less than it is offered, as a pipe may."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes, /) -> int:
        self.data += bytes(data[:1000])
        return min(len(data), 1000)


def test_sinks_that_take_little(stock: Images) -> None:
    slow, whole = Slow(), io.BytesIO()
    stock.save("app:1", slow)
    stock.save("app:1", whole)
    assert slow.data == whole.getvalue()


def test_images_that_are_removed_meanwhile(stock: Images, store: Store) -> None:
    pieces = stock.get("app:1").save(named=True)
    first = next(pieces)
    stock.remove(stock.get("app:1").id, force=True)
    archive = first + b"".join(pieces)
    loaded = Images(Store.open(f"{store.root}-other")).load(archive)
    assert loaded[0].tags == ["app:1"]
