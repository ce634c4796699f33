"""`--runtime`: the same container by another OCI runtime."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time

import pytest

from tests.container.test_interactive import Terminal
from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture(params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest, alpine: Command) -> str:
    """A runtime that this machine has, and that takes the machine's cgroups."""
    name = str(request.param)
    if shutil.which(name) is None:
        pytest.skip(f"no {name} on this machine")
    result = alpine("run", "--rm", "--runtime", name, "alpine", "true", code=None)
    if "hybrid mode not supported" in result.stderr:
        pytest.skip(f"{name} cannot work with this machine's cgroups: {result.stderr.strip()}")
    return name


def test_output_exit_code_and_confinement_are_the_same(alpine: Command, runtime: str) -> None:
    script = (
        "echo out; echo err >&2; id; grep -E 'Cap|Seccomp:|NoNew' /proc/self/status; pwd; exit 3"
    )
    arguments = (
        "-w",
        "/etc",
        "-u",
        "nobody",
        "--cap-add",
        "NET_ADMIN",
        "alpine",
        "sh",
        "-c",
        script,
    )

    own = alpine("run", "--rm", *arguments, code=3)
    theirs = alpine("run", "--rm", "--runtime", runtime, *arguments, code=3)

    assert (theirs.stdout, theirs.stderr) == (own.stdout, own.stderr)
    assert alpine.output("ps", "-aq") == ""


def test_what_cannot_be_executed(alpine: Command, runtime: str) -> None:
    result = alpine("run", "--rm", "--runtime", runtime, "alpine", "nosuch", code=127)
    assert "nosuch" in result.stderr
    alpine("run", "--rm", "--runtime", runtime, "alpine", "/etc", code=126)
    assert alpine.output("ps", "-aq") == ""


def test_its_life(alpine: Command, runtime: str) -> None:
    script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"
    alpine(
        "run",
        "-d",
        "--name",
        "box",
        "--runtime",
        runtime,
        "-m",
        "64m",
        "alpine",
        "sh",
        "-c",
        script,
    )
    assert alpine.output("inspect", "-f", "{{.HostConfig.Runtime}}", "box") == runtime
    assert alpine.output("exec", "-e", "A=b", "box", "sh", "-c", "echo $A; id -u") == "b\n0"
    alpine("exec", "box", "sh", "-c", "exit 9", code=9)
    alpine("exec", "box", "nosuch", code=127)
    assert alpine("exec", "-i", "box", "cat", input="piped").stdout == "piped"
    alpine("pause", "box")
    assert alpine.output("ps", "--format", "{{.State}}") == "paused"
    alpine("unpause", "box")
    assert "sh -c" in alpine.output("top", "box")
    alpine("stop", "box")
    assert alpine.output("inspect", "-f", "{{.State.ExitCode}}", "box") == "7"
    alpine("start", "box")
    alpine("restart", "-t", "0", "box")
    time.sleep(0.3)
    assert alpine.output("logs", "box") == "up\nup\nup"
    alpine("kill", "box")
    alpine("rm", "box")


def test_a_terminal(alpine: Command, runtime: str) -> None:
    shell = Terminal(alpine, "run", "--rm", "-it", "--runtime", runtime, "alpine", "sh")
    shell.expect("# ")
    shell.resize(33, 111)
    time.sleep(0.3)
    shell.type("stty size; tty; exit 4\n")
    shell.expect("33 111")
    shell.expect("/dev/")

    assert shell.end() == 4


def test_an_unknown_runtime_is_named(alpine: Command) -> None:
    result = alpine("run", "--rm", "--runtime", "nosuch", "alpine", "true", code=125)

    assert "unknown runtime nosuch" in result.stderr
    assert alpine.output("ps", "-aq") == ""


@pytest.mark.parametrize(
    ("option", "arrives", "leaves"),
    [("rprivate", 0, 0), ("rslave", 1, 0), ("rshared", 1, 1)],
)
def test_mounts_made_later(
    alpine: Command, runtime: str, option: str, arrives: int, leaves: int
) -> None:
    with tempfile.TemporaryDirectory() as host:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", host], check=True)
        subprocess.run(["mount", "--make-shared", host], check=True)
        try:
            for name in ("late", "own"):
                os.mkdir(f"{host}/{name}")
            alpine(
                *("run", "-d", "--name", "box", "--runtime", runtime, "--cap-add", "SYS_ADMIN"),
                *("-v", f"{host}:/m:{option}", "alpine", "sleep", "1000"),
            )
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{host}/late"], check=True)
            inside = alpine.output("exec", "box", "cat", "/proc/self/mountinfo")
            assert inside.count(" /m/late ") == arrives
            alpine("exec", "box", "mount", "-t", "tmpfs", "tmpfs", "/m/own")
            with open("/proc/self/mountinfo") as file:
                assert file.read().count(f" {host}/own ") == leaves
            alpine("rm", "-f", "box")
        finally:
            subprocess.run(["umount", "-R", host], check=True)


def test_what_lies_beside_the_engine_cannot_be_shared(alpine: Command, runtime: str) -> None:
    with tempfile.TemporaryDirectory() as host:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", host], check=True)
        subprocess.run(["mount", "--make-shared", host], check=True)
        try:
            other = Command(alpine.path, f"{host}/root")
            alpine("save", "-o", f"{host}/alpine.tar", "alpine")
            other("load", "-q", "-i", f"{host}/alpine.tar")
            os.mkdir(f"{host}/m")
            flags = ("--runtime", runtime, "-v", f"{host}/m:/m:rshared")
            result = other("run", "--rm", *flags, "alpine", "true", code=125)
            assert "cannot be shared by another runtime" in result.stderr
        finally:
            subprocess.run(["umount", "-R", host], check=True)


def test_its_cgroup_is_known(alpine: Command, runtime: str) -> None:
    alpine("run", "-d", "--name", "box", "--runtime", runtime, "alpine", "sleep", "1000")
    alpine("exec", "-d", "box", "sleep", "2000")
    assert len(alpine.output("top", "box").splitlines()) == 3
    update = alpine("update", "-m", "32m", "--memory-swap", "32m", "--cpuset-cpus", "0", "box")
    assert update.stderr == ""
    status = alpine.output("exec", "box", "cat", "/proc/self/status")
    assert "Cpus_allowed_list:\t0\n" in status
    alpine("rm", "-f", "box")
    flags = ("--runtime", runtime, "-m", "16m", "--memory-swap", "16m")
    alpine("run", "--name", "big", *flags, "alpine", "tail", "/dev/zero", code=137)
    assert alpine.output("inspect", "-f", "{{.State.OOMKilled}}", "big") == "true"
