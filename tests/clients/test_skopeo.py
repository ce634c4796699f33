"""skopeo reads what we save, and we load what it writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import images
from tests.support.command import Command

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("skopeo") is None, reason="no skopeo: install it"),
]


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def image_id(reference: str) -> str:
    manifest = json.loads(skopeo("inspect", "--raw", reference))
    return str(manifest["config"]["digest"])


@pytest.fixture
def busybox(proa: Command, images_dir: str) -> Command:
    proa("load", "-i", os.path.join(images_dir, images.BUSYBOX))
    return proa


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive", "oci"])
def test_it_reads_what_we_save(busybox: Command, tmp_path: Path, transport: str) -> None:
    path = str(tmp_path / "saved")
    format = {"oci": "oci-dir"}.get(transport, transport)
    busybox("save", "--format", format, "-o", path, "busybox:1.38.0-musl")
    source = f"{transport}:{path}:" + (
        "1.38.0-musl" if transport.startswith("oci") else "busybox:1.38.0-musl"
    )
    skopeo("copy", source, f"dir:{tmp_path}/copied")
    assert image_id(f"dir:{tmp_path}/copied") == busybox.output("images", "-q", "--no-trunc")
    if transport != "docker-archive":
        digest = json.loads(skopeo("inspect", source))["Digest"]
        facts = json.loads(busybox.output("image", "inspect", "busybox:1.38.0-musl"))[0]
        assert digest == facts["Descriptor"]["digest"]


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive", "oci"])
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_we_load_what_it_writes(
    proa: Command, images_dir: str, tmp_path: Path, transport: str, compression: str
) -> None:
    options = []
    if transport != "docker-archive" and compression != "none":
        options = [f"--dest-compress-format={compression}", "--dest-compress"]
    source = f"oci-archive:{images_dir}/{images.BUSYBOX_GLIBC}"
    path = f"{tmp_path}/written"
    skopeo("copy", *options, source, f"{transport}:{path}:quay.io/me/busybox:7")
    assert proa.output("load", "-i", path) == "Loaded image: quay.io/me/busybox:7"
    assert proa.output("images", "-q", "--no-trunc") == image_id(source)


def test_several_images_in_one_archive(busybox: Command, images_dir: str, tmp_path: Path) -> None:
    busybox("load", "-i", os.path.join(images_dir, images.BUSYBOX_GLIBC))
    path = str(tmp_path / "both.tar")
    busybox("save", "-o", path, "busybox:1.38.0-musl", "busybox:1.38.0-glibc")
    for tag in ("musl", "glibc"):
        skopeo(
            "copy",
            f"docker-archive:{path}:busybox:1.38.0-{tag}",
            f"oci:{tmp_path}/layout:{tag}",
        )
    other = Command(busybox.path, str(tmp_path / "other"))
    other("load", "-i", str(tmp_path / "layout"))
    # skopeo writes configs of its own, so the ids are others; the layers are the same
    template = "{{json .RootFS.Layers}}"
    assert {
        other.output("image", "inspect", "-f", template, id)
        for id in other.output("images", "-q").split()
    } == {
        busybox.output("image", "inspect", "-f", template, f"busybox:1.38.0-{tag}")
        for tag in ("musl", "glibc")
    }
