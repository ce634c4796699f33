"""Pushing to registries that break off, refuse, or forget what they were sent."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proa import CorruptData, Engine, ProaError, Unauthorized, Unavailable
from tests.support import images, scripted
from tests.support.scripted import Handler, Registry

pytestmark = pytest.mark.root

SIZE = 40 << 20
"""More than what is sent in one piece."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with scripted.running() as server:
        yield server


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def engine(engine_root: str) -> Iterator[Engine]:
    with Engine(engine_root) as engine:
        yield engine


@pytest.fixture
def name(engine: Engine, registry: Registry) -> str:
    """An image of one small layer."""
    return load(engine, registry, 100_000)


def load(engine: Engine, registry: Registry, size: int) -> str:
    data = random.Random(2).randbytes(size)
    reference = f"{registry.host}/a:1"
    engine.images.load(images.docker_archive([images.layer([images.Entry("x", data)])], reference))
    return reference


def times(
    count: int, method: str, wanted: str, act: Callable[[Handler], None]
) -> Callable[[Handler], bool]:
    left = [count]

    def fault(request: Handler) -> bool:
        if request.command != method or wanted not in request.path or not left[0]:
            return False
        left[0] -= 1
        act(request)
        return True

    return fault


def hang_up(request: Handler) -> None:
    request.close_connection = True


def is_whole(engine: Engine, registry: Registry, name: str) -> bool:
    """Whether the registry has all of the image."""
    record = engine.images.get(name).record
    blobs = {digest for digest in record.content if digest != record.manifest}
    return record.manifest in registry.manifests and blobs <= set(registry.blobs)


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
    ],
)
@pytest.mark.parametrize("how", ["dropped", "503"])
def test_what_fails_once_is_done_again(
    engine: Engine, registry: Registry, name: str, method: str, where: str, how: str
) -> None:
    def refuse(request: Handler) -> None:
        request.close_connection = True
        request.rfile.read(int(request.headers.get("Content-Length", "0")))
        request.answer(503, b"")

    registry.faults.append(times(2, method, where, hang_up if how == "dropped" else refuse))
    engine.images.push(name)
    assert is_whole(engine, registry, name)


def test_an_answer_that_gets_lost(engine: Engine, registry: Registry, name: str) -> None:
    """The blob has arrived, and nobody told us so."""

    def forget(request: Handler) -> None:
        place = request.path.partition("?")[0]
        request.path = place
        request.receive()
        registry.put(bytes(registry.uploads.pop(place)))
        request.close_connection = True

    registry.faults.append(times(1, "PUT", "/uploads/", forget))
    engine.images.push(name)
    assert is_whole(engine, registry, name)


def test_a_large_blob_goes_on_from_where_it_was(engine: Engine, registry: Registry) -> None:
    name = load(engine, registry, SIZE)

    def stop(request: Handler) -> None:
        request.receive(stop=SIZE // 2)
        request.close_connection = True

    registry.faults.append(times(1, "PATCH", "/uploads/", stop))
    engine.images.push(name)
    assert is_whole(engine, registry, name)
    ranges = [
        headers["content-range"] for method, _, headers in registry.requests if method == "PATCH"
    ]
    assert len(ranges) == 2 and ranges[0].startswith("0-")
    assert ranges[1].startswith(f"{SIZE // 2}-")


def test_something_in_between_takes_small_pieces_only(engine: Engine, registry: Registry) -> None:
    name = load(engine, registry, SIZE)

    def fault(request: Handler) -> bool:
        if int(request.headers.get("Content-Length", "0")) <= 12 << 20:
            return False
        request.close_connection = True
        request.answer(413, b"")
        return True

    registry.faults.append(fault)
    engine.images.push(name)
    assert is_whole(engine, registry, name)


def test_a_registry_that_understands_another_digest(
    engine: Engine, registry: Registry, name: str
) -> None:
    def misread(request: Handler) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        request.answer(400, b'{"errors": [{"code": "DIGEST_INVALID", "message": "no"}]}')

    registry.faults.append(times(99, "PUT", "/uploads/", misread))
    with pytest.raises(CorruptData, match="digest invalid: no"):
        engine.images.push(name)
    registry.faults.clear()

    def change(request: Handler) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        request.answer(201, b"", {"Docker-Content-Digest": "sha256:" + "0" * 64})

    registry.faults.append(times(99, "PUT", "/manifests/", change))
    with pytest.raises(CorruptData, match="it changes manifests"):
        engine.images.push(name)


def test_no_permission(engine: Engine, registry: Registry, name: str) -> None:
    def deny(request: Handler) -> None:
        request.answer(403, b'{"errors": [{"code": "DENIED", "message": "not yours"}]}')

    registry.faults.append(times(99, "POST", "", deny))
    with pytest.raises(Unauthorized, match="denied: not yours"):
        engine.images.push(name)
    assert registry.count("PUT", "") == 0


def test_an_upload_that_leads_nowhere(engine: Engine, registry: Registry, name: str) -> None:
    registry.faults.append(times(99, "POST", "", lambda request: request.answer(202, b"")))
    with pytest.raises(Unavailable, match="does not say where"):
        engine.images.push(name)


def test_an_upload_that_leads_elsewhere_shows_no_credentials(
    engine: Engine, registry: Registry, name: str
) -> None:
    with scripted.running() as other:
        other.uploads.update({f"/v2/upload/{number}": bytearray() for number in range(2)})
        places = iter(list(other.uploads))

        def guard(request: Handler) -> bool:
            if "authorization" not in map(str.lower, request.headers):
                request.rfile.read(int(request.headers.get("Content-Length", "0")))
                request.answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
                return True
            if request.command == "POST":
                request.answer(202, b"", {"Location": f"http://{other.host}{next(places)}"})
                return True
            return False

        registry.faults.append(guard)
        engine.images.push(name, auth_config={"username": "ann", "password": "secret"})
        assert other.requests
        assert not any("authorization" in headers for *_, headers in other.requests)


def test_a_damaged_blob_is_not_taken(engine: Engine, registry: Registry, name: str) -> None:
    engine.images.push(name)  # compresses
    registry.blobs.clear()
    record = engine.images.get(name).record
    store = engine.store
    layer = max(record.content, key=lambda digest: store.blobs.size(digest))
    with open(store.blobs.path(layer), "r+b") as file:
        file.seek(500)
        file.write(b"damage")
    with pytest.raises(ProaError, match="digest invalid"):
        engine.images.push(name)
