"""Pulling from registries that break off, lie, or are told to be hostile; and kill -9 meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proa import (
    CorruptData,
    Engine,
    HostileData,
    ImageNotFound,
    LimitExceeded,
    ProaError,
    Unavailable,
    Unsupported,
)
from tests.support import images, scripted
from tests.support.command import Command
from tests.support.scripted import OCI, Handler, Registry

pytestmark = pytest.mark.root

SIZE = 3 << 20


@pytest.fixture
def registry() -> Iterator[Registry]:
    with scripted.running() as server:
        yield server


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, no settings of this machine's."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def engine(engine_root: str) -> Iterator[Engine]:
    with Engine(engine_root) as engine:
        yield engine


def noise(seed: int, size: int = SIZE) -> bytes:
    """A layer that cannot be compressed."""
    data = random.Random(seed).randbytes(size)
    return images.layer([images.Entry(f"noise-{seed}", data)])


def put(registry: Registry, tag: str = "1", count: int = 2) -> list[str]:
    """An image of `count` large layers; their digests."""
    manifest = registry.put_image(tag, [noise(number) for number in range(count)])
    return [layer["digest"] for layer in manifest["layers"]]


def is_complete(engine: Engine, count: int = 2) -> bool:
    (image,) = engine.images.list()
    store = engine.store
    for number, layer in enumerate(image.record.layers):
        with open(f"{store.layers.tree(layer)}/noise-{number}", "rb") as file:
            assert file.read() == random.Random(number).randbytes(SIZE)
    return len(image.record.layers) == count


def nothing(engine: Engine) -> bool:
    """Whether nothing came into the store, but parts of blobs to go on with."""
    store = engine.store
    places = ("blobs/sha256", "layers", "run/leases", "run/locks")
    left = [name for place in places for name in os.listdir(store.path(place))]
    left += [name for name in os.listdir(store.path("ingest")) if "partial-" not in name]
    return not engine.images.list() and not [name for name in left if not name.startswith(".")]


def first(times: int, wanted: str, act: Callable[[Handler], None]) -> Callable[[Handler], bool]:
    """A fault that happens to the first requests whose path has `wanted`."""
    left = [times]

    def fault(request: Handler) -> bool:
        if wanted not in request.path or not left[0]:
            return False
        left[0] -= 1
        act(request)
        return True

    return fault


def wait(registry: Registry) -> None:
    registry.ended.wait(1)


def hang_up(request: Handler) -> None:
    request.close_connection = True


@pytest.mark.parametrize("stage", ["/manifests/1", "/manifests/sha256", "/blobs/"])
def test_connections_that_are_dropped_before_an_answer(
    registry: Registry, engine: Engine, stage: str
) -> None:
    put(registry)
    media_type, data = registry.manifests["1"]
    entry = {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "size": len(data),
    }
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [entry]}
    registry.put_manifest("1", json.dumps(index).encode(), f"{OCI}.index.v1+json")
    registry.faults.append(first(2, stage, hang_up))
    engine.images.pull(f"{registry.host}/a", "1")
    assert is_complete(engine)


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_connections_that_break_within_a_blob(
    registry: Registry, engine: Engine, ranges: bool
) -> None:
    digests = put(registry)

    def break_off(request: Handler) -> None:
        request.blob(digests[1], stop=SIZE // 2, ranges=ranges)

    registry.faults.append(first(2, digests[1], break_off))
    if not ranges:
        registry.faults.append(
            lambda request: (
                digests[1] in request.path and request.blob(digests[1], ranges=False) is None
            )
        )
    engine.images.pull(f"{registry.host}/a", "1")
    assert is_complete(engine)
    asked = [headers.get("range") for _, path, headers in registry.requests if digests[1] in path]
    assert len(asked) == 3 and asked[0] is None
    # it went on from where it was: the second time, half of what was left was sent
    assert asked[1] == f"bytes={SIZE // 2}-"


@pytest.mark.parametrize("status", [429, 503, 500])
def test_registries_that_ask_for_patience(registry: Registry, engine: Engine, status: int) -> None:
    put(registry)
    seen: list[float] = []

    def later(request: Handler) -> None:
        seen.append(time.monotonic())
        request.answer(status, b"", {"Retry-After": "1"} if status == 429 else {})

    for stage in ("/manifests/", "/blobs/"):
        registry.faults.append(first(1, stage, later))
    began = time.monotonic()
    engine.images.pull(f"{registry.host}/a", "1")
    assert is_complete(engine) and len(seen) == 2
    if status == 429:
        assert time.monotonic() - began >= 2  # no shorter than it was told to wait


def test_a_registry_that_asks_for_too_much_patience(registry: Registry, engine: Engine) -> None:
    put(registry)
    registry.faults.append(
        first(99, "/manifests/", lambda request: request.answer(429, b"", {"Retry-After": "9999"}))
    )
    with pytest.raises(Unavailable, match="asked too often"):
        engine.images.pull(f"{registry.host}/a", "1")
    assert registry.count("GET", "/manifests/") == 1


def test_a_blob_that_is_never_whole(registry: Registry, engine: Engine) -> None:
    digests = put(registry)
    registry.blobs[digests[0]] = registry.blobs[digests[0]][: SIZE // 2]
    with pytest.raises(CorruptData, match=r"has .* bytes in the registry; its descriptor tells"):
        engine.images.pull(f"{registry.host}/a", "1")
    assert nothing(engine)


def test_other_bytes_than_the_digest_s(registry: Registry, engine: Engine) -> None:
    digests = put(registry)
    good = registry.blobs[digests[0]]
    registry.blobs[digests[0]] = good[:-600] + b"x" + good[-599:]
    with pytest.raises(CorruptData, match="it was damaged or replaced"):
        engine.images.pull(f"{registry.host}/a", "1")
    assert nothing(engine)
    # what was damaged is not kept to be gone on with
    registry.blobs[digests[0]] = good
    engine.images.pull(f"{registry.host}/a", "1")
    assert is_complete(engine)


def test_a_layer_that_is_not_the_config_s(registry: Registry, engine: Engine) -> None:
    layers = [noise(0), noise(1)]
    registry.put_image("1", layers, [layers[1], layers[0]])
    with pytest.raises(CorruptData, match="has the content of"):
        engine.images.pull(f"{registry.host}/a", "1")
    assert nothing(engine)


def test_another_manifest_than_the_digest_s(registry: Registry, engine: Engine) -> None:
    put(registry)
    put(registry, "2", 1)
    digest = f"sha256:{hashlib.sha256(registry.manifests['1'][1]).hexdigest()}"
    registry.manifests[digest] = registry.manifests["2"]
    with pytest.raises(CorruptData, match=f"not {digest}"):
        engine.images.pull(f"{registry.host}/a@{digest}")

    def claim(request: Handler) -> None:
        media_type, data = registry.manifests["1"]
        request.answer(
            200, data, {"Content-Type": media_type, "Docker-Content-Digest": "sha256:" + "0" * 64}
        )

    registry.faults.append(first(9, "/manifests/1", claim))
    with pytest.raises(CorruptData, match="it was damaged or replaced"):
        engine.images.pull(f"{registry.host}/a", "1")
    assert nothing(engine)


def manifest_with(registry: Registry, **changes: Any) -> dict[str, Any]:
    manifest = registry.put_image("1", [noise(0, 1000)])
    return {**manifest, **changes}


_MANY = [{"mediaType": f"{OCI}.layer.v1.tar", "digest": "sha256:" + "0" * 64, "size": 1}] * 2000

HOSTILE: dict[str, tuple[Callable[[Registry], bytes], type[ProaError], str]] = {
    "more than four megabytes": (
        lambda registry: json.dumps(manifest_with(registry)).encode() + b" " * (4 << 20),
        LimitExceeded,
        "more than 4194304 bytes",
    ),
    "2000 layers": (
        lambda registry: json.dumps(manifest_with(registry, layers=_MANY)).encode(),
        LimitExceeded,
        "2000 layers",
    ),
    "a digest that is a path": (
        lambda registry: json.dumps(
            manifest_with(
                registry,
                layers=[{**_MANY[0], "digest": "sha256:" + "../" * 21 + "x"}],
            )
        ).encode(),
        CorruptData,
        "not a digest",
    ),
    "an unknown algorithm": (
        lambda registry: json.dumps(
            manifest_with(registry, layers=[{**_MANY[0], "digest": "md5:" + "0" * 32}])
        ).encode(),
        CorruptData,
        "not a digest",
    ),
    "a negative size": (
        lambda registry: json.dumps(
            manifest_with(registry, layers=[{**_MANY[0], "size": -1}])
        ).encode(),
        CorruptData,
        "size",
    ),
    "a config of a terabyte": (
        lambda registry: json.dumps(
            manifest_with(
                registry,
                config={**_MANY[0], "mediaType": f"{OCI}.config.v1+json", "size": 1 << 40},
            )
        ).encode(),
        LimitExceeded,
        "at most 8388608 are accepted",
    ),
    "more layers than its config": (
        lambda registry: json.dumps(manifest_with(registry, layers=_MANY[:2])).encode(),
        CorruptData,
        "2 layers in its manifest and 1 in its config",
    ),
    "two meanings": (
        lambda registry: json.dumps(manifest_with(registry)).encode()[:-1] + b', "layers": []}',
        HostileData,
        "two members named 'layers'",
    ),
    "manifest and index at once": (
        lambda registry: json.dumps(manifest_with(registry, manifests=[])).encode(),
        CorruptData,
        "not an image manifest",
    ),
    "another type than the registry says": (
        lambda registry: json.dumps(
            manifest_with(registry, mediaType=f"{OCI}.index.v1+json")
        ).encode(),
        CorruptData,
        "its registry says",
    ),
    "the first schema": (
        lambda registry: json.dumps({"schemaVersion": 1, "fsLayers": []}).encode(),
        Unsupported,
        "schema version 1",
    ),
    "an artifact": (
        lambda registry: json.dumps(
            manifest_with(registry, config={**_MANY[0], "mediaType": "application/vnd.x.y"})
        ).encode(),
        Unsupported,
        "artifact",
    ),
    "no JSON": (lambda registry: b"<html>", CorruptData, "not JSON"),
    "nothing": (lambda registry: b"", CorruptData, "not JSON"),
    "a depth of 100000": (lambda registry: b"[" * 100_000, LimitExceeded, "nested too deeply"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_manifests(registry: Registry, engine: Engine, case: str) -> None:
    make, kind, said = HOSTILE[case]
    registry.put_manifest("1", make(registry))
    with pytest.raises(kind, match=said) as caught:
        engine.images.pull(f"{registry.host}/a", "1")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert nothing(engine)


def test_indexes_that_lead_in_a_circle(registry: Registry, engine: Engine) -> None:
    digest = "sha256:" + "1" * 64
    entry = {"mediaType": f"{OCI}.index.v1+json", "digest": digest, "size": 5}
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [entry]}
    data = json.dumps(index).encode()
    registry.put_manifest("1", data, f"{OCI}.index.v1+json")
    for _ in range(9):
        real = f"sha256:{hashlib.sha256(data).hexdigest()}"
        index["manifests"] = [{**entry, "digest": real, "size": len(data)}]
        data = json.dumps(index).encode()
        registry.put_manifest("1", data, f"{OCI}.index.v1+json")
    with pytest.raises(LimitExceeded, match="nested too deeply"):
        engine.images.pull(f"{registry.host}/a", "1")


def test_a_layer_of_zeros_that_unpacks_to_more_than_there_may_be(
    registry: Registry, engine: Engine
) -> None:
    plain = images.layer([images.Entry("../../escape", b"x")])
    registry.put_image("1", [plain], [gzip.compress(plain)])
    with pytest.raises(HostileData, match="escape"):
        engine.images.pull(f"{registry.host}/a", "1")
    assert nothing(engine)


def test_what_a_registry_says_is_safe_for_a_terminal(registry: Registry, engine: Engine) -> None:
    body = json.dumps(
        {"errors": [{"code": "DENIED", "message": "\x1b[2Jgo\naway \u202e" + "x" * 5000}]}
    ).encode()
    registry.faults.append(first(9, "/manifests/", lambda request: request.answer(403, body)))
    with pytest.raises(ProaError) as caught:
        engine.images.pull(f"{registry.host}/a", "1")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


def test_redirections_without_end(registry: Registry, engine: Engine) -> None:
    put(registry)
    registry.faults.append(
        first(99, "/blobs/", lambda request: request.answer(307, b"", {"Location": request.path}))
    )
    with pytest.raises(ProaError):
        engine.images.pull(f"{registry.host}/a", "1")
    assert registry.count("GET", "/blobs/") < 20


def test_pages_of_tags_that_lead_in_a_circle_or_elsewhere(
    registry: Registry, engine: Engine
) -> None:
    target = ["/v2/a/tags/list?last=x"]

    def page(request: Handler) -> None:
        request.answer(200, b'{"tags": ["x"]}', {"Link": f'<{target[0]}>; rel="next"'})

    registry.faults.append(first(99, "/tags/list", page))
    with pytest.raises(CorruptData, match="circle"):
        engine.images.pull(f"{registry.host}/a", all_tags=True)
    target[0] = "http://other.example/v2/a/tags/list"
    with pytest.raises(CorruptData, match="another server"):
        engine.images.pull(f"{registry.host}/a", all_tags=True)


def test_names_that_are_paths(registry: Registry, engine: Engine) -> None:
    for name in ("../a", "a/../../b", "a//b", "/a", "a/./b", "a%2f..%2fb", "a?b", "a#b", "A"):
        with pytest.raises(ProaError):
            engine.images.pull(f"{registry.host}/{name}")
    assert registry.requests == []


def slow_down(registry: Registry, digests: list[str], started: list[str]) -> None:
    """Send half of each blob, and then nothing."""

    def fault(request: Handler) -> bool:
        for digest in digests:
            if digest in request.path and "range" not in map(str.lower, request.headers):
                data = registry.blobs[digest]
                request.send_response(200)
                request.send_header("Content-Length", str(len(data)))
                request.end_headers()
                request.wfile.write(data[: SIZE // 2])
                request.wfile.flush()
                started.append(digest)
                registry.ended.wait(20)
                return True
        return False

    registry.faults.append(fault)


def parts(root: str) -> dict[str, int]:
    ingest = Path(root, "ingest")
    return {path.name: path.stat().st_size for path in ingest.iterdir() if "partial" in path.name}


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_is_killed_goes_on_from_where_it_was(
    registry: Registry, proa: Command, number: int
) -> None:
    digests = put(registry)
    started: list[str] = []
    slow_down(registry, digests, started)
    process = proa.start("pull", f"{registry.host}/a:1", stdin=None)
    with process:
        until(lambda: len(started) == 2)
        until(lambda: sum(parts(proa.root).values()) >= SIZE - (1 << 19))
        process.send_signal(number)
        began = time.monotonic()
        process.wait(15)
        assert time.monotonic() - began < 10
    kept = parts(proa.root)
    assert len(kept) == 2
    proa("image", "prune", "-f")  # what others do meanwhile does not take them away
    assert parts(proa.root) == kept
    registry.faults.clear()
    registry.requests.clear()
    proa("pull", f"{registry.host}/a:1")
    with Engine(proa.root) as engine:
        assert is_complete(engine)
    asked = {
        path.rpartition("/")[2]: headers.get("range")
        for _, path, headers in registry.requests
        if any(digest in path for digest in digests)
    }
    for digest in digests:
        size = kept[f"partial-sha256-{digest[7:]}"]
        assert asked[digest] == f"bytes={size}-"
    assert parts(proa.root) == {}


def test_what_was_kept_and_damaged_is_got_anew(registry: Registry, proa: Command) -> None:
    digests = put(registry, count=1)
    proa("images")
    part = Path(proa.root, "ingest", f"partial-sha256-{digests[0][7:]}")
    part.write_bytes(b"\0" * SIZE)
    proa("pull", f"{registry.host}/a:1")
    with Engine(proa.root) as engine:
        assert is_complete(engine, 1)
    assert parts(proa.root) == {}


def test_what_was_kept_too_long_goes(registry: Registry, proa: Command, engine_root: str) -> None:
    proa("images")
    old, new = (Path(proa.root, "ingest", f"partial-sha256-{digit * 64}") for digit in "01")
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1, time.time() - 25 * 3600))
    put(registry, count=1)
    proa("pull", f"{registry.host}/a:1")
    proa("rmi", f"{registry.host}/a:1")
    assert not old.exists() and new.exists()


def test_two_at_a_time(registry: Registry, proa: Command) -> None:
    put(registry)
    processes = [proa.start("pull", "-q", f"{registry.host}/a:1", stdin=None) for _ in range(3)]
    for process in processes:
        with process:
            assert process.wait(60) == 0, process.stderr.read() if process.stderr else ""
    with Engine(proa.root) as engine:
        assert is_complete(engine)
    assert parts(proa.root) == {}


def test_a_registry_that_does_not_answer_in_time(registry: Registry) -> None:
    from proa.distribution.client import Client
    from proa.distribution.repository import Repository
    from proa.distribution.transport import Patience, Transport
    from proa.oci.reference import Reference

    registry.faults.append(first(9, "/manifests/", lambda _: wait(registry)))
    transport = Transport(Patience(attempts=2, pause=0.01, read=0.2))
    with Client(transport=transport) as client:
        from proa import TimedOut

        with pytest.raises(TimedOut, match="does not answer in time"):
            Repository(client, Reference.parse(f"{registry.host}/a")).get("1")


def test_missing_image(registry: Registry, engine: Engine) -> None:
    with pytest.raises(ImageNotFound):
        engine.images.pull(f"{registry.host}/a", "none")
