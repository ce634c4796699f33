"""Archives that are damaged, wrong or made to harm: refused in one line, and nothing stays."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proa.engine.images import Images
from proa.errors import (
    CorruptData,
    HostileData,
    ImageNotFound,
    InvalidArgument,
    LimitExceeded,
    ProaError,
    Unsupported,
)
from proa.store.store import Store
from tests.unit.image import archives
from tests.unit.image.archives import CONFIG, LAYER, MANIFEST, Layout, config, dumps, layer, tar

CLEAN = ("blobs/sha256", "ingest", "layers", "run/leases", "run/locks")


@pytest.fixture
def store(engine_root: str) -> Iterator[Store]:
    store = Store.open(engine_root)
    yield store
    store.database.close()


def refused(
    store: Store, archive: bytes, kind: type[ProaError], *words: str, platform: str | None = None
) -> None:
    """Loading it from a file, from a pipe and compressed raises `kind`, and leaves nothing."""
    path = f"{store.root}-archive"
    with open(path, "wb") as file:
        file.write(archive)
    packed = gzip.compress(archive, 1)
    for source in (path, _Pipe(archive), packed):
        with pytest.raises(kind) as error:
            Images(store).load(source, platform=platform)
        message = str(error.value)
        for word in words:
            assert word in message
        assert "\n" not in message
        assert len(message) < 1000
        assert left(store) == []
        assert Images(store).list() == []
    os.unlink(path)


def left(store: Store) -> list[str]:
    return [f"{place}/{name}" for place in CLEAN for name in os.listdir(store.path(place))]


class _Pipe:
    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self._data.read(min(size, 65536))


def one() -> tuple[Layout, bytes]:
    """A right image, and its layer's blob."""
    layout = Layout()
    data = layer(hello="world" * 1000)
    layout.image(data)
    return layout, archives.compress(data, "gzip")


def place(data: bytes) -> str:
    return f"blobs/sha256/{archives.hexdigest(data)}"


# -- the archive itself


@pytest.mark.parametrize("size", [1, 100, 511, 512, 700, 1500])
def test_cut_off(store: Store, size: int) -> None:
    archive = one()[0].tar()[:size]
    refused(store, archive, CorruptData, "archive")


def test_cut_off_anywhere(store: Store) -> None:
    archive = one()[0].tar()
    end = len(archive.rstrip(b"\0"))
    for size in range(1024, end, 512):
        with pytest.raises(CorruptData):
            Images(store).load(archive[:size])
        assert left(store) == []


def test_noise(store: Store) -> None:
    refused(store, b"no archive at all" * 100, CorruptData, "not a tar archive")
    refused(store, b"", CorruptData, "no images")
    refused(store, bytes(10240), CorruptData, "no images")


def test_a_root_file_system(store: Store) -> None:
    refused(store, layer(passwd="root:x:0:0"), CorruptData, "proa import")


def test_a_damaged_header(store: Store) -> None:
    archive = bytearray(one()[0].tar())
    archive[3] ^= 1
    refused(store, bytes(archive), CorruptData, "checksum")


