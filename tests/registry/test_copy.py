"""image copy, manifest, search: with Debian's docker-registry, skopeo reading what we write."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.registry.conftest import raw_manifest
from tests.support import images, registries, scripted
from tests.support.command import Command

pytestmark = pytest.mark.root

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def put(registry: str, path: str, data: bytes, media_type: str = "") -> str:
    """Put a manifest, or a blob; its digest."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if media_type:
        status, _, body = registries.call(
            f"http://{registry}/v2/{path}", "PUT", data, {"Content-Type": media_type}
        )
    else:
        _, headers, _ = registries.call(
            f"http://{registry}/v2/{path}/blobs/uploads/", "POST", b"", {"Content-Length": "0"}
        )
        status, _, body = registries.call(
            registries.upload_to(registry, headers["location"], digest),
            "PUT",
            data,
            {"Content-Type": "application/octet-stream"},
        )
    assert status == 201, body
    return digest


def descriptor(media_type: str, digest: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


@pytest.fixture(scope="session")
def index(registry: str, layouts: Path) -> str:
    """An index of two images of different platforms, and of an artifact; as nobody writes it."""
    entries = []
    for tag, architecture in (("one", "amd64"), ("other", "arm64")):
        registries.copy(
            f"oci-archive:{layouts}/{tag}.tar:{tag}:1", f"docker://{registry}/copy/source:{tag}"
        )
        data = raw_manifest(f"{registry}/copy/source:{tag}")
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        platform = {"os": "linux", "architecture": architecture}
        entries.append({**descriptor(MANIFEST, digest, data), "platform": platform})
    sbom = b'{"spdx": true}'
    empty = b"{}"
    artifact = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/spdx+json",
            "config": descriptor(
                "application/vnd.oci.empty.v1+json", put(registry, "copy/source", empty), empty
            ),
            "layers": [
                descriptor("application/spdx+json", put(registry, "copy/source", sbom), sbom)
            ],
        },
        indent=1,
    ).encode()
    put(registry, "copy/source/manifests/artifact", artifact, MANIFEST)
    digest = f"sha256:{hashlib.sha256(artifact).hexdigest()}"
    entries.append(descriptor(MANIFEST, digest, artifact))
    data = json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, "annotations": {"a": "b"}},
        indent=7,
    ).encode()
    put(registry, "copy/source/manifests/index", data, INDEX)
    return f"{registry}/copy/source:index"


def everything(registry: str, path: str, digest: str) -> dict[str, bytes]:
    """All that a manifest leads to, by digest."""
    _, _, data = registries.call(
        f"http://{registry}/v2/{path}/manifests/{digest}",
        headers={"Accept": f"{INDEX}, {MANIFEST}"},
    )
    found = {digest: data}
    document = json.loads(data)
    for entry in document.get("manifests", ()):
        found |= everything(registry, path, entry["digest"])
    for entry in [*document.get("layers", ()), document.get("config")]:
        if entry:
            status, _, blob = registries.call(
                f"http://{registry}/v2/{path}/blobs/{entry['digest']}"
            )
            assert status == 200
            found[entry["digest"]] = blob
    return found


def test_all_of_an_index_from_repository_to_repository(
    proa: Command, registry: str, index: str
) -> None:
    lines = proa.output("image", "copy", index, f"docker://{registry}/copy/target:x").splitlines()
    data = raw_manifest(index)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert lines[-1] == f"Digest: {digest}"
    assert any("Mounted from copy/source" in line for line in lines)
    assert raw_manifest(f"{registry}/copy/target:x") == data
    assert everything(registry, "copy/target", digest) == everything(
        registry, "copy/source", digest
    )
    again = proa.output("image", "copy", index, f"{registry}/copy/target:x")
    assert "Pushed" not in again and "Already exists" in again
    assert proa.output("images", "-q") == ""


