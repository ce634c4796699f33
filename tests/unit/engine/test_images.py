"""`engine.images`, as programs written for Docker's library know it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import proa
from proa import Engine, Image, ImageNotFound
from tests.support.installation import REPOSITORY
from tests.unit.image import archives
from tests.unit.image.archives import Layout, layer


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(str(tmp_path / "root")) as engine:
        yield engine


def test_a_whole_life(engine: Engine, tmp_path: Path) -> None:
    layout = Layout()
    id = layout.image(layer(a="1"), name="me/app:1", Labels={"team": "a"})
    (image,) = engine.images.load(layout.tar())
    assert isinstance(image, Image)
    assert (image.id, image.short_id) == (id, id[7:19])
    assert image.tags == ["me/app:1"]
    assert image.labels == {"team": "a"}
    assert image.attrs["RepoTags"] == ["me/app:1"]
    assert repr(image) == "<Image me/app:1>"
    assert image == engine.images.get("me/app:1")
    assert image in {engine.images.get(id)}
    assert image != id
    assert image.tag("other", tag="2")
    assert sorted(image.tags) == ["me/app:1", "other:2"]
    assert [found.id for found in engine.images.list("other")] == [id]
    assert engine.images.list(filters={"label": "team=b"}) == []
    (tmp_path / "saved.tar").write_bytes(b"".join(image.save(named="me/app:1")))
    image.remove(force=True)
    with pytest.raises(ImageNotFound):
        image.reload()
    assert engine.images.list() == []
    assert engine.images.load(str(tmp_path / "saved.tar"))[0].tags == ["me/app:1"]
    assert engine.images.prune() == {"ImagesDeleted": None, "SpaceReclaimed": 0}


def test_streams_bytes_and_paths(engine: Engine, tmp_path: Path) -> None:
    data = archives.one_image()
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (data, bytearray(data), io.BytesIO(data), file, str(path)):
            assert engine.images.load(source)[0].tags == ["test:1"]
    # a file from where it stands, whatever Python has read ahead
    path.write_bytes(b"before" + data)
    with path.open("rb") as file:
        assert file.read(6) == b"before"
        assert engine.images.load(file)[0].tags == ["test:1"]
        assert not file.closed


def test_two_engines_share_a_root(engine: Engine) -> None:
    engine.images.load(archives.one_image())
    with Engine(engine.root) as other:
        other.images.tag("test:1", "shared:1")
    assert engine.images.get("shared:1").tags == ["shared:1", "test:1"]


def test_public_names() -> None:
    assert proa.Image is Image
    assert issubclass(ImageNotFound, proa.NotFound)


def test_finding_an_image_imports_little(engine: Engine) -> None:
    """A container starts in the time that `json` and `dataclasses` take to be imported."""
    engine.images.load(archives.one_image())
    script = (
        f"import sys; sys.path.insert(0, {os.path.join(REPOSITORY, 'src')!r});"
        "from proa.engine.images import Images; from proa.store.store import Store;"
        f"assert Images(Store.open({engine.root!r})).get('test:1').tags == ['test:1'];"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"os", "re", "json", "typing", "dataclasses", "tarfile", "hashlib"}
    assert not [name for name in loaded if name.startswith("proa.image")]