def test_a_damaged_compression(store: Store) -> None:
    packed = bytearray(gzip.compress(one()[0].tar()))
    packed[len(packed) // 2] ^= 255
    with pytest.raises(CorruptData, match="the archive"):
        Images(store).load(bytes(packed))
    with pytest.raises(CorruptData, match="ends too early"):
        Images(store).load(bytes(gzip.compress(one()[0].tar())[:-100]))
    assert left(store) == []


def test_names_out_of_the_archive(store: Store) -> None:
    for name in ("../evil", "/etc/evil", "a/../../evil"):
        refused(store, tar((name, b"x"), *one()[0].all().items()), HostileData, name)


def test_two_members_of_one_name(store: Store) -> None:
    files = list(one()[0].all().items())
    refused(store, tar(*files, files[0]), CorruptData, "two members", files[0][0])
    refused(store, tar(*files, (f"./{files[0][0]}", b"")), CorruptData, "two members")


def test_links_out_of_the_archive(store: Store) -> None:
    for target in ("/etc/passwd", "../../etc/passwd"):
        archive = tar(("oci-layout", b"{}"), ("index.json", target))
        refused(store, archive, CorruptData, "archive")
        data = layer(a="1")
        settings = dumps(config(data))
        manifest = [{"Config": "c.json", "RepoTags": None, "Layers": ["a/layer.tar"]}]
        archive = tar(
            ("c.json", settings), ("a/layer.tar", target), ("manifest.json", dumps(manifest))
        )
        refused(store, archive, HostileData, "a/layer.tar" if target[0] == "/" else "outside")


def test_links_in_circles(store: Store) -> None:
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": []}]
    archive = tar(("c.json", "d.json"), ("d.json", "c.json"), ("manifest.json", dumps(manifest)))
    refused(store, archive, CorruptData, "too many links", "c.json")


def test_members_that_are_no_files(store: Store) -> None:
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": []}]
    for kind in (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
        archive = tar(("c.json", b"", kind), ("manifest.json", dumps(manifest)))
        refused(store, archive, CorruptData, "c.json")


def test_an_impossible_size(store: Store) -> None:
    archive = bytearray(tar(("manifest.json", b"[]")))
    archive[124:136] = b"\x80" + (1 << 70).to_bytes(11, "big")
    archive[148:156] = b" " * 8
    archive[148:156] = b"%06o\0 " % sum(archive[:512])
    refused(store, bytes(archive), CorruptData, "size")


def test_a_size_that_the_disk_does_not_have(store: Store) -> None:
    archive = bytearray(tar(("blobs/sha256/" + "a" * 64, b"")))
    archive[124:136] = b"\x80" + (1 << 50).to_bytes(11, "big")
    archive[148:156] = b" " * 8
    archive[148:156] = b"%06o\0 " % sum(archive[:512])
    refused(store, bytes(archive), CorruptData, "cut off")


def test_too_many_members(store: Store) -> None:
    header = tar(("", b""))[:512]
    archive = b"".join(header for _ in range(100_001))
    with pytest.raises(ProaError):
        Images(store).load(archive)
    assert left(store) == []


# -- its documents


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (b"", CorruptData, "not JSON"),
        (b"{}", CorruptData, "schemaVersion"),
        (b"[]", CorruptData, "not a JSON object"),
        (b"[" * 100_000, ProaError, "index.json"),
        (b'{"schemaVersion": 2, "manifests": {}}', CorruptData, "not an array"),
        (b'{"schemaVersion": 2, "manifests": [1]}', CorruptData, "array of objects"),
        (b'{"schemaVersion": 2, "manifests": []}', CorruptData, "no images"),
        (b'{"schemaVersion": 2, "manifests": [], "manifests": []}', HostileData, "two members"),
        (b'{"schemaVersion": 2, "x": "\\ud800"}', CorruptData, "surrogate"),
        (b'{"schemaVersion": 2, "x": NaN}', CorruptData, "index.json"),
        (b"\xff\xfe", CorruptData, "not JSON"),
        (b'{"schemaVersion": 2, "x": "' + b"a" * (4 << 20) + b'"}', LimitExceeded, "index.json"),
    ],
)
def test_index(store: Store, text: bytes, kind: type[ProaError], words: str) -> None:
    archive = tar(("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), ("index.json", text))
    refused(store, archive, kind, words)


def test_another_version_of_the_layout(store: Store) -> None:
    layout = one()[0]
    layout.files["oci-layout"] = b'{"imageLayoutVersion": "2.0.0"}'
    refused(store, layout.tar(), Unsupported, "2.0.0")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (b"{}", CorruptData, "not an array"),
        (b"[]", CorruptData, "names no images"),
        (b"[[]]", CorruptData, "array of objects"),
        (b"[{}]", CorruptData, "Config"),
        (b'[{"Config": "a", "Config": "b"}]', HostileData, "two members named 'Config'"),
        (b'[{"Config": "../../etc/passwd"}]', HostileData, "../../etc/passwd"),
        (b'[{"Config": "/etc/passwd"}]', HostileData, "/etc/passwd"),
        (b'[{"Config": "gone.json"}]', CorruptData, "gone.json"),
        (b'[{"Config": 1}]', CorruptData, "not a string"),
        (b"[" + b"{}," * 20_000 + b"{}]", LimitExceeded, "more than"),
        (b"[" + b" " * (4 << 20) + b"]", LimitExceeded, "manifest.json"),
        (b"[" * 200_000, ProaError, "manifest.json"),
    ],
)
def test_manifests_of_docker(store: Store, text: bytes, kind: type[ProaError], words: str) -> None:
    refused(store, tar(("manifest.json", text)), kind, words)


