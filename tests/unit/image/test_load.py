"""Loading images of every form that archives have."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from proa.engine.images import Images
from proa.errors import ImageNotFound
from proa.store.store import Store
from tests.unit.image import archives
from tests.unit.image.archives import FOREIGN, HOST, Layout, config, layer, tar


class Pipe:
    """A stream that gives a few bytes at a time, and cannot go back."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self._data.read(min(size, 1000))


def read(store: Store, images: Images, name: str, path: str) -> str:
    """A file of an image, from the topmost of its layers that has it."""
    for diff_id in reversed(images.get(name).record.layers):
        place = f"{store.layers.tree(diff_id)}/{path}"
        if os.path.exists(place):
            return Path(place).read_text()
    raise FileNotFoundError(path)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "plain"])
@pytest.mark.parametrize("packed", ["file", "stream", "gzipped", "directory"])
def test_layouts(store: Store, images: Images, tmp_path: Path, kind: str, packed: str) -> None:
    layout = Layout()
    id = layout.image(layer(hello="world"), layer(more="things"), kind=kind)
    if packed == "directory":
        loaded = images.load(layout.write(str(tmp_path / "layout")))
    elif packed == "file":
        (tmp_path / "a.tar").write_bytes(layout.tar())
        loaded = images.load(str(tmp_path / "a.tar"))
    elif packed == "stream":
        loaded = images.load(Pipe(layout.tar()))
    else:
        loaded = images.load(gzip.compress(layout.tar()))
    assert [(image.id, image.tags) for image in loaded] == [(id, ["test:1"])]
    assert read(store, images, "test:1", "hello") == "world"
    assert read(store, images, id, "more") == "things"
    record = images.get("test:1").record
    manifest = layout.entries[0]["digest"]
    assert record.manifest == manifest
    assert set(record.content) == {
        f"sha256:{name.rpartition('/')[2]}" for name in layout.files if "/" in name
    }
    for digest in record.content:
        assert archives.digest(Path(store.blobs.path(digest)).read_bytes()) == digest


@pytest.mark.parametrize("packed", [bytes, Pipe, gzip.compress])
def test_docker_archives(
    store: Store, images: Images, packed: Callable[[bytes], bytes | Pipe]
) -> None:
    first, second = layer(a="1"), layer(b="2")
    archive = archives.docker_archive(first, second, names=["me/tool:1", "quay.io/me/tool:2"])
    (image,) = images.load(packed(archive))
    assert image.tags == ["me/tool:1", "quay.io/me/tool:2"]
    assert image.id == archives.digest(archives.dumps(config(first, second)))
    assert list(image.record.layers) == [archives.digest(first), archives.digest(second)]
    assert read(store, images, "me/tool:1", "a") == "1"
    # uncompressed layers are kept as they are
    assert {archives.digest(first), archives.digest(second)} <= set(image.record.content)


def test_layers_of_docker_archives_may_be_links_and_compressed(
    store: Store, images: Images
) -> None:
    data = layer(a="1")
    settings = archives.dumps(config(data, data, data))
    manifest = [
        {
            "Config": "config.json",
            "RepoTags": None,
            "Layers": ["one/layer.tar", "two/layer.tar", "three/layer.tar"],
        }
    ]
    archive = tar(
        ("config.json", settings),
        ("one/layer.tar", data),
        ("two/layer.tar", "../one/layer.tar"),
        ("three/layer.tar", gzip.compress(data)),
        ("manifest.json", archives.dumps(manifest)),
    )
    (image,) = images.load(archive)
    assert image.tags == []
    assert image.attrs["RootFS"]["Layers"] == [archives.digest(data)] * 3
    # what is mounted must not come twice
    assert image.record.layers == (archives.digest(data),)
    assert [step["Size"] for step in image.history()] == [4096] * 3
    assert images.get(image.short_id).id == image.id


def test_archives_of_both_forms_get_all_names(images: Images) -> None:
    layout = Layout()
    data = layer(a="1")
    id = layout.image(data, name="first:1", kind="plain")
    manifest = [
        {
            "Config": f"blobs/sha256/{id[7:]}",
            "RepoTags": ["first:1", "second:2"],
            "Layers": [f"blobs/sha256/{archives.hexdigest(data)}"],
        }
    ]
    layout.files["manifest.json"] = archives.dumps(manifest)
    (image,) = images.load(layout.tar())
    assert image.tags == ["first:1", "second:2"]
    assert image.record.manifest == layout.entries[0]["digest"]


def test_several_images_share_layers(store: Store, images: Images) -> None:
    base, one, two = layer(base="b"), layer(one="1"), layer(two="2")
    layout = Layout()
    layout.image(base, one, name="one:1")
    layout.image(base, two, name="two:1")
    assert [image.tags for image in images.load(layout.tar())] == [["one:1"], ["two:1"]]
    assert len(os.listdir(store.path("layers"))) == 3


