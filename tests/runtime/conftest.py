"""The suite runs on each runtime: on runc first, which proves the tests, then on proa-runtime."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from tests.runtime.bundle import Bundle, Runtime

RUNTIMES = ("runc", "proa-runtime")


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest, binaries: str, bundle: Bundle) -> Iterator[Runtime]:
    name: str = request.param
    marker = request.node.get_closest_marker("beyond_runc")
    if name == "runc" and marker is not None:
        pytest.skip(f"runc: {marker.args[0]}")
    path = os.path.join(binaries, name) if name == "proa-runtime" else shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    found = Runtime(path, name, tempfile.mkdtemp(prefix="runtime-"))
    yield found
    found.clean()


@pytest.fixture
def ours(binaries: str, bundle: Bundle) -> Iterator[Runtime]:
    found = Runtime(
        os.path.join(binaries, "proa-runtime"), "proa-runtime", tempfile.mkdtemp(prefix="runtime-")
    )
    yield found
    found.clean()


@pytest.fixture
def bundle() -> Iterator[Bundle]:
    directory = tempfile.mkdtemp(prefix="bundle-")
    yield Bundle(os.path.join(directory, "b"))
    shutil.rmtree(directory)
