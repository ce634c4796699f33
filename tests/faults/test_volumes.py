"""kill -9 while a volume is made, filled or removed: it is there wholly or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.support import images, processes
from tests.support.command import Command

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace: install it"),
]

FILES = 200


@pytest.fixture
def tree(proa: Command) -> Command:
    """`proa` with the image `tree`, which has many files in /srv."""
    entries = [images.folder("srv")]
    entries += [images.Entry(f"srv/{number}", b"x" * 100) for number in range(FILES)]
    path = f"{proa.root}/../tree-{os.getpid()}.tar"
    with open(path, "wb") as file:
        layers = [images.busybox_layer(), images.layer(entries)]
        file.write(images.docker_archive(layers, "tree:latest"))
    proa("load", "-q", "-i", path)
    os.unlink(path)
    return proa


def killed(proa: Command, call: str, number: int, *arguments: str, follow: bool = True) -> bool:
    """Run a command, and kill who makes the call of that number; whether it came so far."""
    log = f"{proa.root}/strace"
    command = [
        *("strace", "-o", log, *(("-f",) if follow else ()), "-e", f"trace={call}"),
        *("-e", f"inject={call}:signal=SIGKILL:when={number}", *proa.argv(*arguments)),
    ]
    subprocess.run(
        command, env=proa.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
        check=False,
    )  # fmt: skip
    processes.reap_orphans()
    with open(log, encoding="utf-8", errors="replace") as file:
        return "killed by SIGKILL" in file.read()


def count(proa: Command) -> str:
    return proa.output("run", "--rm", "-v", "vol:/srv", "tree", "sh", "-c", "ls -A /srv | wc -l")


@pytest.mark.parametrize(
    ("call", "number", "left"),
    [
        ("fchown", 150, {"_data", ".proa-copying"}),
        ("renameat", 1, {"_data", ".proa-copying"}),
        ("renameat", 2, {"_data", ".proa-copied"}),
        ("renameat", 150, {"_data", ".proa-copied"}),
        ("llistxattr", 100, {"_data", ".proa-copying"}),
    ],
)
def test_a_half_done_copy_is_done_again(
    tree: Command, call: str, number: int, left: set[str]
) -> None:
    assert killed(tree, call, number, "run", "--name", "victim", "-v", "vol:/srv", "tree", "true")
    assert set(os.listdir(f"{tree.root}/volumes/vol")) == left
    tree("ps", "-a")
    assert count(tree) == str(FILES)
    assert os.listdir(f"{tree.root}/volumes/vol") == ["_data"]
    tree("rm", "-f", "victim")
    assert tree.output("volume", "rm", "vol") == "vol"


def test_one_that_has_it_already_goes_on_with_the_copy(tree: Command) -> None:
    # at a place where its own image has nothing
    tree("create", "--name", "other", "-v", "vol:/elsewhere", "tree", "sh", "-c",
         "ls -A /elsewhere | wc -l")  # fmt: skip
    assert tree.output("start", "-a", "other") == "0"
    killed(tree, "renameat", 100, "run", "--name", "victim", "-v", "vol:/srv", "tree", "true")
    assert 0 < len(os.listdir(f"{tree.root}/volumes/vol/_data")) < FILES
    assert tree.output("start", "-a", "other") == str(FILES)


@pytest.mark.parametrize(
    "flags", [("-v", "vol:/v"), ("--mount", "src=vol,dst=/v,volume-subpath=x")]
)
def test_one_whose_directory_is_gone(alpine: Command, flags: tuple[str, ...]) -> None:
    alpine("volume", "create", "vol")
    shutil.rmtree(f"{alpine.root}/volumes/vol")
    said = alpine("run", "--rm", *flags, "alpine", "true", code=125).stderr
    assert "volumes/vol/_data" in said and said.count("\n") == 1
    alpine("volume", "create", "vol")  # finds that it is gone, and makes it anew
    alpine("run", "--rm", "-v", "vol:/v", "alpine", "touch", "/v/x")


def test_the_death_of_the_command_does_not_matter(tree: Command) -> None:
    command = tree.start("run", "--name", "victim", "-v", "vol:/srv", "tree", "true")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not os.path.exists(f"{tree.root}/volumes/vol"):
        time.sleep(0.001)
    command.send_signal(signal.SIGKILL)
    command.communicate()
    assert count(tree) == str(FILES)
    tree("rm", "-f", "victim", code=None)


@pytest.mark.parametrize("number", (1, 3, 6))
@pytest.mark.parametrize("call", ["mkdir", "pwrite64", "fsync,fdatasync"])
def test_one_that_is_made_for_a_container(alpine: Command, call: str, number: int) -> None:
    flags = ("--name", "victim", "-v", "vol:/v", "-v", "/anonymous", "alpine")
    assert killed(alpine, call, number, "create", *flags, follow=False) or number > 1
    names = set(alpine.output("volume", "ls", "-q").split())
    rows = alpine.output("ps", "-aq").split()
    assert len(names) == (2 if rows else 0)
    if rows:
        alpine("start", "-a", "victim")
        alpine("rm", "-v", "victim")
    alpine("volume", "rm", "-f", "vol")
    assert os.listdir(f"{alpine.root}/volumes") == []


@pytest.mark.parametrize("call", ["rename", "pwrite64", "rmdir", "unlinkat"])
def test_a_removal_that_was_interrupted(alpine: Command, call: str) -> None:
    alpine("run", "--rm", "-v", "vol:/etc", "alpine", "true")
    assert killed(alpine, call, 1, "volume", "rm", "vol", follow=False)
    if alpine.output("volume", "ls", "-q") == "vol":
        # its files are there, or it is gone with the next command that looks after volumes
        if os.path.isdir(f"{alpine.root}/volumes/vol"):
            assert alpine.output("run", "--rm", "-v", "vol:/v", "alpine", "ls", "/v") != ""
        alpine("volume", "rm", "-f", "vol")
    assert alpine.output("volume", "create", "vol") == "vol"
    assert os.listdir(f"{alpine.root}/volumes") == ["vol"]
    assert alpine.output("run", "--rm", "-v", "vol:/v", "alpine", "ls", "/v") == ""


def test_a_container_s_removal_that_was_interrupted(alpine: Command) -> None:
    alpine("create", "--name", "victim", "-v", "/a", "alpine")
    assert killed(alpine, "unlink,rmdir,unlinkat", 1, "rm", "-v", "victim", follow=False)
    assert alpine.output("ps", "-aq") == ""
    alpine("volume", "create", "other")
    assert alpine.output("volume", "ls", "-q") == "other"
    assert os.listdir(f"{alpine.root}/volumes") == ["other"]