def several_platforms() -> Layout:
    layout = Layout()
    foreign = layout.manifest(layer(arch=FOREIGN), architecture=FOREIGN)
    native = layout.manifest(layer(arch=HOST))
    attestation = layout.manifest(layer(a="statement"), architecture="unknown")
    layout.add(
        layout.index(
            {**foreign, "platform": {"os": "linux", "architecture": FOREIGN}},
            {**native, "platform": {"os": "linux", "architecture": HOST}},
            {
                **attestation,
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
            },
        ),
        "multi:1",
    )
    return layout


def test_the_platform_is_chosen(store: Store, images: Images) -> None:
    archive = several_platforms().tar()
    images.load(archive)
    assert read(store, images, "multi:1", "arch") == HOST
    images.load(archive, platform=f"linux/{FOREIGN}")
    assert read(store, images, "multi:1", "arch") == FOREIGN
    with pytest.raises(ImageNotFound, match=f"no variant for linux/riscv64; .*linux/{FOREIGN}"):
        images.load(archive, platform="linux/riscv64")


def test_the_only_platform_there_is_will_do(images: Images) -> None:
    layout = Layout()
    layout.image(layer(a="1"), name="foreign:1", architecture=FOREIGN)
    (image,) = images.load(layout.tar())
    assert image.attrs["Architecture"] == FOREIGN
    with pytest.raises(ImageNotFound, match=f"no variant for linux/{HOST}; it has linux/{FOREIGN}"):
        images.load(layout.tar(), platform=f"linux/{HOST}")


def test_variants_that_are_not_there_do_not_matter(images: Images) -> None:
    layout = several_platforms()
    inner = json.loads(layout.files[f"blobs/sha256/{layout.entries[0]['digest'][7:]}"])
    foreign = inner["manifests"][0]["digest"]
    del layout.files[f"blobs/sha256/{foreign[7:]}"]
    assert [image.tags for image in images.load(layout.tar())] == [["multi:1"]]


def test_manifests_without_a_name_and_of_several_platforms_are_one_image(images: Images) -> None:
    layout = Layout()
    for architecture in (FOREIGN, HOST):
        manifest = layout.manifest(layer(arch=architecture), architecture=architecture)
        platform = {"os": "linux", "architecture": architecture}
        layout.add({**manifest, "platform": platform})
    (image,) = images.load(layout.tar())
    assert image.attrs["Architecture"] == HOST


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("tool", []),  # a mere tag, as skopeo writes it
        ("latest", []),
        ("me/tool", ["me/tool:latest"]),
        ("docker.io/library/busybox:1", ["busybox:1"]),
        ("localhost:5000/a/b", ["localhost:5000/a/b:latest"]),
    ],
)
def test_names_of_layouts(images: Images, name: str, tags: list[str]) -> None:
    (image,) = images.load(archives.one_image(name))
    assert image.tags == tags


def test_a_name_moves_to_the_image_that_is_loaded_last(images: Images) -> None:
    first, second = Layout(), Layout()
    former = first.image(layer(a="1"))
    second.image(layer(a="2"))
    told: list[tuple[str, str]] = []
    images.load(first.tar(), renamed=lambda *what: told.append(what))
    images.load(first.tar(), renamed=lambda *what: told.append(what))
    assert told == []
    images.load(second.tar(), renamed=lambda *what: told.append(what))
    assert told == [("test:1", former)]
    assert images.get(former).tags == []


def test_what_is_loaded_again_is_left_alone(
    images: Images, store: Store, contents: Callable[[], list[str]]
) -> None:
    archive = archives.one_image()
    (image,) = images.load(archive)
    before = contents()
    tree = store.layers.tree(image.record.layers[0])
    inode = os.stat(tree).st_ino
    for again in (archive, Pipe(archive)):
        images.load(again)
        assert contents() == before
        assert os.stat(tree).st_ino == inode


def test_damaged_parts_are_restored_by_loading_again(images: Images, store: Store) -> None:
    archive = archives.one_image()
    (image,) = images.load(archive)
    os.unlink(store.blobs.path(image.record.content[-1]))
    store.database.run("UPDATE layers SET boot = 'another'")
    images.load(archive)
    assert read(store, images, "test:1", "hello") == "world"
    images.save("test:1", io.BytesIO())


def test_a_time_beyond_the_reckoning(images: Images) -> None:
    layout = Layout()
    layout.image(layer(a="1"), created="9999-12-31T23:59:59Z")
    (image,) = images.load(layout.tar())
    assert image.attrs["Created"] == "9999-12-31T23:59:59Z"
    assert images.list()[0].summary["Created"] > 0


def test_the_same_archive_at_the_same_time(store: Store, contents: Callable[[], list[str]]) -> None:
    layout = Layout()
    layout.image(*(layer(**{f"f{n}": str(n)}) for n in range(6)))
    archive = layout.tar()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            own = Store.open(store.root)
            for _ in range(3):
                Images(own).load(archive)
            own.database.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len([name for name in contents() if name.startswith("layers/")]) == 6
    assert len([name for name in contents() if name.startswith("blobs/")]) == 8
    assert not [name for name in contents() if name.startswith(("ingest/", "run/"))]
