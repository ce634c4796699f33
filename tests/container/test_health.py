"""Health checks: run in the container, judged as Docker does, told by ps and inspect."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root

QUICK = ("--health-interval", "100ms", "--health-retries", "2")
"""A check is soon there, and soon over."""


def run(proa: Command, check: str, *flags: str, command: str = "sleep 1000") -> None:
    proa(
        *("run", "-d", "--name", "box", "--health-cmd", check, *QUICK, *flags, "alpine"),
        *("sh", "-c", command),
    )


def state(proa: Command) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(proa.output("inspect", "-f", "{{json .State}}", "box"))
    return found


def health_when(proa: Command, reached: Any) -> dict[str, Any]:
    """State.Health as soon as it is as `reached` says."""
    deadline = time.monotonic() + 20
    while True:
        health: dict[str, Any] = state(proa)["Health"]
        if reached(health):
            return health
        assert time.monotonic() < deadline, health
        time.sleep(0.05)


def is_(status: str) -> Any:
    return lambda health: health["Status"] == status


def test_a_check_that_succeeds_makes_it_healthy(alpine: Command) -> None:
    run(alpine, "test $MARK = seen && pwd && id -u && echo to stderr >&2", "-e", "MARK=seen",
        "-w", "/tmp", "-u", "7")  # fmt: skip

    health = health_when(alpine, is_("healthy"))

    assert health["FailingStreak"] == 0
    assert set(health["Log"][0]) == {"Start", "End", "ExitCode", "Output"}
    assert health["Log"][0]["ExitCode"] == 0
    assert health["Log"][0]["Output"] == "/tmp\n7\nto stderr\n"
    assert health["Log"][0]["Start"] < health["Log"][0]["End"]
    assert "(healthy)" in alpine.output("ps")
    assert alpine.output("ps", "-q", "--filter", "health=healthy") != ""
    assert alpine.output("ps", "-q", "--filter", "health=unhealthy") == ""
    # its output is in no log
    assert alpine.output("logs", "box") == ""

    alpine("stop", "-t", "0", "box")
    assert state(alpine)["Health"]["Status"] == "unhealthy"


def test_as_many_failures_as_retries_make_it_unhealthy_and_a_success_mends_that(
    alpine: Command,
) -> None:
    run(alpine, "test -e /well || { echo not well; exit 3; }")

    health = health_when(alpine, is_("unhealthy"))
    assert health["FailingStreak"] >= 2
    assert health["Log"][-1]["ExitCode"] == 3
    assert health["Log"][-1]["Output"] == "not well\n"
    assert "(unhealthy)" in alpine.output("ps")

    alpine("exec", "box", "touch", "/well")
    assert health_when(alpine, is_("healthy"))["FailingStreak"] == 0


def test_only_the_last_five_results_are_kept_and_what_each_says_is_cut(alpine: Command) -> None:
    run(alpine, "echo x >> /count; yes | head -c 5000; wc -l < /count")

    def six_are_over(_health: Any) -> bool:
        return int(alpine.output("exec", "box", "wc", "-l", "/count").split()[0]) > 6

    health_when(alpine, is_("healthy"))
    log = health_when(alpine, six_are_over)["Log"]

    assert len(log) == 5
    assert {result["Output"] for result in log} == {"y\n" * 2048 + "..."}


def test_failures_in_the_start_period_do_not_count(alpine: Command) -> None:
    run(alpine, "exit 1", "--health-start-period", "1h", "--health-start-interval", "50ms")

    health = health_when(alpine, lambda health: len(health["Log"]) >= 4)

    assert health["Status"] == "starting"
    assert health["FailingStreak"] == 0
    assert "(health: starting)" in alpine.output("ps")


def test_a_check_that_takes_too_long_is_killed_with_all_that_it_started(alpine: Command) -> None:
    # children, grandchildren, and one that has cut itself loose in every way; only once
    check = (
        "test -e /once && exit 1; touch /once;"
        " sleep 777 & (setsid sh -c 'sleep 778 & wait' &); echo begun; sleep 779"
    )
    run(alpine, check, "--health-timeout", "300ms")

    first = health_when(alpine, lambda health: health["Log"])["Log"][0]
    assert first["ExitCode"] == -1
    assert first["Output"] == "Health check exceeded timeout (300ms): begun\n"
    living = [
        line
        for line in alpine.output("top", "box", "-eo", "pid,stat,args").splitlines()
        if "sleep 77" in line and " Z" not in line
    ]
    assert living == []


def test_a_check_that_cannot_be_executed_has_failed(alpine: Command) -> None:
    run(alpine, "true", command="rm /bin/sh; exec sleep 1000")

    health = health_when(alpine, is_("unhealthy"))

    assert health["Log"][-1]["ExitCode"] == -1
    assert "/bin/sh" in health["Log"][-1]["Output"]


def test_without_a_check_there_is_no_word_of_health(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "--no-healthcheck", "alpine", "sleep", "1000")

    assert "Health" not in state(alpine)
    assert "healthy" not in alpine.output("ps")
    assert alpine.output("ps", "-q", "--filter", "health=none") != ""


def test_the_image_says_what_the_user_leaves_open(alpine: Command) -> None:
    with_check = ("--change", "HEALTHCHECK --interval=100ms --retries=1 CMD false")
    alpine("import", *with_check, "--change", 'CMD ["sleep", "1000"]', _rootfs(alpine), "checked")
    alpine("run", "-d", "--name", "box", "--health-retries", "2", "checked")

    health = health_when(alpine, is_("unhealthy"))

    assert health["FailingStreak"] >= 2
    wanted = json.loads(alpine.output("inspect", "-f", "{{json .Config.Healthcheck}}", "box"))
    assert wanted == {"Test": ["CMD-SHELL", "false"], "Interval": 100_000_000, "Retries": 2}


def test_a_frozen_container_is_not_checked(alpine: Command) -> None:
    run(alpine, "echo x >> /count")
    health_when(alpine, is_("healthy"))
    alpine("pause", "box")
    time.sleep(0.2)  # one may have ended just before
    last = state(alpine)["Health"]["Log"][-1]
    time.sleep(0.4)
    assert state(alpine)["Health"]["Log"][-1] == last
    alpine("unpause", "box")
    health_when(alpine, lambda health: health["Log"][-1] != last)


def test_with_its_monitor_a_check_ends(alpine: Command) -> None:
    run(alpine, "touch /begun; sleep 777", "--health-timeout", "1h")
    while alpine("exec", "box", "test", "-e", "/begun", code=None).returncode:
        time.sleep(0.02)
    with open(f"/proc/{state(alpine)['Pid']}/stat", encoding="ascii") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)

    # and no process is left: every test looks for that
    assert state(alpine)["Status"] == "exited"
    assert state(alpine)["Health"]["Status"] == "unhealthy"


def test_an_unhealthy_container_is_started_again_by_its_policy(alpine: Command) -> None:
    run(
        alpine,
        "test -e /well",
        *("--restart", "on-unhealthy:3", "--stop-timeout", "1"),
        command="trap 'touch /well; exit 0' TERM; echo begun; while :; do sleep 0.05; done",
    )

    health_when(alpine, is_("healthy"))

    assert alpine.output("inspect", "-f", "{{.RestartCount}}", "box") == "1"
    assert alpine.output("logs", "box") == "begun\nbegun"
    alpine("stop", "-t", "0", "box")
    assert state(alpine)["Status"] == "exited"


def test_that_policy_has_an_end_and_can_be_given_later(alpine: Command) -> None:
    run(alpine, "exit 1", "--stop-timeout", "0")
    health_when(alpine, is_("unhealthy"))
    assert alpine.output("inspect", "-f", "{{.RestartCount}}", "box") == "0"

    alpine("update", "--restart", "on-unhealthy:1", "box")

    deadline = time.monotonic() + 10
    while alpine.output("inspect", "-f", "{{.RestartCount}}", "box") != "1":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    health = health_when(alpine, lambda health: health["FailingStreak"] > 3)
    assert health["Status"] == "unhealthy"
    assert state(alpine)["Status"] == "running"


def test_that_policy_needs_a_check(alpine: Command) -> None:
    result = alpine("create", "--restart", "on-unhealthy", "alpine", "true", code=1)
    assert "health check" in result.stderr
    alpine("create", "--name", "box", "alpine", "true")
    result = alpine("update", "--restart", "on-unhealthy", "box", code=1)
    assert "health check" in result.stderr


def test_what_an_image_cannot_mean_is_refused(alpine: Command) -> None:
    alpine("import", "--change", "HEALTHCHECK CMD []", _rootfs(alpine), "odd")
    result = alpine("run", "odd", "true", code=125)
    assert "says no command" in result.stderr
    assert alpine.output("run", "--rm", "--no-healthcheck", "odd", "echo", "ran") == "ran"


def _rootfs(proa: Command) -> str:
    """An archive of a file system that has a shell."""
    path = os.path.join(proa.root, "rootfs.tar")
    if not os.path.exists(path):
        layers = os.path.join(proa.root, "layers")
        layer = next(name for name in os.listdir(layers) if len(name) == 64)
        subprocess.run(["tar", "-cf", path, "-C", f"{layers}/{layer}/fs", "."], check=True)
    return path
