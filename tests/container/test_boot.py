"""What runs again after the machine was started anew; restart policies with stop, kill, update."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


def state(proa: Command, name: str, field: str = "Status") -> str:
    return proa.output("inspect", "-f", f"{{{{.State.{field}}}}}", name)


def run(proa: Command, name: str, *flags: str, command: tuple[str, ...] = ("sleep", "1000")) -> str:
    return proa.output("run", "-d", "--name", name, *flags, "alpine", *command)


def lose_power(proa: Command) -> None:
    """Kill everything at once, and have the rows be those of another boot of the machine."""
    locks = os.path.join(proa.root, "run", "monitors")
    inode = f":{os.stat(locks).st_ino} "
    with open("/proc/locks") as file:
        monitors = {int(line.split()[4]) for line in file if inode in line}
    for pid in monitors:
        os.kill(pid, signal.SIGKILL)
    with sqlite3.connect(os.path.join(proa.root, "proa.db")) as database:
        database.execute(
            "UPDATE containers SET state = json_set(state, '$.boot', 'of-the-last-boot')"
            " WHERE json_extract(state, '$.boot') IS NOT NULL"
        )
    database.close()


def test_what_ran_runs_again_as_its_policy_says(alpine: Command) -> None:
    run(alpine, "plain")
    run(alpine, "eager", "--restart", "always")
    run(alpine, "steady", "--restart", "unless-stopped")
    run(alpine, "flaky", "--restart", "on-failure:3")
    run(alpine, "passing", "--rm")
    run(alpine, "eager-stopped", "--restart", "always")
    run(alpine, "steady-stopped", "--restart", "unless-stopped")
    run(alpine, "steady-killed", "--restart", "unless-stopped")
    alpine("create", "--name", "fresh", "--restart", "always", "alpine", "true")
    alpine("stop", "-t", "0", "eager-stopped", "steady-stopped")
    alpine("kill", "steady-killed")
    lose_power(alpine)

    started = alpine.output("system", "boot").split()

    assert sorted(started) == ["eager", "eager-stopped", "flaky", "steady"]
    for name in started:
        assert state(alpine, name) == "running"
    assert state(alpine, "plain") == "exited"
    assert state(alpine, "plain", "ExitCode") == "255"
    assert "machine went down" in state(alpine, "plain", "Error")
    assert state(alpine, "steady-stopped") == state(alpine, "steady-killed") == "exited"
    assert state(alpine, "fresh") == "created"
    assert "passing" not in alpine.output("ps", "-a")
    # what runs is left alone, and so is what is stopped from now on
    alpine("stop", "-t", "0", "eager")
    assert alpine.output("system", "boot") == ""


def test_who_joins_anothers_namespaces_starts_after_it(alpine: Command) -> None:
    script = ("sh", "-c", "readlink /proc/self/ns/net; sleep 1000")
    for name in ("c", "b", "a"):  # the newest first in every list
        run(alpine, f"{name}-base", "--restart", "always", "--network", "none", command=script)
    alpine("rm", "-f", "b-base")
    run(alpine, "joined", "--restart", "always", "--network", "container:a-base", command=script)
    # now the one that is joined is the newest: by their ages alone the order would be wrong
    with sqlite3.connect(os.path.join(alpine.root, "proa.db")) as database:
        database.execute("UPDATE containers SET row = row + 1000 WHERE name = 'a-base'")
    database.close()
    lose_power(alpine)

    started = alpine.output("system", "boot").split()

    assert sorted(started) == ["a-base", "c-base", "joined"]
    assert started.index("a-base") < started.index("joined")
    namespaces = {
        name: os.readlink(f"/proc/{state(alpine, name, 'Pid')}/ns/net") for name in started
    }
    assert namespaces["joined"] == namespaces["a-base"] != namespaces["c-base"]


def test_several_at_a_time_do_not_quarrel(alpine: Command) -> None:
    names = {f"c{number}" for number in range(6)}
    for name in names:
        run(alpine, name, "--restart", "always")
    lose_power(alpine)

    boots = [alpine.start("system", "boot") for _ in range(3)]

    for boot in boots:
        _, errors = boot.communicate(timeout=60)
        assert (boot.returncode, errors) == (0, b"")
    assert set(alpine.output("ps", "--format", "{{.Names}}").split()) == names


def test_one_that_cannot_start_does_not_keep_the_others(alpine: Command) -> None:
    run(alpine, "broken", "--restart", "always")
    run(alpine, "sound", "--restart", "always")
    id = alpine.output("inspect", "-f", "{{.Id}}", "broken")
    lose_power(alpine)
    os.unlink(os.path.join(alpine.root, "containers", id, "config.json"))

    result = alpine("system", "boot", code=1)

    assert result.stdout.split() == ["sound"]
    assert "broken" in result.stderr


def test_halt_stops_all_as_they_wish_and_boot_brings_them_back(alpine: Command) -> None:
    trap = ("sh", "-c", "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done")
    run(alpine, "steady", "--restart", "unless-stopped", command=trap)
    run(alpine, "flaky", "--restart", "on-failure", command=trap)
    run(alpine, "plain", command=trap)
    for name in ("steady", "flaky", "plain"):
        while alpine.output("logs", name) != "hello":
            time.sleep(0.02)

    assert sorted(alpine.output("system", "halt").split()) == ["flaky", "plain", "steady"]
    assert alpine.output("ps", "-q") == ""
    assert alpine.output("logs", "steady") == "hello\nbye"

    assert sorted(alpine.output("system", "boot").split()) == ["flaky", "steady"]
    assert state(alpine, "plain", "ExitCode") == "0"


def test_a_container_that_was_killed_by_its_own_signal_is_not_started_again(
    alpine: Command,
) -> None:
    run(alpine, "eager", "--restart", "always", "--stop-signal", "QUIT", "--init")
    alpine("kill", "-s", "TERM", "eager")  # neither KILL nor its stop signal
    deadline = time.monotonic() + 10
    while alpine.output("inspect", "-f", "{{.RestartCount}}", "eager") != "1":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    while state(alpine, "eager") != "running":
        time.sleep(0.02)
    alpine("kill", "-s", "QUIT", "eager")
    while state(alpine, "eager") != "exited":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # a start of the user's begins to count anew
    alpine("start", "eager")
    assert alpine.output("inspect", "-f", "{{.RestartCount}}", "eager") == "0"


def test_update_of_the_policy_counts_from_the_next_end_on(alpine: Command) -> None:
    run(alpine, "eager", "--restart", "always")
    alpine("update", "--restart", "no", "eager")
    os.kill(int(state(alpine, "eager", "Pid")), signal.SIGKILL)
    assert alpine.output("wait", "eager") == "137"
    assert state(alpine, "eager") == "exited"
    policy = json.loads(alpine.output("inspect", "-f", "{{json .HostConfig.RestartPolicy}}",
                                      "eager"))  # fmt: skip
    assert policy == {"Name": "no", "MaximumRetryCount": 0}


def test_the_service_calls_boot_and_halt_of_this_engine(proa: Command) -> None:
    place = os.path.join(proa.root, "units 100%")
    path = proa.output("system", "service", "install", "--directory", place)

    with open(path) as file:
        text = file.read()
    assert text == proa.output("system", "service", "show") + "\n"
    assert "system boot" in text
    assert "system halt" in text
    assert proa.root in text
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
        )
        assert os.path.basename(path) not in checked.stderr, checked.stderr
    assert proa.output("system", "service", "uninstall", "--directory", place) == path
    assert not os.path.exists(path)
    result = proa("system", "service", "uninstall", "--directory", place, code=1)
    assert "nothing to uninstall" in result.stderr
    proa("system", "service", "reinstall", code=125)
