"""What `--ipc` shares: /dev/shm and message queues, as far as the IPC namespace reaches."""

from __future__ import annotations

import os
import uuid

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root
SHM = "/dev/shm"


@pytest.fixture
def owner(alpine: Command) -> str:
    """A container that shares its IPC namespace, with a file in its shared memory."""
    alpine("run", "-d", "--name", "owner", "--ipc", "shareable", "--shm-size", "3m", "alpine",
           "sleep", "1000")  # fmt: skip
    alpine("exec", "owner", "sh", "-c", "echo from the owner > /dev/shm/note")
    return "owner"


def test_the_memory_of_another_container(alpine: Command, owner: str) -> None:
    for mode in (owner, alpine.output("inspect", "-f", "{{.Id}}", owner)[:12]):
        script = "cat /dev/shm/note; echo back > /dev/shm/answer; df -k /dev/shm | tail -n 1"
        shown = alpine.output("run", "--rm", "--ipc", f"container:{mode}", "alpine", "sh", "-c",
                              script).split()  # fmt: skip
        assert shown[:5] == ["from", "the", "owner", "shm", "3072"]
        assert alpine.output("exec", owner, "cat", "/dev/shm/answer") == "back"


def test_it_is_the_same_after_a_restart_of_both(alpine: Command, owner: str) -> None:
    alpine("run", "-d", "--name", "guest", "--ipc", f"container:{owner}", "alpine", "sleep", "1000")
    alpine("restart", "-t", "0", owner)
    alpine("restart", "-t", "0", "guest")
    alpine("exec", "guest", "touch", "/dev/shm/made-by-the-guest")
    assert alpine.output("exec", owner, "ls", SHM) == "made-by-the-guest"
    alpine("stop", "-t", "0", owner, "guest")
    assert "is not running" in alpine("start", "guest", code=1).stderr


def test_a_chain_of_containers_shares_one_memory(alpine: Command, owner: str) -> None:
    alpine("run", "-d", "--name", "guest", "--ipc", f"container:{owner}", "alpine", "sleep", "1000")
    last = ("run", "--rm", "--ipc", "container:guest", "alpine", "cat", f"{SHM}/note")
    assert alpine.output(*last) == "from the owner"


def test_a_mount_of_the_user_s_own_counts_more(alpine: Command, owner: str) -> None:
    arguments = ("run", "--rm", "--ipc", f"container:{owner}", "--tmpfs", SHM, "alpine", "ls", SHM)
    assert alpine.output(*arguments) == ""


def test_the_host_s_memory(alpine: Command) -> None:
    name = f"proa-tests-{uuid.uuid4().hex}"
    with open(f"{SHM}/{name}", "w") as file:
        file.write("of the host\n")
    try:
        script = f"cat {SHM}/{name}; echo more >> {SHM}/{name}; ls -d /dev/mqueue"
        shown = alpine.output("run", "--rm", "--ipc", "host", "alpine", "sh", "-c", script)
        assert shown.splitlines() == ["of the host", "/dev/mqueue"]
        with open(f"{SHM}/{name}") as file:
            assert file.read() == "of the host\nmore\n"
        for own in ("private", "shareable"):
            assert alpine.output("run", "--rm", "--ipc", own, "alpine", "ls", SHM) == ""
    finally:
        os.unlink(f"{SHM}/{name}")


def test_none(alpine: Command) -> None:
    script = "grep -c /dev/shm /proc/mounts; ls -d /dev/shm; readlink /proc/self/ns/ipc"
    result = alpine("run", "--rm", "--ipc", "none", "alpine", "sh", "-c", script)
    assert result.stdout.splitlines()[0] == "0"
    assert "No such file" in result.stderr
    assert result.stdout.splitlines()[1] != os.readlink("/proc/self/ns/ipc")


@pytest.mark.parametrize("mode", ["private", "none"])
def test_who_does_not_share_is_not_joined(alpine: Command, mode: str) -> None:
    alpine("run", "-d", "--name", "closed", "--ipc", mode, "alpine", "sleep", "1000")
    refused = alpine("run", "--rm", "--ipc", "container:closed", "alpine", "true", code=125)
    assert "non-shareable IPC" in refused.stderr