def test_layers_of_docker(store: Store) -> None:
    data = layer(a="1")
    build = archives.docker_archive
    refused(store, build(data, Layers=[]), CorruptData, "0 layers", "1 in its config")
    refused(store, build(data, Layers=["gone"]), CorruptData, "gone")
    refused(store, build(data, Layers=["../../x"]), HostileData, "../../x")
    refused(store, build(data, settings=config(layer(b="2"))), CorruptData, "digest")
    refused(store, build(data, names=["UPPER:1"]), CorruptData, "UPPER")
    refused(store, build(data, names=["a:1\n2"]), CorruptData, "a:1")
    refused(store, build(data, Config="0" * 64 + ".json"), CorruptData, "0" * 64)


def test_a_config_under_another_digest(store: Store) -> None:
    settings = dumps(config())
    name = "0" * 64 + ".json"
    manifest = [{"Config": name, "RepoTags": None, "Layers": []}]
    archive = tar((name, settings), ("manifest.json", dumps(manifest)))
    refused(store, archive, CorruptData, "does not match its digest")


# -- its blobs


def test_a_blob_is_missing(store: Store) -> None:
    for name in one()[0].files:
        if name.startswith("blobs/"):
            layout = one()[0]
            del layout.files[name]
            refused(store, layout.tar(), CorruptData, name)


def test_a_blob_is_another_one(store: Store) -> None:
    layout, _ = one()
    for name in layout.files:
        if name.startswith("blobs/"):
            changed = one()[0]
            data = bytearray(changed.files[name])
            data[-1] ^= 1
            changed.files[name] = bytes(data)
            refused(store, changed.tar(), CorruptData, name[13:])


def test_a_layer_of_another_length(store: Store) -> None:
    for change in (lambda data: data[:-1], lambda data: data + b"\0"):
        layout, blob = one()
        layout.files[place(blob)] = change(blob)
        refused(store, layout.tar(), CorruptData, archives.hexdigest(blob), "bytes")


def test_a_layer_that_is_not_the_one_in_the_config(store: Store) -> None:
    data = layer(a="1")
    for settings in (config(layer(b="2")), config(data, data), config()):
        layout = Layout()
        layout.image(data, settings=settings)
        refused(store, layout.tar(), CorruptData, "layer")


def test_a_blob_that_is_not_of_the_layer_that_is_here_already(store: Store) -> None:
    """The directory of a known layer is right whatever the archive says; its blob is not."""
    images = Images(store)
    known = layer(known="k")
    good = Layout()
    good.image(known, name="good:1")
    images.load(good.tar())
    evil = Layout()
    manifest = evil.manifest(layer(evil="e"), settings=config(known))
    evil.add(manifest, "evil:1")
    both = Layout()
    both.image(layer(evil="e"), name="other:1")
    for _ in range(2):
        with pytest.raises(CorruptData, match=archives.digest(known)):
            images.load(evil.tar())
        # the blob may come by an image to which it does belong
        images.load(both.tar())
    data = gzip.compress(layer(evil="e"))
    docker = archives.docker_archive(data, settings=config(known))
    with pytest.raises(CorruptData, match=archives.digest(known)):
        images.load(docker)
    assert sorted(tag for image in images.list() for tag in image.tags) == ["good:1", "other:1"]


@pytest.mark.parametrize(
    "data",
    [
        b"this is no tar" * 100,
        layer(a="1")[:700],
        gzip.compress(layer(a="1" * 5000))[:-20],
        b"\x1f\x8b\x08" + b"\xff" * 200,
        b"\x28\xb5\x2f\xfd" + b"\xff" * 200,
        b"",
    ],
)
def test_layers_that_are_none(store: Store, data: bytes) -> None:
    layout = Layout()
    blob = layout.blob(f"{LAYER}+gzip", data)
    settings = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"diff_ids": ["sha256:" + "1" * 64]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": layout.blob(CONFIG, dumps(settings)),
        "layers": [blob],
    }
    layout.add(layout.blob(MANIFEST, dumps(manifest)), "bad:1")
    refused(store, layout.tar(), CorruptData)


