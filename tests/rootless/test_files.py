"""cp, diff, commit, export and squash of an ordinary user."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.users import User

pytestmark = pytest.mark.root


@pytest.fixture
def place(tmp_path: Path, unprivileged_user: User) -> Path:
    """A directory of the user's, which others can get through to."""
    for path in (tmp_path, *tmp_path.parents[:2]):
        os.chmod(path, 0o755)
    top = tmp_path / "own"
    top.mkdir()
    (top / "sub").mkdir()
    (top / "sub" / "f").write_text("mine\n")
    for path in (top, top / "sub", top / "sub" / "f"):
        os.chown(path, unprivileged_user.uid, unprivileged_user.gid)
    return top


def test_files_in_and_out(box: Command, place: Path, unprivileged_user: User) -> None:
    box("run", "-d", "--name", "web", "--tmpfs", "/scratch", "box", "sleep", "600")
    box("create", "--name", "idle", "box", "cat", "/tmp/sub/f")

    for name in ("web", "idle"):
        box("cp", str(place / "sub"), f"{name}:/tmp")
        box("cp", f"{name}:/tmp/sub", str(place / name))
        assert (place / name / "f").read_text() == "mine\n"
        assert (place / name / "f").stat().st_uid == unprivileged_user.uid
    # the user's own files are root's inside
    assert box.output("exec", "web", "stat", "-c", "%u:%g", "/tmp/sub/f") == "0:0"
    assert box.output("start", "-a", "idle") == "mine"
    box("exec", "web", "sh", "-c", "echo other > /scratch/o; chown 7:8 /scratch/o")
    box("cp", "web:/scratch/o", str(place))
    assert (place / "o").stat().st_uid == unprivileged_user.uid
    data = subprocess.run(
        box.argv("cp", "web:/scratch", "-"), env=box.environment, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getmember("scratch/o").uid == 7
    subprocess.run(box.argv("cp", "-", "web:/tmp"), env=box.environment, input=data, check=True)
    assert box.output("exec", "web", "stat", "-c", "%u", "/tmp/scratch/o") == "7"
    assert "no such file" in box("cp", "web:/none", str(place), code=1).stderr
    assert "no such directory" in box("cp", str(place / "o"), "web:/none/", code=1).stderr
    assert "cannot reach" in box("cp", "/root/.x", "web:/tmp", code=1).stderr


def test_changes_become_an_image(box: Command) -> None:
    script = "rm /etc/os-release; mkdir /d; echo > /d/f; chown 7:8 /d/f; rm -rf /var; mkdir /var"
    box("run", "--name", "work", "box", "sh", "-c", script)

    found = box.output("diff", "work").splitlines()
    assert {"A /d", "A /d/f", "C /etc", "D /etc/os-release"} <= set(found)
    box("commit", "-c", "USER 7", "work", "made")
    assert box.output("run", "--rm", "made", "stat", "-c", "%u:%g", "/d/f") == "7:8"
    box("run", "--rm", "made", "test", "-e", "/etc/os-release", code=1)
    assert box.output("run", "--rm", "made", "id", "-u") == "7"
    box("image", "squash", "-t", "flat", "made")
    assert box.output("run", "--rm", "flat", "stat", "-c", "%u:%g", "/d/f") == "7:8"
    data = subprocess.run(
        box.argv("export", "work"), env=box.environment, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getmember("d/f").uid == 7
        assert "etc/os-release" not in tar.getnames()
    assert "made:latest" in box.output("image", "tree")
    box("run", "-d", "--name", "live", "box", "sleep", "600")
    box("commit", "live", "made")


def test_with_a_single_id(single: Command) -> None:
    proa = single
    proa("run", "--name", "work", "box", "sh", "-c", "echo x > /new; rm /etc/os-release")
    proa("commit", "work", "made")
    assert proa.output("run", "--rm", "made", "cat", "/new") == "x"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("foreign")
        info.uid = 1234
        tar.addfile(info)
    subprocess.run(
        proa.argv("cp", "-", "work:/tmp"),
        env=proa.environment,
        input=buffer.getvalue(),
        check=True,
    )
    assert "A /tmp/foreign" in proa.output("diff", "work")