def test_from_one_registry_to_another(
    proa: Command, registry: str, index: str, tmp_path: Path
) -> None:
    with registries.running(str(tmp_path)) as other:
        digest = proa.output("image", "copy", "-q", index, f"{other}/elsewhere:x")
        assert everything(other, "elsewhere", digest) == everything(registry, "copy/source", digest)
        one = proa.output(
            "image", "copy", "-q", "--platform", "linux/arm64", index, f"{other}/arm:x"
        )
        assert raw_manifest(f"{other}/arm:x") == raw_manifest(f"{registry}/copy/source:other")
        assert everything(other, "arm", one)


@pytest.mark.parametrize("transport", ["oci", "oci-archive"])
def test_to_the_disk_and_back(
    proa: Command, registry: str, index: str, tmp_path: Path, transport: str
) -> None:
    place = f"{transport}:{tmp_path}/place"
    digest = proa.output("image", "copy", "-q", index, f"{place}:it:1")
    if transport == "oci":
        # a second one beside it
        proa("image", "copy", "-q", f"{registry}/copy/source:one", f"{place}:second")
        (tmp_path / "place" / "oci-layout").read_bytes()
    # skopeo of Debian 12 knows no artifacts, so it is asked for the image alone
    registries.copy(f"{place}:it:1", f"dir:{tmp_path}/read")
    target = f"{registry}/copy/back-{transport}"
    assert proa.output("image", "copy", "-q", f"{place}:it:1", f"{target}:x") == digest
    assert everything(registry, f"copy/back-{transport}", digest) == everything(
        registry, "copy/source", digest
    )
    if transport == "oci-archive":
        refused = proa("image", "copy", index, place, code=1)
        assert "place exists" in refused.stderr
        assert sorted(path.name for path in tmp_path.glob("place*")) == ["place"]
    missing = proa("image", "copy", f"{place}:none", f"{target}:y", code=1)
    assert "has no images named 'none'" in missing.stderr


def test_a_docker_archive(proa: Command, registry: str, tmp_path: Path) -> None:
    archive = tmp_path / "saved.tar"
    archive.write_bytes(images.docker_archive([images.busybox_layer()], "saved:3"))
    name = f"{registry}/copy/saved:3"
    proa("image", "copy", f"docker-archive:{archive}", name)
    assert proa("run", "--rm", name, "echo", "ran").stdout == "ran\n"


def test_the_store(proa: Command, registry: str, index: str, tmp_path: Path) -> None:
    source = f"{registry}/copy/source:one"
    proa("image", "copy", source, "store:copied:1")
    assert proa.output("run", "--rm", "--pull", "never", "copied:1", "cat", "/etc/one") == "one"
    proa("image", "copy", "store:copied:1", f"{registry}/copy/from-store:1")
    assert raw_manifest(f"{registry}/copy/from-store:1") == raw_manifest(source)
    proa("image", "copy", "store:copied:1", f"oci-archive:{tmp_path}/saved.tar:again:1")
    proa("image", "copy", f"oci-archive:{tmp_path}/saved.tar", "store:again:1")
    ids = proa.output("images", "-q", "--no-trunc").split()
    assert len(ids) == 2 and len(set(ids)) == 1


def test_damaged_blobs_go_nowhere(proa: Command, tmp_path: Path) -> None:
    with scripted.running() as source:
        manifest = source.put_image("1", [images.layer([images.Entry("x", b"x" * 99_999)])])
        digest = manifest["layers"][0]["digest"]
        source.blobs[digest] = source.blobs[digest][:-1] + b"x"
        for target in ("oci:layout", "oci-archive:archive"):
            transport, _, name = target.partition(":")
            place = tmp_path / name
            refused = proa("image", "copy", f"{source.host}/a:1", f"{transport}:{place}", code=1)
            assert "it was damaged or replaced" in refused.stderr
            assert not (place / "index.json").exists() and not place.is_file()


def test_places_that_are_none(proa: Command, tmp_path: Path) -> None:
    for source, target, said in (
        ("oci:", "a", "names no image"),
        ("http://a/b", "a", "unknown transport"),
        (f"oci-archive:{tmp_path}/none", "oci:x", "no such archive"),
        ("store:none", "oci:x", "no such image"),
        ("store:none", "docker-archive:x", "no such image"),
    ):
        assert said in proa("image", "copy", source, target, code=1).stderr