def test_hostile_layers(store: Store) -> None:
    outside = f"{store.root}-victim"
    for members in (
        [("../../../victim", b"x")],
        [("link", ".." + outside), ("link/victim", b"x")],
        [("link", os.path.dirname(outside)), (f"link/{os.path.basename(outside)}", b"x")],
    ):
        layout = Layout()
        layout.image(tar(*members))
        try:
            Images(store).load(layout.tar())
        except HostileData:
            assert left(store) == []
        else:
            Images(store).remove("test:1")
        assert not os.path.lexists(outside)
        assert left(store) == []


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"rootfs": {"type": "windows", "diff_ids": []}}, CorruptData, "layers"),
        ({"rootfs": {"type": "layers", "diff_ids": ["md5:1"]}}, CorruptData, "md5"),
        ({"config": {"Env": ["\0=x"]}}, CorruptData, "environment"),
        ({"config": {"Cmd": "sh"}}, CorruptData, "Cmd"),
        ({"created": "yesterday"}, CorruptData, "yesterday"),
        ({"config": []}, CorruptData, "config"),
        ({"history": [1]}, CorruptData, "history"),
    ],
)
def test_configs(store: Store, change: dict[str, Any], kind: type[ProaError], words: str) -> None:
    layout = Layout()
    layout.image(layer(a="1"), settings={**config(layer(a="1")), **change})
    refused(store, layout.tar(), kind, words)


def test_manifests(store: Store) -> None:
    def with_change(change: Callable[[dict[str, Any]], None]) -> bytes:
        layout, _ = one()
        described = layout.entries[0]
        document = json.loads(layout.files.pop(f"blobs/sha256/{described['digest'][7:]}"))
        change(document)
        layout.entries = []
        layout.add(layout.blob(MANIFEST, dumps(document)), "test:1")
        return layout.tar()

    refused(store, with_change(lambda m: m.update(schemaVersion=1)), Unsupported, "schema version")
    refused(store, with_change(lambda m: m.pop("config")), CorruptData, "config")
    refused(store, with_change(lambda m: m.pop("layers")), CorruptData, "0 layers")
    refused(store, with_change(lambda m: m["layers"].__imul__(3000)), LimitExceeded, "3000 layers")
    refused(
        store,
        with_change(lambda m: m["config"].update(mediaType="application/vnd.helm.config")),
        Unsupported,
        "artifact",
    )
    refused(
        store, with_change(lambda m: m["layers"][0].update(mediaType="text/plain")), Unsupported
    )
    refused(store, with_change(lambda m: m["layers"][0].update(size=-1)), CorruptData, "size")
    refused(
        store,
        with_change(lambda m: m["layers"][0].update(digest="sha256:../../../etc/passwd")),
        CorruptData,
        "digest",
    )


def test_indexes_that_lead_nowhere(store: Store) -> None:
    layout = Layout()
    inner = layout.manifest(layer(a="1"))
    for _ in range(20):
        inner = layout.index(inner)
    layout.add(inner, "deep:1")
    refused(store, layout.tar(), LimitExceeded, "nested too deeply")


def test_a_good_image_beside_a_bad_one(store: Store) -> None:
    """All images of an archive are loaded, or none is."""
    layout = Layout()
    layout.image(layer(a="1"), name="good:1")
    layout.image(layer(b="2"), name="bad:1", settings=config(layer(c="3")))
    refused(store, layout.tar(), CorruptData)


def test_a_bad_archive_leaves_what_was_there(store: Store) -> None:
    images = Images(store)
    images.load(archives.one_image("good:1"))
    before = left(store)
    layout, blob = one()
    layout.files[place(blob)] = bytes(len(blob))
    for source in (layout.tar(), _Pipe(layout.tar())):
        with pytest.raises(CorruptData):
            images.load(source)
    assert left(store) == before
    assert [image.tags for image in images.list()] == [["good:1"]]


def test_root_file_systems(store: Store) -> None:
    images = Images(store)
    good = layer(a="1" * 100_000)
    packed = gzip.compress(good)
    for data in (b"noise" * 1000, good[:2000], packed[:-50], packed[:-4] + b"abcd"):
        for source in (data, _Pipe(data)):
            with pytest.raises(CorruptData):
                images.import_(source, "bad:1")
            assert left(store) == []
    with pytest.raises(InvalidArgument):
        images.import_(good, "bad:1", changes=["RUN true"])
    with pytest.raises(InvalidArgument):
        images.import_(good, "UPPER")
    with pytest.raises(InvalidArgument):
        images.import_(good, platform="no/such")
    assert left(store) == []
    assert images.list() == []


def test_what_is_not_in_the_archive_is_not_found(store: Store) -> None:
    refused(store, one()[0].tar(), ImageNotFound, "linux/riscv64", platform="linux/riscv64")
