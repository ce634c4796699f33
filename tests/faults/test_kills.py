"""kill -9 of each process of ours, at each step of the commands that make and end containers.

strace delivers SIGKILL when a process makes the Nth system call of a name; without `-f` that is
the command alone, with it every process that it starts: monitor, its children, the container's
first process. A few steps of each are taken; PROA_TEST_ALL_STEPS=1 takes all.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.support import processes
from tests.support.command import Command

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace: install it"),
]

ALL = os.environ.get("PROA_TEST_ALL_STEPS") == "1"
ALONE = ("mkdir", "openat", "pwrite64", "sendmsg", "recvmsg")
TOGETHER = ("mkdir", "rename", "unlink", "fsmount", "clone3", "move_mount", "rmdir")
RUN = ("--network", "none", "--name", "victim", "alpine")


def steps() -> Iterator[int]:
    yield from range(1, 1000) if ALL else (1, 2, 5, 9, 17, 33)


def killed(proa: Command, call: str, number: int, follow: bool, *arguments: str) -> bool:
    """Run a command with the signal at that step; whether it came so far."""
    log = f"{proa.root}/strace"
    command = [
        *("strace", "-o", log, *(("-f",) if follow else ()), "-e", f"trace={call}"),
        *("-e", f"inject={call}:signal=SIGKILL:when={number}", *proa.argv(*arguments)),
    ]
    done = subprocess.run(
        command,
        env=proa.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    with open(log, encoding="utf-8", errors="replace") as file:
        return "killed by SIGKILL" in file.read() or done.returncode == -signal.SIGKILL


def settle(proa: Command) -> None:
    """The next commands work, and nothing of what was killed is left after them."""
    directory = f"{proa.root}/containers"
    for name in os.listdir(directory):
        os.utime(f"{directory}/{name}", (0, 0))  # what is young may be somebody's work
    listed = proa("ps", "--all", "--quiet", "--no-trunc")
    assert listed.stderr == ""
    ids = listed.stdout.split()
    assert sorted(os.listdir(directory)) == sorted(ids)
    assert proa("run", "--rm", "--network", "none", "alpine", "echo", "works").stdout == "works\n"
    if ids:
        assert proa("rm", "--force", *ids).stderr == ""
    left: list[str] = []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        processes.reap_orphans()
        left = [
            f"{place}/{name}"
            for place in ("containers", "ingest", "run", "run/oci", "run/leases")
            for name in os.listdir(f"{proa.root}/{place}")
            if f"{place}/{name}" not in ("run/oci", "run/leases", "run/locks", "run/monitors")
            and name != "collect"
        ]
        if not left:
            break
        time.sleep(0.02)
    assert left == []
    connection = sqlite3.connect(f"{proa.root}/proa.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.parametrize("verb", ["run", "run --rm", "create"])
@pytest.mark.parametrize("call", ALONE)
def test_command_killed(alpine: Command, verb: str, call: str) -> None:
    for number in steps():
        reached = killed(alpine, call, number, False, *verb.split(), *RUN, "true")
        settle(alpine)
        if not reached:
            break


@pytest.mark.parametrize("verb", ["run", "run --rm"])
@pytest.mark.parametrize("call", TOGETHER)
def test_each_process_killed(alpine: Command, verb: str, call: str) -> None:
    for number in steps():
        reached = killed(alpine, call, number, True, *verb.split(), *RUN, "true")
        settle(alpine)
        if not reached:
            break


@pytest.mark.parametrize("verb", ["start", "rm", "stop -t 0", "kill", "exec"])
@pytest.mark.parametrize("call", ["pwrite64", "sendmsg", "unlink"])
def test_command_on_a_container_killed(alpine: Command, verb: str, call: str) -> None:
    for number in (1, 2, 5) if not ALL else range(1, 1000):
        made = ("create",) if verb in ("start", "rm") else ("run", "--detach")
        alpine(*made, *RUN, "sleep", "1000")
        rest = ("true",) if verb == "exec" else ()
        reached = killed(alpine, call, number, False, *verb.split(), "victim", *rest)
        settle(alpine)
        if not reached:
            break


def monitor_of(proa: Command, name: str) -> int:
    """The parent of the container's first process."""
    pid = proa.output("inspect", "-f", "{{.State.Pid}}", name)
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_killed_monitor_is_noticed_and_told(alpine: Command) -> None:
    alpine("run", "-d", *RUN, "sleep", "1000")
    pid = int(alpine.output("inspect", "-f", "{{.State.Pid}}", "victim"))
    os.kill(monitor_of(alpine, "victim"), signal.SIGKILL)
    assert "Exited (137)" in alpine.output("ps", "--all", "--format", "{{.Status}}")
    assert "monitor was killed" in alpine.output("inspect", "-f", "{{.State.Error}}", "victim")
    processes.wait_until_gone(pid)
    alpine("start", "victim")
    assert alpine.output("inspect", "-f", "{{.State.Running}}", "victim") == "true"
    alpine("rm", "-f", "victim")
    settle(alpine)


def test_killed_monitor_of_a_container_that_is_not_kept(alpine: Command) -> None:
    alpine("run", "-d", "--rm", *RUN, "sleep", "1000")
    os.kill(monitor_of(alpine, "victim"), signal.SIGKILL)
    assert alpine.output("ps", "--all", "--quiet") == ""
    settle(alpine)


def test_killed_while_it_stops(alpine: Command) -> None:
    alpine("run", "-d", *RUN, "sleep", "1000")
    monitor = monitor_of(alpine, "victim")
    stopping = alpine.start("stop", "-t", "30", "victim")
    time.sleep(0.5)
    os.kill(monitor, signal.SIGKILL)
    _, told = stopping.communicate(timeout=10)
    assert b"Traceback" not in told
    assert len(told.splitlines()) <= 1
    assert alpine.output("inspect", "-f", "{{.State.Status}}", "victim") == "exited"
    settle(alpine)


def test_the_starter_may_die(alpine: Command) -> None:
    starter = alpine.start("run", *RUN, "sh", "-c", "echo up; sleep 1; echo done")
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"up\n"
    starter.kill()
    starter.communicate()
    assert alpine.output("wait", "victim") == "0"
    assert alpine.output("logs", "victim") == "up\ndone"
    settle(alpine)


def test_fifty_at_once(alpine: Command) -> None:
    running = [
        alpine.start("run", "--rm", "--network", "none", "alpine", "echo", str(number))
        for number in range(50)
    ]
    for number, process in enumerate(running):
        out, told = process.communicate(timeout=120)
        assert (process.returncode, out, told) == (0, f"{number}\n".encode(), b"")
    settle(alpine)


def test_one_name_for_twenty(alpine: Command) -> None:
    making = [alpine.start("create", *RUN, "true") for _ in range(20)]
    ended = [(process.communicate(timeout=60), process.returncode) for process in making]
    assert [code for _, code in ended].count(0) == 1
    for (_, told), code in ended:
        assert code == 0 or b"already in use" in told
    removing = [alpine.start("rm", "victim") for _ in range(20)]
    told = [process.communicate(timeout=60)[1] for process in removing]
    assert not [text for text in told if b"Traceback" in text or b"locked" in text]
    settle(alpine)
