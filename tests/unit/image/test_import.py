"""Making images of root file systems."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from proa.engine.images import Images
from proa.lean import clock
from proa.store.store import Store
from tests.unit.image.archives import FOREIGN, HOST, digest, layer

DATA = layer(**{"etc/os-release": "ID=test"})


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress, bz2.compress, lzma.compress]
)
def test_every_compression(images: Images, store: Store, pack: Callable[[bytes], bytes]) -> None:
    image = images.import_(io.BytesIO(pack(DATA)), "root:1")
    assert image.record.layers == (digest(DATA),)
    tree = store.layers.tree(image.record.layers[0])
    assert Path(tree, "etc/os-release").read_text() == "ID=test"
    sink = io.BytesIO()
    images.save("root:1", sink)
    again = Images(Store.open(f"{store.root}-again"))
    assert again.load(sink.getvalue())[0].id == image.id


def test_what_it_says_of_itself(images: Images) -> None:
    before = time.time_ns()
    image = images.import_(
        DATA,
        "quay.io/me/root",
        changes=['CMD ["sh"]', "ENV A=1", "EXPOSE 80"],
        message="made by hand",
        platform=f"linux/{FOREIGN}",
    )
    facts = image.attrs
    assert image.tags == ["quay.io/me/root:latest"]
    assert facts["Architecture"] == FOREIGN
    assert facts["Config"]["Cmd"] == ["sh"]
    assert facts["Config"]["Env"] == ["A=1"]
    assert facts["Config"]["ExposedPorts"] == {"80/tcp": {}}
    assert facts["Comment"] == "made by hand"
    assert before <= clock.to_nanoseconds(facts["Created"]) <= time.time_ns()
    (step,) = image.history()
    assert (step["Comment"], step["CreatedBy"]) == ("made by hand", "")


def test_without_a_name(images: Images) -> None:
    image = images.import_(DATA)
    assert image.tags == []
    assert image.attrs["Comment"] == "Imported from -"
    assert image.attrs["Architecture"] == HOST


def test_the_same_twice_shares_the_layer(images: Images, contents: Callable[[], list[str]]) -> None:
    first = images.import_(DATA, "a")
    second = images.import_(DATA, "b")
    assert first.id != second.id
    assert len([name for name in contents() if name.startswith("layers/")]) == 1
    images.remove("a")
    images.remove("b")
    assert contents() == []


def test_an_empty_root(images: Images, store: Store) -> None:
    image = images.import_(layer(), "empty")
    assert os.listdir(store.layers.tree(image.record.layers[0])) == []
