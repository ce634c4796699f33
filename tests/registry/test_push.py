"""push to Debian's docker-registry, and what others read from there."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from proa import Engine
from tests.registry.conftest import manifest_of, raw_manifest
from tests.support import images, registries
from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def loaded(proa: Command, tmp_path: Path) -> Command:
    """The engine has image:1, of two layers that are not compressed."""
    layers = [images.busybox_layer(), images.layer([images.Entry("etc/mine", b"mine")])]
    path = tmp_path / "image.tar"
    path.write_bytes(images.docker_archive(layers, "image:1"))
    proa("load", "-q", "-i", str(path))
    return proa


def layer_ids(proa: Command, name: str) -> list[str]:
    found = json.loads(proa.output("image", "inspect", "-f", "{{json .RootFS.Layers}}", name))
    return [str(layer)[7:19] for layer in found]


def test_it_tells_what_docker_tells(loaded: Command, registry: str) -> None:
    name = f"{registry}/push/told:1"
    loaded("tag", "image:1", name)
    layers = layer_ids(loaded, name)
    lines = loaded.output("push", name).splitlines()
    assert lines[0] == f"The push refers to repository [{registry}/push/told]"
    digest = json.loads(loaded.output("image", "inspect", name))[0]["Descriptor"]["digest"]
    size = len(raw_manifest(name))
    assert lines[-1] == f"1: digest: {digest} size: {size}"
    for layer in layers:
        assert [line for line in lines if layer in line] == [
            f"{layer}: Preparing",
            f"{layer}: Pushed",
        ]
    again = loaded.output("push", name).splitlines()
    assert sorted(again[3:-1]) == sorted(f"{layer}: Layer already exists" for layer in layers)
    assert again[-1] == lines[-1]
    assert loaded.output("push", "-q", name) == name
    facts = json.loads(loaded.output("image", "inspect", name))[0]
    assert facts["RepoDigests"] == [f"{registry}/push/told@{digest}"]


def test_others_read_it_and_it_runs_elsewhere(
    loaded: Command, registry: str, tmp_path: Path
) -> None:
    name = f"{registry}/push/read:1"
    loaded("tag", "image:1", name)
    loaded("push", name)
    registries.copy(f"docker://{name}", f"dir:{tmp_path}/copied")
    other = Command(loaded.path, str(tmp_path / "other"), environment=loaded.environment)
    assert other("run", "--rm", name, "cat", "/etc/mine").stdout == "mine"
    ids = {command.output("image", "inspect", "-f", "{{.Id}}", name) for command in (loaded, other)}
    assert len(ids) == 1


def test_layers_are_compressed_once(loaded: Command, registry: str) -> None:
    name = f"{registry}/push/compressed:1"
    loaded("tag", "image:1", name)
    loaded("push", name)
    manifest = manifest_of(name)
    assert {layer["mediaType"] for layer in manifest["layers"]} == {  # type: ignore[attr-defined]
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }
    with Engine(loaded.root) as engine:
        image = engine.images.get(name)
        blobs = set(engine.store.blobs.list())
        # the uncompressed ones are gone, and the image is whole
        assert {digest for digest, _ in blobs} == set(image.record.content)
    before = raw_manifest(name)
    loaded("push", name)
    assert raw_manifest(name) == before
    assert loaded.output("run", "--rm", "image:1", "cat", "/etc/mine") == "mine"


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_came_goes_as_it_came(
    proa: Command, registry: str, layouts: Path, compression: str
) -> None:
    source, target = f"{registry}/push/{compression}:1", f"{registry}/push/{compression}-copy:1"
    registries.copy(
        f"oci-archive:{layouts}/one.tar:one:1",
        f"docker://{source}",
        *("--dest-compress-format", compression, "--dest-compress"),
    )
    # not as anyone would write it again
    data = json.dumps(json.loads(raw_manifest(source)), indent=5).encode()
    status, _, _ = registries.call(
        f"http://{registry}/v2/push/{compression}/manifests/1",
        "PUT",
        data,
        {"Content-Type": json.loads(data)["mediaType"]},
    )
    assert status == 201
    proa("pull", source)
    proa("tag", source, target)
    lines = proa.output("push", target).splitlines()
    assert raw_manifest(target) == data
    # the registry has the layers, and was told where
    assert len([line for line in lines if f"Mounted from push/{compression}" in line]) == 2


def test_all_tags(loaded: Command, registry: str) -> None:
    for tag in ("1", "2"):
        loaded("tag", "image:1", f"{registry}/push/all:{tag}")
    lines = loaded.output("push", "-a", f"{registry}/push/all").splitlines()
    assert [line[:9] for line in lines if "digest:" in line] == ["1: digest", "2: digest"]
    _, _, body = registries.call(f"http://{registry}/v2/push/all/tags/list")
    assert sorted(json.loads(body)["tags"]) == ["1", "2"]
    refused = loaded("push", "-a", f"{registry}/push/all:1", code=1)
    assert "tag can't be used with --all-tags/-a" in refused.stderr


def test_what_cannot_be_pushed(loaded: Command, registry: str) -> None:
    for arguments in (["push", f"{registry}/none"], ["push", "-a", f"{registry}/none"]):
        missing = loaded(*arguments, code=1)
        assert f"an image does not exist locally with the tag: {registry}/none" in missing.stderr
    refused = loaded("push", f"{registry}/none@sha256:{'0' * 64}", code=1)
    assert "cannot push a digest reference" in refused.stderr


def big(proa: Command, name: str, tmp_path: Path, size: int) -> None:
    data = random.Random(1).randbytes(size)
    path = tmp_path / "big.tar"
    path.write_bytes(images.docker_archive([images.layer([images.Entry("big", data)])], name))
    proa("load", "-q", "-i", str(path))
    path.unlink()


def test_large_blobs_go_in_pieces(proa: Command, registry: str, tmp_path: Path) -> None:
    name = f"{registry}/push/big:1"
    big(proa, name, tmp_path, 70 << 20)
    proa("push", name)
    (layer,) = manifest_of(name)["layers"]  # type: ignore[misc]
    assert layer["size"] > 64 << 20
    other = Command(proa.path, str(tmp_path / "other"), environment=proa.environment)
    other("pull", "-q", name)


def test_killed_while_pushing(proa: Command, registry: str, tmp_path: Path) -> None:
    name = f"{registry}/push/killed:1"
    big(proa, name, tmp_path, 40 << 20)
    for delay in (0.2, 0.4, 0.6):
        process = proa.start("push", "-q", name, stdin=None)
        with process:
            time.sleep(delay)
            os.kill(process.pid, signal.SIGKILL)
    status, _, _ = registries.call(f"http://{registry}/v2/push/killed/manifests/1", "HEAD")
    assert status in (200, 404)
    proa("push", "-q", name)
    other = Command(proa.path, str(tmp_path / "other"), environment=proa.environment)
    other("pull", "-q", name)
    with Engine(proa.root) as engine:
        image = engine.images.get(name)
        assert {digest for digest, _ in engine.store.blobs.list()} == set(image.record.content)


def test_from_python(loaded: Command, registry: str) -> None:
    with Engine(loaded.root) as engine:
        image = engine.images.get("image:1")
        assert image.tag(f"{registry}/push/python", "5")
        lines = engine.images.push(f"{registry}/push/python", "5").splitlines()
        assert json.loads(lines[0])["status"].startswith("The push refers to repository")
        aux = json.loads(lines[-1])["aux"]
        assert aux["Tag"] == "5" and aux["Digest"].startswith("sha256:")
        streamed = engine.images.push(f"{registry}/push/python", "5", stream=True, decode=True)
        assert {"status": "Layer already exists", "id": image.record.layers[0][7:19]} in list(
            streamed
        )
        told = []
        pulled = engine.images.pull(f"{registry}/push/python", "5", progress=told.append)
        assert pulled == image and pulled.digests[0].endswith(aux["Digest"])
        assert told[0].status == "Pulling from push/python" and told[0].id == "5"
        (only,) = engine.images.pull(f"{registry}/push/python", all_tags=True)
        assert only == image
