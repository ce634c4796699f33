"""create, start, stop, kill, pause, restart, rm, wait, rename, ps, logs, exec, attach, top."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def sleeper(alpine: Command) -> Iterator[Command]:
    """An engine with a running container `sleeper`."""
    alpine("run", "-d", "--name", "sleeper", "--stop-timeout", "1", "alpine", "sleep", "1000")
    yield alpine
    alpine("rm", "-f", "sleeper", code=None)


def status(proa: Command, name: str) -> str:
    return proa.output("inspect", "-f", "{{.State.Status}}", name)


def wait_for(proa: Command, name: str, expected: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while status(proa, name) != expected:
        assert time.monotonic() < deadline, f"{name} is {status(proa, name)}, not {expected}"
        time.sleep(0.02)


def test_the_whole_life(alpine: Command) -> None:
    id = alpine.output("create", "--name", "life", "alpine", "sh", "-c", "echo once; exit 3")
    assert status(alpine, "life") == "created"

    assert alpine.output("start", "life") == "life"
    assert alpine.output("wait", "life") == "3"
    assert status(alpine, "life") == "exited"
    assert alpine("start", "-a", id[:6], code=3).stdout == "once\n"
    assert alpine.output("logs", "life") == "once\nonce"
    assert alpine.output("rm", "life") == "life"
    assert alpine("inspect", "life", code=1).stderr != ""


def test_stop_sends_the_stop_signal_and_then_kill(alpine: Command) -> None:
    script = "trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    alpine(
        *("run", "-d", "--name", "polite", "--stop-signal", "USR1", "alpine", "sh", "-c", script)
    )
    while alpine.output("logs", "polite") != "ready":
        time.sleep(0.02)
    alpine("stop", "polite")
    assert alpine.output("inspect", "-f", "{{.State.ExitCode}}", "polite") == "5"
    alpine("rm", "polite")

    alpine("run", "-d", "--name", "deaf", "alpine", "sleep", "1000")
    begin = time.monotonic()
    alpine("stop", "-t", "1", "deaf")
    assert 0.9 < time.monotonic() - begin < 5
    assert alpine.output("inspect", "-f", "{{.State.ExitCode}}", "deaf") == "137"
    assert alpine.output("stop", "deaf") == "deaf"
    alpine("rm", "deaf")


def test_kill_with_a_signal(sleeper: Command) -> None:
    sleeper("kill", "-s", "KILL", "sleeper")
    assert status(sleeper, "sleeper") == "exited"
    result = sleeper("kill", "sleeper", code=1)
    assert "not running" in result.stderr
    assert "sleeper" in result.stderr


def test_pause_freezes_and_unpause_goes_on(alpine: Command) -> None:
    script = "while :; do echo tick; sleep 0.02; done"
    alpine("run", "-d", "--name", "clock", "alpine", "sh", "-c", script)
    alpine("pause", "clock")
    assert status(alpine, "clock") == "paused"
    assert "(Paused)" in alpine.output("ps")
    time.sleep(0.1)
    first = len(alpine.output("logs", "clock"))
    time.sleep(0.3)
    assert len(alpine.output("logs", "clock")) == first
    alpine("pause", "clock", code=1)
    alpine("unpause", "clock")
    time.sleep(0.2)
    assert len(alpine.output("logs", "clock")) > first
    alpine("pause", "clock")
    alpine("rm", "-f", "clock")


def test_restart_keeps_the_changes(alpine: Command) -> None:
    script = "date +%N >> /starts; wc -l < /starts; sleep 1000"
    alpine("run", "-d", "--name", "again", "alpine", "sh", "-c", script)
    while alpine.output("logs", "again") != "1":
        time.sleep(0.02)
    alpine("restart", "-t", "0", "again")
    while alpine.output("logs", "again") != "1\n2":
        time.sleep(0.02)
    alpine("rm", "-f", "again")


def test_restart_policy_on_failure(alpine: Command) -> None:
    alpine(
        *("run", "-d", "--name", "flaky", "--restart", "on-failure:2", "alpine"),
        *("sh", "-c", "echo try; exit 1"),
    )
    wait_for(alpine, "flaky", "exited")

    assert alpine.output("logs", "flaky") == "try\ntry\ntry"
    assert alpine.output("inspect", "-f", "{{.RestartCount}}", "flaky") == "2"
    alpine("rm", "flaky")


def test_restart_policy_always_ends_with_stop(alpine: Command) -> None:
    alpine("run", "-d", "--name", "eager", "--restart", "always", "alpine", "true")
    deadline = time.monotonic() + 10
    while int(alpine.output("inspect", "-f", "{{.RestartCount}}", "eager")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    alpine("stop", "eager")
    assert status(alpine, "eager") == "exited"
    alpine("rm", "eager")


def test_rm_of_a_running_container_needs_force(sleeper: Command) -> None:
    result = sleeper("rm", "sleeper", code=1)

    assert "sleeper" in result.stderr
    assert "force" in result.stderr
    assert sleeper.output("rm", "-f", "sleeper") == "sleeper"
    assert os.listdir(os.path.join(sleeper.root, "containers")) == []


def test_ps_lists_what_runs_and_all(sleeper: Command) -> None:
    sleeper("create", "--name", "idle", "--label", "a=b", "alpine", "true")

    assert sleeper.output("ps", "--format", "{{.Names}}") == "sleeper"
    assert sleeper.output("ps", "-a", "--format", "{{.Names}}") == "idle\nsleeper"
    assert sleeper.output("ps", "-a", "-f", "label=a=b", "--format", "{{.Names}}") == "idle"
    assert sleeper.output("ps", "-f", "status=created", "--format", "{{.Names}}") == "idle"
    header, row = sleeper.output("ps").splitlines()
    assert header.split() == [
        *("CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
    ]
    assert "alpine" in row
    assert '"sleep 1000"' in row
    sleeper("rm", "idle")


def test_rename(sleeper: Command) -> None:
    sleeper("rename", "sleeper", "dreamer")
    assert sleeper.output("ps", "--format", "{{.Names}}") == "dreamer"
    sleeper("rename", "dreamer", "sleeper")


def test_exec(sleeper: Command) -> None:
    assert sleeper.output("exec", "sleeper", "sh", "-c", "echo $0; cat /proc/1/comm") == "sh\nsleep"
    sleeper("exec", "sleeper", "sh", "-c", "exit 12", code=12)
    result = sleeper("exec", "-i", "sleeper", "cat", input="through\n")
    assert result.stdout == "through\n"
    result = sleeper(
        *("exec", "-u", "1000", "-w", "/tmp", "-e", "X=y", "sleeper"),
        *("sh", "-c", "id -u; pwd; echo $X; grep -E 'CapEff|Seccomp:' /proc/self/status"),
    )
    lines = result.stdout.splitlines()
    assert lines[:3] == ["1000", "/tmp", "y"]
    assert lines[3].split()[1] == "0000000000000000"
    assert lines[4].split()[1] == "2"


def test_exec_of_what_is_not_there(sleeper: Command) -> None:
    assert "nosuch" in sleeper("exec", "sleeper", "nosuch", code=127).stderr
    assert "/etc" in sleeper("exec", "sleeper", "/etc", code=126).stderr
    assert "nosuch" in sleeper("exec", "nosuch", "true", code=1).stderr
    sleeper("stop", "-t", "0", "sleeper")
    assert "not running" in sleeper("exec", "sleeper", "true", code=1).stderr


def test_exec_detached_outlives_its_client(sleeper: Command) -> None:
    sleeper("exec", "-d", "sleeper", "sh", "-c", "sleep 0.3; echo done > /done")
    deadline = time.monotonic() + 10
    while sleeper("exec", "sleeper", "cat", "/done", code=None).stdout != "done\n":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_exec_on_a_terminal(sleeper: Command) -> None:
    process, terminal = sleeper.start_on_terminal(
        "exec", "-it", "sleeper", "sh", "-c", "tty; stty size"
    )
    output = b""
    try:
        while chunk := os.read(terminal, 4096):
            output += chunk
    except OSError:
        pass
    assert process.wait(20) == 0
    os.close(terminal)
    assert b"/dev/pts/0" in output


def test_many_execs_at_once(sleeper: Command) -> None:
    processes = [
        sleeper.start("exec", "sleeper", "sh", "-c", f"sleep 0.1; echo {number}; exit {number}")
        for number in range(12)
    ]
    for number, process in enumerate(processes):
        output, errors = process.communicate(timeout=60)
        assert (output, process.returncode) == (f"{number}\n".encode(), number), errors


def test_logs(alpine: Command) -> None:
    script = "for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2; sleep 0.4; echo late"
    alpine("run", "-d", "--name", "writer", "alpine", "sh", "-c", script)
    follower = alpine.start("logs", "-f", "writer")
    output, errors = follower.communicate(timeout=30)

    assert output.decode().splitlines() == [*(f"line {i}" for i in range(1, 6)), "late"]
    assert errors == b"bad\n"
    assert alpine.output("logs", "--tail", "2", "writer") == "late"
    stamped = alpine.output("logs", "-t", "--tail", "1", "writer")
    moment, _, text = stamped.partition(" ")
    assert text == "late"
    assert moment.endswith("Z")
    assert alpine.output("logs", "--since", moment, "writer") == "late"
    alpine("rm", "-f", "writer")


def test_logs_are_rotated_and_still_whole_for_a_follower(alpine: Command) -> None:
    alpine(
        *("run", "-d", "--name", "chatty", "--log-opt", "max-size=20k", "--log-opt", "max-file=2"),
        *("alpine", "sh", "-c", "for i in $(seq 1 3000); do echo number $i; done"),
    )
    alpine("wait", "chatty")
    lines = alpine.output("logs", "chatty").splitlines()

    assert lines[-1] == "number 3000"
    assert len(lines) < 1000
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == list(range(numbers[0], 3001))
    alpine("rm", "chatty")


def test_attach_sees_output_and_gives_input(alpine: Command) -> None:
    alpine("run", "-d", "-i", "--name", "echoer", "alpine", "cat")
    client = alpine.start("attach", "echoer")
    watcher = alpine.start("attach", "--no-stdin", "echoer")
    assert client.stdin is not None
    assert client.stdout is not None
    assert watcher.stdout is not None
    time.sleep(0.3)
    client.stdin.write(b"hello\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"hello\n"
    assert watcher.stdout.readline() == b"hello\n"
    alpine("kill", "echoer")
    assert client.wait(20) == 137
    assert watcher.wait(20) == 137
    for process in (client, watcher):
        process.communicate()
    alpine("rm", "echoer")


def test_a_client_that_stops_reading_does_not_hold_the_container_up(alpine: Command) -> None:
    script = "i=0; while [ $i -lt 40 ]; do dd if=/dev/zero bs=64k count=4 2>/dev/null; i=$((i+1));"
    alpine(
        "create",
        "--name",
        "loud",
        "--log-driver",
        "none",
        "alpine",
        "sh",
        "-c",
        script + " done; touch /finished; sleep 1000",
    )
    client = alpine.start("start", "-a", "loud")
    deadline = time.monotonic() + 20
    while alpine("exec", "loud", "ls", "/finished", code=None).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.stdout is not None
    received = 0
    while received < 40 * 4 * 65536:
        received += len(client.stdout.read1(1 << 20))
    client.kill()
    client.communicate()
    alpine("rm", "-f", "loud")


def test_killing_the_command_that_started_it_does_no_harm(alpine: Command) -> None:
    client = alpine.start(
        "run", "--name", "orphan", "alpine", "sh", "-c", "echo up; sleep 1; echo still; sleep 1000"
    )
    assert client.stdout is not None
    assert client.stdout.readline() == b"up\n"
    client.send_signal(signal.SIGKILL)
    client.communicate()
    deadline = time.monotonic() + 10
    while alpine.output("logs", "orphan") != "up\nstill":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status(alpine, "orphan") == "running"
    alpine("rm", "-f", "orphan")


def test_a_killed_monitor_is_noticed_and_cleaned_up(sleeper: Command) -> None:
    pid = int(sleeper.output("inspect", "-f", "{{.State.Pid}}", "sleeper"))
    with open(f"/proc/{pid}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)
    while os.path.exists(f"/proc/{monitor}/exe"):
        time.sleep(0.01)

    assert sleeper.output("ps", "-q") == ""
    state = json.loads(sleeper.output("inspect", "-f", "{{json .State}}", "sleeper"))
    assert state["Status"] == "exited"
    assert state["ExitCode"] == 137
    assert "monitor" in state["Error"]
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}/exe"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sleeper("start", "sleeper")
    assert status(sleeper, "sleeper") == "running"


def test_top(sleeper: Command) -> None:
    header, row = sleeper.output("top", "sleeper").splitlines()

    assert "PID" in header
    assert "sleep 1000" in row


def test_errors_are_one_line_without_a_traceback(alpine: Command) -> None:
    for arguments in (("start", "nosuch"), ("logs", "nosuch"), ("rm", "nosuch"), ("top", "nosuch")):
        result = alpine(*arguments, code=1)
        assert "nosuch" in result.stderr
        assert "Traceback" not in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_fifty_at_once(alpine: Command) -> None:
    running = [alpine.start("run", "--rm", "alpine", "echo", str(n)) for n in range(50)]
    for number, process in enumerate(running):
        output, errors = process.communicate(timeout=120)
        assert (output, process.returncode) == (f"{number}\n".encode(), 0), errors
    assert alpine.output("ps", "-aq") == ""
    assert os.listdir(os.path.join(alpine.root, "containers")) == []
