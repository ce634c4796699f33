"""`info` and `version`: what they say is so, by Docker's names."""

from __future__ import annotations

import json
import os
import platform

import pytest

from proa import Engine
from tests.support.command import Command

pytestmark = pytest.mark.root


def test_what_the_engine_has(alpine: Command) -> None:
    alpine("run", "-d", "--name", "runs", "alpine", "sleep", "100")
    alpine("create", "alpine")
    alpine("run", "-d", "--name", "frozen", "alpine", "sleep", "100")
    alpine("pause", "frozen")
    found = json.loads(alpine.output("info", "--format", "json"))

    counts = [found[f"Containers{state}"] for state in ("", "Running", "Paused", "Stopped")]
    assert counts == [3, 1, 1, 1]
    assert found["Images"] == 1
    assert found["DockerRootDir"] == alpine.root
    assert found["NCPU"] == len(os.sched_getaffinity(0))
    assert found["KernelVersion"] == platform.release()
    assert found["MemoryLimit"] is True and found["PidsLimit"] is True
    assert found["Swarm"]["LocalNodeState"] == "inactive"
    assert "json-file" in found["Plugins"]["Log"]
    assert found["Driver"] == "overlay"
    assert found["ClientInfo"]["Context"] == "default"
    # the same engine has the same id, another one another
    assert alpine.output("info", "-f", "{{.ID}}") == found["ID"]
    alpine("unpause", "frozen")


def test_info_as_text(alpine: Command) -> None:
    result = alpine("info")
    lines = result.stdout.splitlines()
    assert "Server:" in lines and "Client:" in lines
    for line in (
        " Images: 1",
        "  Running: 0",
        " Swarm: inactive",
        f" Docker Root Dir: {alpine.root}",
    ):
        assert line in lines
    assert all(line.startswith("WARNING: ") for line in result.stderr.splitlines())
    shown = alpine.output("info", "-f", "{{.Name}} {{.ServerVersion}}").split()
    assert shown == [platform.node(), alpine.output("--version").split()[-1]]
    assert alpine("info", "-f", "{{", code=64).stdout == ""


def test_version(alpine: Command) -> None:
    text = alpine.output("version")
    assert text.startswith("Client:\n Version:") and "\nServer: proa\n Engine:\n" in text
    shown = "{{.Client.APIVersion}} {{.Server.APIVersion}} {{.Server.Arch}} {{.Server.Version}}"
    api, server_api, _, version = alpine.output("version", "-f", shown).split()
    assert api == server_api == "1.50"
    assert alpine.output("--version") == f"proa version {version}"
    known = json.loads(alpine.output("version", "--format", "json"))
    assert known["Server"]["Components"][0]["Name"] == "Engine"
    with Engine(alpine.root) as engine:
        assert engine.version()["Version"] == version
        assert engine.info()["ServerVersion"] == version


def test_update_takes_all_of_docker_s_flags(alpine: Command) -> None:
    shown = alpine.output("update", "--help")
    for flag in (
        *("--blkio-weight", "--cpu-period", "--cpu-quota", "--cpu-rt-period", "--cpu-rt-runtime"),
        *("-c, --cpu-shares", "--cpus", "--cpuset-cpus", "--cpuset-mems", "-m, --memory"),
        *("--memory-reservation", "--memory-swap", "--pids-limit", "--restart"),
    ):
        assert f"{flag} " in shown, flag
