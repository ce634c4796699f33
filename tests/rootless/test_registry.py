"""Registries, as an ordinary user: what makes layers does so in the user namespace."""

from __future__ import annotations

from pathlib import Path

import pytest

from proa.lean.json import loads
from tests.support import registries
from tests.support.command import Command

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(registries.PROGRAM is None, reason="no docker-registry: install it"),
]


def test_push_run_and_pull(box: Command, tmp_path: Path) -> None:
    with registries.running(str(tmp_path)) as host:
        name = f"{host}/box:1"
        box("tag", "box", name)
        lines = box.output("push", name).splitlines()
        assert [line for line in lines if line.endswith(": Pushed")]
        box("rmi", name, "box")
        # run stays outside of the user namespace, and has it pulled in there
        done = box("run", "--rm", name, "cat", "/srv/of-seven")
        assert done.stdout == "7\n"
        told = done.stderr.splitlines()
        assert told[0] == f"Unable to find image '{name}' locally"
        assert f"Status: Downloaded newer image for {name}" in told
        assert any(line.endswith(": Pull complete") for line in told)
        assert box.output("pull", name).splitlines()[-2] == (
            f"Status: Image is up to date for {name}"
        )
        missing = box("run", "--rm", f"{host}/none", "true", code=125)
        assert "not found: manifest unknown" in missing.stderr
        box("image", "copy", "-q", name, "store:copied:1")
        assert box.output("run", "--rm", "--pull", "never", "copied:1", "id", "-u") == "0"


def test_serving(box: Command) -> None:
    with registries.serving(box) as host:
        status, _, body = registries.call(f"http://{host}/v2/_catalog")
        assert (status, loads(body)) == (200, {"repositories": ["library/box"]})
        box("tag", "box", f"{host}/pushed:1")
        box("push", "-q", f"{host}/pushed:1")
        assert registries.call(f"http://{host}/v2/pushed/manifests/1")[0] == 200