def test_a_list_of_manifests(proa: Command, registry: str, index: str, tmp_path: Path) -> None:
    name, source = f"{registry}/lists/made:1", f"{registry}/copy/source"
    assert proa.output("manifest", "create", name, f"{source}:one", f"{source}:other") == (
        f"Created manifest list {name}"
    )
    again = proa("manifest", "create", name, f"{source}:one", code=1)
    assert "refusing to amend an existing manifest list" in again.stderr
    proa("manifest", "create", "--amend", name, f"{source}:one")
    proa(
        *("manifest", "annotate", "--arch", "arm64", "--variant", "v8", "--os", "linux"),
        *("--os-features", "sse4,fast", name, f"{source}:other"),
    )
    shown = json.loads(proa.output("manifest", "inspect", name))
    assert [entry["platform"] for entry in shown["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8", "os.features": ["sse4", "fast"]},
    ]
    lines = proa.output("manifest", "push", "--purge", name).splitlines()
    data = raw_manifest(name)
    assert lines[-1] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert lines[0].startswith(f"Pushed ref {registry}/lists/made@sha256:")
    assert json.loads(data) == shown
    assert proa.output("run", "--rm", name, "cat", "/etc/one") == "one"
    gone = proa("manifest", "rm", name, code=1)
    assert f"no such manifest list: {name}" in gone.stderr
    # of what the registry has, now
    assert json.loads(proa.output("manifest", "inspect", name)) == shown
    details = json.loads(proa.output("manifest", "inspect", "-v", name))
    assert [item["Descriptor"] for item in details] == shown["manifests"]
    assert details[0]["OCIManifest"]["layers"]
    refused = proa("manifest", "create", f"{registry}/x:1", name, code=1)
    assert "is a manifest list" in refused.stderr


def test_inspecting_what_is_not_a_list(proa: Command, registry: str, index: str) -> None:
    name = f"{registry}/copy/source:one"
    shown = json.loads(proa.output("manifest", "inspect", name))
    assert shown == json.loads(raw_manifest(name))
    details = json.loads(proa.output("manifest", "inspect", "--verbose", name))
    assert details["Ref"] == name and details["Descriptor"]["platform"]["os"] == "linux"
    missing = proa("manifest", "inspect", f"{registry}/copy/none", code=1)
    assert "not found" in missing.stderr


def test_searching_a_catalog(proa: Command, registry: str, index: str) -> None:
    lines = proa.output("search", f"{registry}/copy").splitlines()
    assert lines[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert any(line.startswith("copy/source ") for line in lines)
    assert len(proa.output("search", "--limit", "1", f"{registry}/copy").splitlines()) == 2


def test_searching_as_docker_does(proa: Command) -> None:
    with scripted.running() as registry:

        def answer(request: scripted.Handler) -> bool:
            if not request.path.startswith("/v1/search?q=ngi&n=25"):
                return False
            found = [
                {"name": "nginx", "description": "Serves\x1b[2J " * 9, "star_count": 7,
                 "is_official": True},
                {"name": "me/nginx", "description": "", "star_count": 0},
            ]  # fmt: skip
            request.answer(200, json.dumps({"results": found}).encode())
            return True

        registry.faults.append(answer)
        lines = proa.output("search", f"{registry.host}/ngi").splitlines()
        assert lines[1].startswith("nginx ") and lines[1].endswith("7         [OK]")
        assert "\x1b" not in lines[1] and "…" in lines[1]
        for filter in ("stars=1", "is-official=true"):
            names = proa.output(
                "search", "-f", filter, "--format", "{{.Name}}", f"{registry.host}/ngi"
            )
            assert names == "nginx"
        registry.faults.clear()
        refused = proa("search", f"{registry.host}/ngi", code=1)
        assert "cannot be searched" in refused.stderr
    wrong = proa("search", "--limit", "0", "x", code=1)
    assert "outside the range of [1, 100]" in wrong.stderr
