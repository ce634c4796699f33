"""Images to and from Docker: each loads what the other saves, and calls it by the same id."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import images
from tests.support.command import Command

pytestmark = [pytest.mark.root, pytest.mark.slow]

Docker = Callable[..., str]


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    """A command of an own daemon, without network."""
    daemon = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if daemon is None or shutil.which("docker") is None:
        pytest.skip("no docker: install docker.io")
    place = tempfile.mkdtemp(prefix="docker-")
    with open(f"{place}/log", "wb") as log:
        process = subprocess.Popen(
            [
                daemon, "--host", f"unix://{place}/socket", "--data-root", f"{place}/data",
                "--exec-root", f"{place}/exec", "--pidfile", f"{place}/pid",
                "--bridge=none", "--iptables=false", "--ip-forward=false",
            ],
            stdout=log,
            stderr=log,
        )  # fmt: skip

    def run(*arguments: str) -> str:
        done = subprocess.run(
            ["docker", "--host", f"unix://{place}/socket", *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    try:
        for _ in range(150):
            if os.path.exists(f"{place}/socket"):
                break
            if process.poll() is not None:
                pytest.skip(
                    "dockerd does not start here: " + Path(f"{place}/log").read_text()[-300:]
                )
            time.sleep(0.1)
        yield run
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(place, ignore_errors=True)


def ids(list_images: Docker) -> set[str]:
    return set(
        list_images("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").split(
            "\n"
        )
    )


def test_docker_loads_what_we_save(
    docker: Docker, proa: Command, images_dir: str, tmp_path: Path
) -> None:
    proa("load", "-i", os.path.join(images_dir, images.BUSYBOX))
    proa("load", "-i", os.path.join(images_dir, images.BUSYBOX_GLIBC))
    proa("tag", "busybox:1.38.0-musl", "localhost:5000/mine:2")
    path = str(tmp_path / "saved.tar")
    proa("save", "-o", path, "busybox", "localhost:5000/mine:2")
    docker("load", "-i", path)
    assert ids(docker) == ids(proa.output)


def test_we_load_what_docker_saves(
    docker: Docker, proa: Command, images_dir: str, tmp_path: Path
) -> None:
    docker("import", "-c", 'CMD ["sh"]', os.path.join(images_dir, images.ALPINE), "alpine:3.20")
    docker("tag", "alpine:3.20", "quay.io/else/where:1")
    path = str(tmp_path / "saved.tar")
    docker("save", "-o", path, "alpine:3.20", "quay.io/else/where:1")
    said = proa.output("load", "-i", path)
    assert said == "Loaded image: alpine:3.20\nLoaded image: quay.io/else/where:1"
    assert ids(proa.output) <= ids(docker)
    template = "{{json .Config.Cmd}} {{json .RootFS.Layers}} {{.Created}} {{.Comment}}"
    assert proa.output("image", "inspect", "-f", template, "alpine:3.20") == docker(
        "image", "inspect", "-f", template, "alpine:3.20"
    )
    for template in ("{{.ID}} {{.CreatedBy}} {{.Comment}}", "{{.CreatedSince}}"):
        arguments = ("history", "--format", template, "alpine:3.20")
        assert proa.output(*arguments) == docker(*arguments)
