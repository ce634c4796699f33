"""Full disks, removed and damaged files of the store, closed descriptors: told in one line."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.support import processes
from tests.support.command import Command

pytestmark = pytest.mark.root
NONE = ("--network", "none")


def refused(proa: Command, *arguments: str, code: int) -> str:
    """The one line by which a command is refused."""
    told = proa(*arguments, code=code).stderr
    assert len(told.splitlines()) == 1
    assert told.startswith("proa: ")
    return told


def test_disk_filled_by_a_container(alpine: Command) -> None:
    place = f"{alpine.root}/small"
    os.mkdir(place)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=True)
    small = Command(alpine.path, f"{place}/root")
    try:
        saved = f"{alpine.root}/alpine.tar"
        alpine("save", "-o", saved, "alpine")
        small("load", "-i", saved)
        script = "dd if=/dev/zero of=/f bs=64k 2>/dev/null; echo after"
        filled = small("run", "--name", "fill", *NONE, "alpine", "sh", "-c", script)
        assert filled.stdout == "after\n"
        assert small.output("inspect", "-f", "{{.State.ExitCode}}", "fill") == "0"
        assert "no space left" in refused(small, "run", "--rm", *NONE, "alpine", "true", code=125)
        small("rm", "fill")
        assert small.output("run", "--rm", *NONE, "alpine", "echo", "again") == "again"
        small("rmi", "alpine")
        processes.reap_orphans()
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_missing_and_damaged_bundle(alpine: Command) -> None:
    id = alpine.output("create", "--name", "victim", *NONE, "alpine", "true")
    path = f"{alpine.root}/containers/{id}"
    with open(f"{path}/config.json", "w", encoding="ascii") as file:
        file.write("{")
    assert "is damaged" in refused(alpine, "start", "victim", code=1)
    os.unlink(f"{path}/config.json")
    assert "is missing" in refused(alpine, "start", "victim", code=1)
    shutil.rmtree(path)
    assert "is missing" in refused(alpine, "start", "victim", code=1)
    alpine("rm", "victim")
    shutil.rmtree(f"{alpine.root}/containers")
    assert alpine.output("ps", "--all", "--quiet") == ""
    assert alpine.output("run", "--rm", *NONE, "alpine", "echo", "hi") == "hi"


def test_missing_layers(alpine: Command) -> None:
    os.rename(f"{alpine.root}/layers", f"{alpine.root}/away")
    assert "no such layer" in refused(alpine, "run", "--rm", *NONE, "alpine", "true", code=125)
    shutil.rmtree(f"{alpine.root}/layers", ignore_errors=True)
    os.rename(f"{alpine.root}/away", f"{alpine.root}/layers")
    assert alpine.output("ps", "--all", "--quiet") == ""


def test_damaged_database(proa: Command) -> None:
    proa("images")
    for name in os.listdir(proa.root):
        if name.startswith("proa.db"):
            os.unlink(f"{proa.root}/{name}")
    with open(f"{proa.root}/proa.db", "wb") as file:
        file.write(b"x" * 8192)
    assert "is damaged" in refused(proa, "ps", code=1)
    os.unlink(f"{proa.root}/proa.db")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors(alpine: Command, closed: str) -> None:
    command = alpine.argv("run", "--rm", *NONE, "alpine", "echo", "hi")
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *command],
        env=alpine.environment,
        capture_output=True,
        check=True,
    )
    assert done.stdout == (b"" if ">&-" in closed.split() else b"hi\n")
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("-u", "nosuch", "alpine", "true"), 125, "nosuch"),
        (("-u", "0:nosuch", "alpine", "true"), 125, "nosuch"),
        (("alpine", "nosuch"), 127, "nosuch"),
        (("alpine", "/etc"), 126, "is a directory"),
        (("alpine", "/etc/passwd"), 126, "/etc/passwd"),
        (("-w", "/etc/passwd", "alpine", "true"), 125, "/etc/passwd"),
        (("--pull", "never", "nosuch:1", "true"), 125, "nosuch:1"),
    ],
)
def test_what_cannot_be_run(
    alpine: Command, arguments: tuple[str, ...], code: int, word: str
) -> None:
    assert word in refused(alpine, "run", "--rm", *NONE, *arguments, code=code)
    assert alpine.output("ps", "--all", "--quiet") == ""


def test_a_root_with_a_long_name_in_another_script(alpine: Command) -> None:
    long = Command(alpine.path, f"{alpine.root}/sp äöü {'y' * 180}")
    subprocess.run(
        ["cp", "-a", "--", alpine.root + "/layers", alpine.root + "/blobs", "."],
        cwd=_made(long.root),
        check=True,
    )
    alpine("save", "-o", f"{alpine.root}/image.tar", "alpine")
    long("load", "-i", f"{alpine.root}/image.tar")
    long("run", "-d", "--name", "cc", *NONE, "alpine", "sleep", "100")
    assert long.output("exec", "cc", "echo", "in") == "in"
    long("rm", "-f", "cc")
    link = Command(alpine.path, f"{alpine.root}/link")
    os.symlink(long.root, link.root)
    assert link.output("run", "--rm", *NONE, "alpine", "echo", "link") == "link"


def _made(path: str) -> str:
    os.mkdir(path, 0o700)
    return path
