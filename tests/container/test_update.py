"""`update`: other limits and another restart policy, while the container runs and after."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root

V1 = not os.path.exists("/sys/fs/cgroup/cgroup.controllers")
MEMORY = "/sys/fs/cgroup/memory/memory.limit_in_bytes" if V1 else "/sys/fs/cgroup/memory.max"
PIDS = "/sys/fs/cgroup/pids/pids.max" if V1 else "/sys/fs/cgroup/pids.max"
MEGABYTE = 1 << 20


@pytest.fixture
def box(alpine: Command) -> str:
    alpine("run", "-d", "--name", "box", "-m", "64m", "--memory-swap", "-1", "alpine",
           "sleep", "1000")  # fmt: skip
    return "box"


def limit(proa: Command, name: str, file: str) -> str:
    """What the container itself reads of its limit."""
    return proa.output("exec", name, "cat", file)


def test_limits_of_a_running_container(alpine: Command, box: str) -> None:
    arguments = ("-m", "32m", "--pids-limit", "50", "--cpus", "0.5", "--memory-reservation", "16m")
    assert alpine.output("update", *arguments, box) == box

    assert limit(alpine, box, MEMORY) == str(32 * MEGABYTE)
    assert limit(alpine, box, PIDS) == "50"
    quota = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us" if V1 else "/sys/fs/cgroup/cpu.max"
    assert limit(alpine, box, quota).split()[0] == "50000"
    shown = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}"
    assert alpine.output("inspect", "-f", shown, box) == f"{32 * MEGABYTE} 50 500000000"


def test_they_stay_over_a_restart(alpine: Command, box: str) -> None:
    alpine("update", "-m", "32m", box)
    alpine("restart", "-t", "0", box)
    assert limit(alpine, box, MEMORY) == str(32 * MEGABYTE)


def test_limits_of_one_that_does_not_run_yet(alpine: Command) -> None:
    alpine("create", "--name", "later", "alpine", "sleep", "1000")
    alpine("update", "-m", "32m", "later")
    alpine("start", "later")
    assert limit(alpine, "later", MEMORY) == str(32 * MEGABYTE)


def test_a_limit_of_a_kind_that_there_was_none_of(alpine: Command, box: str) -> None:
    alpine("update", "--cpuset-cpus", "0", box)
    # in /sys/fs/cgroup it sees the hierarchies that it was born in: of this one, the machine's
    allowed = alpine.output("exec", box, "grep", "Cpus_allowed_list", "/proc/1/status")
    assert allowed.split() == ["Cpus_allowed_list:", "0"]
    # the check for what is left behind sees whether its cgroup goes, too
    alpine("stop", "-t", "0", box)


def test_no_limit_any_more(alpine: Command, box: str) -> None:
    alpine("update", "--pids-limit", "9", box)
    for none in ("0", "-1"):
        alpine("update", "--pids-limit", none, box)
        assert limit(alpine, box, PIDS) == "max"


def test_several_containers(alpine: Command, box: str) -> None:
    alpine("create", "--name", "other", "alpine")
    result = alpine("update", "-m", "32m", "--memory-swap", "32m", box, "nosuch", "other", code=1)
    assert result.stdout == f"{box}\nother\n"
    assert "no such container: nosuch" in result.stderr


@pytest.mark.parametrize(
    ("made_with", "flags", "said"),
    [
        ((), ("-m", "1m"), "minimum memory limit allowed is 6MB"),
        (("-m", "64m"), ("-m", "200m"), "update the memoryswap at the same time"),
        (("--cpus", "1"), ("--cpu-quota", "5000"), "NanoCPUs has already been set"),
        (("--cpu-period", "50000"), ("--cpus", "1"), "CPU period has already been set"),
        (("--rm",), ("--restart", "always"), "because AutoRemove is enabled"),
        ((), ("--cpuset-cpus", "4095"), "are not available"),
        ((), ("--restart", "sometimes"), 'invalid argument "sometimes" for "--restart" flag'),
        ((), ("--cpus", "100000"), "range of CPUs is from 0.01"),
        ((), (), "you must provide one or more flags"),
        ((), ("--bogus",), "unknown flag: --bogus"),
    ],
)
def test_what_cannot_be(
    alpine: Command, made_with: tuple[str, ...], flags: tuple[str, ...], said: str
) -> None:
    alpine("run", "-d", "--name", "box", *made_with, "alpine", "sleep", "1000")
    before = alpine.output("inspect", "-f", "{{json .HostConfig}}", "box")
    result = alpine("update", *flags, "box", code=None)
    assert result.returncode in (1, 125)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert alpine.output("inspect", "-f", "{{json .HostConfig}}", "box") == before


def test_the_restart_policy_of_a_running_container(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sleep", "1000")
    alpine("update", "--restart", "on-failure:3", "box")
    shown = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"
    assert alpine.output("inspect", "-f", shown, "box") == "on-failure 3"
    kill_first_process(alpine, "box")
    wait_for(alpine, "box", "{{.RestartCount}} {{.State.Status}}", "1 running")
    alpine("update", "--restart", "no", "box")
    kill_first_process(alpine, "box")
    wait_for(alpine, "box", "{{.State.Status}}", "exited")


def kill_first_process(proa: Command, name: str) -> None:
    """As the kernel would for lack of memory: nobody asked for the container's end."""
    subprocess.run(["kill", "-9", proa.output("inspect", "-f", "{{.State.Pid}}", name)], check=True)


def wait_for(proa: Command, name: str, template: str, wanted: str) -> None:
    deadline = time.monotonic() + 10
    while (shown := proa.output("inspect", "-f", template, name)) != wanted:
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)


def test_a_limit_below_what_is_in_use_is_refused(alpine: Command) -> None:
    script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=30 2>/dev/null; echo ready; sleep 1000"
    alpine("run", "-d", "--name", "box", "-m", "64m", "--memory-swap", "64m", "alpine",
           "sh", "-c", script)  # fmt: skip
    deadline = time.monotonic() + 10
    while alpine.output("logs", "box") != "ready":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    result = alpine("update", "-m", "8m", "--memory-swap", "8m", "box", code=None)
    if result.returncode:
        assert "memory" in result.stderr and "bytes are in use" in result.stderr
    # refused or granted, where there is swap, it goes on
    assert alpine.output("inspect", "-f", "{{.State.Running}}", "box") == "true"
