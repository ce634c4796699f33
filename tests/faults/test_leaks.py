"""The check for what is left behind sees each kind of thing that a test can leave."""

from __future__ import annotations

import os
import subprocess
import tempfile

import pytest

from tests.support import leaks


def found(before: leaks.Traces) -> str:
    return "\n".join(leaks.leaks(before, patience=0))


def test_process() -> None:
    before = leaks.observe()
    orphan = subprocess.run(
        ["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"process: {orphan.stdout.strip()}" in found(before)
    leaks.mend(before)
    assert found(before) == ""


def test_descriptor_and_file() -> None:
    before = leaks.observe()
    descriptor, path = tempfile.mkstemp()
    assert f"descriptor: {descriptor} -> {path}" in found(before)
    os.close(descriptor)
    assert f"file: {path}" in found(before)
    os.unlink(path)
    assert found(before) == ""


@pytest.mark.root
def test_mount() -> None:
    before = leaks.observe()
    path = tempfile.mkdtemp()
    subprocess.run(["mount", "-t", "tmpfs", "left", path], check=True)
    assert f"mount: {path} tmpfs left" in found(before)
    leaks.mend(before)
    os.rmdir(path)
    assert found(before) == ""


@pytest.mark.root
def test_cgroup() -> None:
    before = leaks.observe()
    _, hierarchies = leaks._mounts()
    for hierarchy in hierarchies:
        path = f"{hierarchy}/proa-left-{os.getpid()}"
        try:
            os.mkdir(path)
        except OSError:
            continue
        assert f"cgroup: {path}" in found(before)
        os.rmdir(path)
        break
    else:
        pytest.skip("no cgroup can be made here")
    assert f"proa-left-{os.getpid()}" not in found(before)
