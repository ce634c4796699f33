from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import images, registries
from tests.support.command import Command


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, binaries: str) -> Iterator[str]:
    """The host:port of a registry for all tests, each in repositories of its own.

    It is a docker-registry, or with PROA_TEST_REGISTRY=proa in the environment our own.
    """
    if os.environ.get("PROA_TEST_REGISTRY") == "proa":
        root = str(tmp_path_factory.mktemp("registry"))
        with registries.serving(Command(os.path.join(binaries, "proa"), root)) as host:
            yield host
        return
    if registries.PROGRAM is None:
        pytest.skip("no docker-registry: install it")
    with registries.running(str(tmp_path_factory.mktemp("registry"))) as host:
        yield host


@pytest.fixture
def proa(proa: Command, tmp_path: Path) -> Command:
    """The command of a user who has never logged in anywhere."""
    proa.environment["DOCKER_CONFIG"] = str(tmp_path / "docker")
    proa.environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    return proa


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OCI layouts to push with skopeo: `one`, `other` (a layer in common), both with a shell."""
    directory = tmp_path_factory.mktemp("layouts")
    shell = images.busybox_layer()
    for name in ("one", "other"):
        layers = [shell, images.layer([images.Entry(f"etc/{name}", name.encode())])]
        (directory / f"{name}.tar").write_bytes(images.oci_archive(layers, f"{name}:1"))
    return directory


def raw_manifest(reference: str) -> bytes:
    """A manifest as skopeo reads it."""
    return subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"],
        check=True,
        capture_output=True,
    ).stdout


def manifest_of(reference: str) -> dict[str, object]:
    """The same, parsed."""
    return dict(json.loads(raw_manifest(reference)))
