"""Finding, listing and describing images as Docker does."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from typing import Any

import pytest

from proa.engine.images import Images
from proa.errors import AmbiguousName, ImageNotFound, InvalidArgument
from proa.store.store import Store
from tests.unit.image import archives
from tests.unit.image.archives import HOST, Layout, layer


@pytest.fixture
def stock(images: Images) -> Images:
    layout = Layout()
    base = layer(base="b")
    layout.image(
        base, name="alpine:3.20", created="2024-01-01T00:00:00Z", Labels={"team": "a", "x": "1"}
    )
    layout.image(
        base, layer(n="1"), name="quay.io/me/tool:1", created="2025-01-01T00:00:00Z",
        Labels={"team": "b"},
    )  # fmt: skip
    layout.image(layer(n="2"), name=None, created="2026-01-01T00:00:00.5Z")
    images.load(layout.tar())
    images.tag("alpine:3.20", "alpine:latest")
    return images


def names(images: Images, *arguments: str, **filters: Any) -> list[list[str]]:
    return [image.tags for image in images.list(*arguments, filters=filters)]


def test_the_newest_comes_first(stock: Images) -> None:
    assert names(stock) == [[], ["quay.io/me/tool:1"], ["alpine:3.20", "alpine:latest"]]
    assert [image.short_id for image in stock.list()] == [
        image.id[7:19] for image in stock.list(all=True)
    ]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"dangling": True}, [[]]),
        ({"dangling": "false"}, [["quay.io/me/tool:1"], ["alpine:3.20", "alpine:latest"]]),
        ({"label": "team"}, [["quay.io/me/tool:1"], ["alpine:3.20", "alpine:latest"]]),
        ({"label": "team=b"}, [["quay.io/me/tool:1"]]),
        ({"label": ["team", "x=1"]}, [["alpine:3.20", "alpine:latest"]]),
        ({"reference": "al*"}, [["alpine:3.20", "alpine:latest"]]),
        ({"reference": "alpine"}, [["alpine:3.20", "alpine:latest"]]),
        ({"reference": "alpine:3.*"}, [["alpine:3.20"]]),
        ({"reference": "*:latest"}, [["alpine:latest"]]),
        ({"reference": "*"}, [["alpine:3.20", "alpine:latest"]]),
        ({"reference": "*/*/*"}, [["quay.io/me/tool:1"]]),
        ({"reference": "alpin[a-f]:[!0-2].2?"}, []),
        ({"reference": "alpin[a-f]:[^0-2].2?"}, [["alpine:3.20"]]),
        ({"reference": ["alpine:3.20", "*/me/*"]}, [["quay.io/me/tool:1"], ["alpine:3.20"]]),
        ({"before": "quay.io/me/tool:1"}, [["alpine:3.20", "alpine:latest"]]),
        ({"since": "alpine"}, [[], ["quay.io/me/tool:1"]]),
        ({"until": "2025-06-01"}, [["quay.io/me/tool:1"], ["alpine:3.20", "alpine:latest"]]),
        ({"until": "1717200000"}, [["alpine:3.20", "alpine:latest"]]),
        ({"until": "2024-06-01T00:00:00Z"}, [["alpine:3.20", "alpine:latest"]]),
        ({"reference": "gone"}, []),
    ],
)
def test_filters(stock: Images, filters: dict[str, Any], found: list[list[str]]) -> None:
    assert names(stock, **filters) == found


def test_filters_that_there_are_not(stock: Images) -> None:
    for filters in (
        {"color": "red"},
        {"dangling": "maybe"},
        {"until": "soon"},
        {"reference": "a[b"},
    ):
        with pytest.raises(InvalidArgument, match=next(iter(filters))):
            stock.list(filters=filters)
    with pytest.raises(ImageNotFound, match="gone"):
        stock.list(filters={"since": "gone"})


def test_by_name(stock: Images) -> None:
    assert names(stock, "alpine:3.20") == [["alpine:3.20"]]
    assert names(stock, "docker.io/library/alpine") == [["alpine:3.20", "alpine:latest"]]


@pytest.mark.parametrize(
    "name",
    [
        *("alpine", "alpine:latest", "library/alpine", "docker.io/library/alpine:3.20"),
        *("index.docker.io/library/alpine", "alpine:3.20@{manifest}", "alpine@{manifest}"),
        *("other:tag", "{id}", "{digits}", "{short}", "sha256:{short}", "{manifest}"),
        "docker.io/library/alpine:gone@{manifest}",
    ],
)
def test_all_its_names(stock: Images, name: str) -> None:
    image = stock.get("alpine:3.20")
    stock.tag("alpine:3.20", "other:tag")
    id = image.id
    name = name.format(id=id, digits=id[7:], short=id[7:15], manifest=image.record.manifest)
    assert stock.get(name) == image


@pytest.mark.parametrize(
    "name",
    ["gone", "alpine:gone", "other/alpine", "f" * 64, "sha256:" + "f" * 64, "0000",
     "gone@sha256:" + "1" * 64, "alpine@sha256:" + "1" * 64],
)  # fmt: skip
def test_names_of_nothing(stock: Images, name: str) -> None:
    with pytest.raises(ImageNotFound, match=f"no such image: {name}"):
        stock.get(name)


@pytest.mark.parametrize("name", ["UPPER", "a b", "", "a:", "a@sha256:12", ":tag", "../x", "a//b"])
def test_names_that_are_none(stock: Images, name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid reference"):
        stock.get(name)


def test_short_ids_of_several(images: Images) -> None:
    layout = Layout()
    for number in range(40):
        layout.image(layer(n=str(number)), name=None)
    images.load(layout.tar())
    ids = sorted(image.id[7:] for image in images.list())
    twins = next(first for first, second in pairwise(ids) if first[0] == second[0])
    with pytest.raises(AmbiguousName, match="several images"):
        images.get(twins[0])
    # a name wins over ids that begin like it
    images.tag(twins, twins[0])
    assert images.get(twins[0]).id[7:] == twins


def test_tags(stock: Images) -> None:
    tagged = stock.tag("alpine:3.20", "localhost:5000/a/b")
    assert tagged.tags == ["alpine:3.20", "alpine:latest", "localhost:5000/a/b:latest"]
    stock.tag("quay.io/me/tool:1", "alpine")
    assert stock.get("alpine").tags == ["alpine:latest", "quay.io/me/tool:1"]
    image = stock.get("alpine:3.20")
    assert image.tag("mine", "2")
    assert "mine:2" in image.tags
    for name, words in (
        ("a@sha256:" + "1" * 64, "refusing to create a tag with a digest reference"),
        ("sha256:abc", "refusing to create an ambiguous tag"),
        ("UPPER", "invalid reference"),
        ("a:" + "b" * 129, "invalid reference"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            stock.tag("alpine", name)
    with pytest.raises(ImageNotFound):
        stock.tag("gone", "here")


def test_what_inspect_tells(stock: Images, store: Store) -> None:
    image = stock.get("quay.io/me/tool:1")
    store.images.refer(f"quay.io/me/tool@{image.record.manifest}", image.id)
    image.reload()
    facts = image.attrs
    manifest = image.record.manifest
    assert facts["Id"] == image.id
    assert facts["RepoTags"] == ["quay.io/me/tool:1"]
    assert facts["RepoDigests"] == image.digests == [f"quay.io/me/tool@{manifest}"]
    assert (facts["Os"], facts["Architecture"]) == ("linux", HOST)
    assert facts["Created"] == "2025-01-01T00:00:00Z"
    assert facts["Config"]["Cmd"] == ["sh"]
    assert facts["Config"]["Entrypoint"] is None
    assert facts["Config"]["Labels"] == image.labels == {"team": "b"}
    assert facts["RootFS"] == {"Type": "layers", "Layers": list(image.record.layers)}
    data = facts["GraphDriver"]["Data"]
    assert os.listdir(data["UpperDir"]) == ["n"]
    assert os.listdir(data["LowerDir"]) == ["base"]
    assert facts["Descriptor"]["digest"] == manifest
    assert facts["Size"] == image.size == 8192
    assert facts["Metadata"]["LastTagTime"].startswith(time.strftime("%Y-", time.gmtime()))
    assert stock.inspect("quay.io/me/tool:1") == facts


def test_what_a_list_tells(stock: Images) -> None:
    summary = stock.get("alpine").summary
    assert summary["RepoTags"] == ["alpine:3.20", "alpine:latest"]
    assert summary["Created"] == 1_704_067_200
    assert summary["Labels"] == {"team": "a", "x": "1"}
    assert summary["Containers"] == 0


def test_history(images: Images) -> None:
    data = layer(a="1")
    settings = archives.config(data)
    settings["history"] = [
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD a", "comment": "first"},
        {"created": "2024-01-02T00:00:00Z", "created_by": "CMD b", "empty_layer": True},
    ]
    layout = Layout()
    id = layout.image(data, settings=settings)
    images.load(layout.tar())
    assert images.history("test:1") == [
        {"Id": id, "Created": 1_704_153_600, "CreatedBy": "CMD b", "Tags": ["test:1"],
         "Size": 0, "Comment": ""},
        {"Id": "<missing>", "Created": 1_704_067_200, "CreatedBy": "ADD a", "Tags": None,
         "Size": 4096, "Comment": "first"},
    ]  # fmt: skip


def test_history_that_tells_too_little_or_too_much(images: Images) -> None:
    data = layer(a="1")
    for history, count in (([], 1), ([{}] * 3, 3), (None, 1)):
        layout = Layout()
        layout.image(data, settings={**archives.config(data), "history": history})
        images.load(layout.tar())
        assert len(images.history("test:1")) == count
