"""pull, and run with an image that is not here yet, from Debian's docker-registry."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.registry.conftest import manifest_of, raw_manifest
from tests.support import registries
from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def pushed(registry: str, layouts: Path) -> str:
    """A repository with the tags `1` and `2`."""
    repository = f"{registry}/pull/image"
    registries.copy(f"oci-archive:{layouts}/one.tar:one:1", f"docker://{repository}:1")
    registries.copy(f"oci-archive:{layouts}/other.tar:other:1", f"docker://{repository}:2")
    return repository


def digest_of(reference: str) -> str:
    return f"sha256:{hashlib.sha256(raw_manifest(reference)).hexdigest()}"


def test_it_tells_what_docker_tells(proa: Command, pushed: str) -> None:
    digest = digest_of(f"{pushed}:1")
    layers = [str(layer["digest"])[7:19] for layer in manifest_of(f"{pushed}:1")["layers"]]  # type: ignore[attr-defined]
    lines = proa.output("pull", f"{pushed}:1").splitlines()
    assert lines[0] == "1: Pulling from pull/image"
    assert lines[-3:] == [
        f"Digest: {digest}",
        f"Status: Downloaded newer image for {pushed}:1",
        f"{pushed}:1",
    ]
    for layer in layers:
        steps = [line.partition(": ")[2] for line in lines if line.startswith(layer)]
        assert steps == [
            "Pulling fs layer",
            "Verifying Checksum",
            "Download complete",
            "Pull complete",
        ]
    again = proa.output("pull", f"{pushed}:1").splitlines()
    assert again == [
        "1: Pulling from pull/image",
        f"Digest: {digest}",
        f"Status: Image is up to date for {pushed}:1",
        f"{pushed}:1",
    ]
    # a layer in common is neither downloaded nor unpacked again
    assert f"{layers[0]}: Already exists" in proa.output("pull", f"{pushed}:2")


def test_quiet_prints_the_name_only(proa: Command, pushed: str) -> None:
    assert proa.output("pull", "-q", f"{pushed}:1") == f"{pushed}:1"


def test_the_image_is_the_registry_s_to_the_byte(proa: Command, pushed: str) -> None:
    proa("pull", f"{pushed}:1")
    digest = digest_of(f"{pushed}:1")
    facts = json.loads(proa.output("image", "inspect", f"{pushed}:1"))[0]
    assert facts["Descriptor"]["digest"] == digest
    assert facts["RepoDigests"] == [f"{pushed}@{digest}"]
    assert facts["Id"] == manifest_of(f"{pushed}:1")["config"]["digest"]  # type: ignore[index]
    assert proa.output("run", "--rm", f"{pushed}:1", "cat", "/etc/one") == "one"


def test_by_digest_with_or_without_a_tag(proa: Command, pushed: str) -> None:
    digest = digest_of(f"{pushed}:1")
    # the tag is another image's: the digest decides
    lines = proa.output("pull", f"{pushed}:2@{digest}").splitlines()
    assert lines[-3:] == [
        f"Digest: {digest}",
        f"Status: Downloaded newer image for {pushed}:2@{digest}",
        f"{pushed}:2@{digest}",
    ]
    assert proa.output("images", "--format", "{{.Tag}} {{.Digest}}", "--digests") == (
        f"<none> {digest}"
    )
    assert proa.output("pull", f"{pushed}@{digest}").splitlines()[-2] == (
        f"Status: Image is up to date for {pushed}@{digest}"
    )
    assert proa.output("run", "--rm", f"{pushed}@{digest}", "cat", "/etc/one") == "one"


def test_a_tag_that_moved(proa: Command, registry: str, layouts: Path) -> None:
    name = f"{registry}/pull/moving"
    registries.copy(f"oci-archive:{layouts}/one.tar:one:1", f"docker://{name}:latest")
    assert proa.output("pull", name).splitlines()[0] == "Using default tag: latest"
    registries.copy(f"oci-archive:{layouts}/other.tar:other:1", f"docker://{name}:latest")
    assert "Status: Downloaded newer image" in proa.output("pull", name)
    assert proa.output("run", "--rm", name, "cat", "/etc/other") == "other"
    assert sorted(proa.output("images", "--format", "{{.Tag}}").split()) == ["<none>", "latest"]


def test_all_tags(proa: Command, pushed: str) -> None:
    lines = proa.output("pull", "--all-tags", pushed).splitlines()
    assert [line for line in lines if "Pulling from" in line] == [
        "1: Pulling from pull/image",
        "2: Pulling from pull/image",
    ]
    assert lines[-2:] == [f"Status: Downloaded newer image for {pushed}", pushed]
    assert sorted(proa.output("images", "--format", "{{.Tag}}").split()) == ["1", "2"]
    refused = proa("pull", "-a", f"{pushed}:1", code=1)
    assert "tag can't be used with --all-tags/-a" in refused.stderr


def test_one_platform_of_several(proa: Command, registry: str, layouts: Path) -> None:
    name = f"{registry}/pull/index"
    entries = []
    for tag, platform, archive in (
        ("here", {"os": "linux", "architecture": "amd64"}, "one"),
        ("arm", {"os": "linux", "architecture": "arm64", "variant": "v8"}, "other"),
    ):
        registries.copy(
            f"oci-archive:{layouts}/{archive}.tar:{archive}:1", f"docker://{name}:{tag}"
        )
        data = raw_manifest(f"{name}:{tag}")
        entries.append(
            {
                "mediaType": json.loads(data)["mediaType"],
                "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
                "size": len(data),
                "platform": platform,
            }
        )
    media_type = "application/vnd.oci.image.index.v1+json"
    index = json.dumps(
        {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}, indent=3
    ).encode()
    status, _, _ = registries.call(
        f"http://{registry}/v2/pull/index/manifests/all", "PUT", index, {"Content-Type": media_type}
    )
    assert status == 201
    digest = f"sha256:{hashlib.sha256(index).hexdigest()}"

    assert f"Digest: {digest}" in proa.output("pull", "--platform", "linux/amd64", f"{name}:all")
    assert proa.output("run", "--rm", f"{name}:all", "cat", "/etc/one") == "one"
    facts = json.loads(proa.output("image", "inspect", f"{name}:all"))[0]
    assert facts["RepoDigests"] == [f"{name}@{digest}"]
    assert facts["Descriptor"]["digest"] == entries[0]["digest"]

    missing = proa("pull", "--platform", "linux/s390x", f"{name}:all", code=1)
    assert "no matching manifest for linux/s390x" in missing.stderr
    assert "linux/amd64, linux/arm64" in missing.stderr
    # says arm64, and its config says amd64
    other = proa("pull", "--platform", "linux/arm64", f"{name}:all", code=1)
    assert "does not match the specified platform" in other.stderr


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_compressions(proa: Command, registry: str, layouts: Path, compression: str) -> None:
    name = f"{registry}/pull/{compression}:1"
    options = ("--dest-compress-format", compression)
    registries.copy(
        f"oci-archive:{layouts}/one.tar:one:1",
        f"docker://{name}",
        *options,
        *("--dest-decompress",) * 0,
    )
    proa("pull", "-q", name)
    assert proa.output("run", "--rm", name, "cat", "/etc/one") == "one"


def test_run_gets_what_is_missing_and_says_so(proa: Command, pushed: str) -> None:
    done = proa("run", "--rm", f"{pushed}:1", "cat", "/etc/one")
    assert done.stdout == "one"
    lines = done.stderr.splitlines()
    assert lines[:2] == [
        f"Unable to find image '{pushed}:1' locally",
        "1: Pulling from pull/image",
    ]
    assert lines[-1] == f"Status: Downloaded newer image for {pushed}:1"
    assert proa("run", "--rm", f"{pushed}:1", "true").stderr == ""


def test_run_pulls_as_it_is_told(proa: Command, pushed: str) -> None:
    never = proa("run", "--rm", "--pull", "never", f"{pushed}:1", "true", code=125)
    assert "no such image" in never.stderr and "Pulling" not in never.stderr
    assert proa("run", "--rm", "-q", f"{pushed}:1", "true").stderr == ""
    always = proa("create", "--pull", "always", f"{pushed}:1", "true")
    assert f"Status: Image is up to date for {pushed}:1" in always.stderr
    assert len(always.stdout.strip()) == 64
    wrong = proa("run", "--pull", "maybe", f"{pushed}:1", code=125)
    assert "invalid pull option" in wrong.stderr


def test_what_is_not_there(proa: Command, registry: str) -> None:
    for name in ("pull/none:1", "pull/none@sha256:" + "0" * 64):
        missing = proa("pull", f"{registry}/{name}", code=1)
        assert f"manifest for {registry}/{name} not found: manifest unknown" in missing.stderr
        assert missing.stderr.count("\n") == 1
    missing = proa("run", f"{registry}/pull/none", "true", code=125)
    assert "not found: manifest unknown" in missing.stderr
    missing = proa("pull", "-a", f"{registry}/pull/none", code=1)
    assert "not found: name unknown" in missing.stderr


def test_nobody_listens(proa: Command) -> None:
    port = registries.free_port()
    refused = proa("pull", f"127.0.0.1:{port}/a", code=1)
    assert f"127.0.0.1:{port} cannot be reached (connection refused)" in refused.stderr
