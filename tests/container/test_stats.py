"""`stats`: what containers use, as the kernel counts it."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


def shown(proa: Command, *arguments: str) -> dict[str, dict[str, str]]:
    lines = proa.output("stats", "--no-stream", "--format", "json", *arguments).splitlines()
    return {row["Name"]: row for row in map(json.loads, lines)}


def percent(text: str) -> float:
    return float(text.removesuffix("%"))


def test_who_is_busy_and_who_is_not(alpine: Command) -> None:
    alpine("run", "-d", "--name", "busy", "alpine", "sh", "-c", "while :; do :; done")
    idle = ("--name", "idle", "-m", "64m", "--network", "none")
    alpine("run", "-d", *idle, "alpine", "sh", "-c", "sleep 9 & exec sleep 100")
    alpine("create", "--name", "made", "alpine", "true")
    found = shown(alpine)

    assert set(found) == {"busy", "idle"}
    # others use the machine, too
    assert percent(found["busy"]["CPUPerc"]) > 5 > percent(found["idle"]["CPUPerc"])
    assert found["idle"]["PIDs"] == "2"
    assert found["idle"]["MemUsage"].endswith(" / 64MiB")
    assert 0 < percent(found["idle"]["MemPerc"]) < 50
    assert found["idle"]["NetIO"] == "0B / 0B"
    assert shown(alpine, "-a")["made"] == {
        **found["idle"],
        "Container": found_id(alpine, "made"),
        "ID": found_id(alpine, "made"),
        "Name": "made",
        "BlockIO": "0B / 0B",
        "CPUPerc": "0.00%",
        "MemPerc": "0.00%",
        "PIDs": "0",
        "MemUsage": "0B / 0B",
    }
    assert set(shown(alpine, "busy", "made")) == {"busy", "made"}


def found_id(proa: Command, name: str) -> str:
    return proa.output("inspect", "-f", "{{.Id}}", name)[:12]


def test_the_table(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sleep", "100")
    heading, line = alpine.output("stats", "--no-stream", "--no-trunc").splitlines()
    assert heading.split("   ")[0] == "CONTAINER ID"
    assert [part for part in heading.split("  ") if part] and heading.endswith("PIDS")
    assert line.split()[0] == alpine.output("ps", "-q", "--no-trunc")
    template = "table {{.Name}}\t{{.PIDs}}"
    table = alpine.output("stats", "--no-stream", "--format", template)
    assert [row.split() for row in table.splitlines()] == [["NAME", "PIDS"], ["box", "1"]]
    assert "no such container: nobody" in alpine("stats", "nobody", code=1).stderr


def test_again_and_again(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sleep", "100")
    process = alpine.start("stats", "--format", "{{.Name}}", "box")
    assert process.stdout is not None
    try:
        assert [process.stdout.readline() for _ in range(2)] == [b"box\n", b"box\n"]
    finally:
        process.kill()
        process.communicate()


def test_what_is_written_to_the_disk(alpine: Command) -> None:
    script = "dd if=/dev/zero of=/x bs=1M count=8 conv=fsync 2>/dev/null; echo done; sleep 100"
    alpine("run", "-d", "--name", "box", "alpine", "sh", "-c", script)
    deadline = time.monotonic() + 20
    while alpine.output("logs", "box") != "done":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    written = shown(alpine)["box"]["BlockIO"].split(" / ")[1]
    assert written.endswith("MB") and 8.3 < float(written[:-2]) < 20


def test_what_goes_through_the_network(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "--network", "none", "alpine", "sleep", "100")
    pid = alpine.output("inspect", "-f", "{{.State.Pid}}", "box")
    commands = (
        "ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up"
        " && ip addr add 192.0.2.1/24 dev v0"
        " && ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:01 dev v0"
        " && for i in 1 2 3; do bash -c 'head -c 1000 /dev/zero > /dev/udp/192.0.2.2/9'; done"
    )
    subprocess.run(["nsenter", "-t", pid, "-n", "sh", "-c", commands], check=True)
    for amount in shown(alpine)["box"]["NetIO"].split(" / "):
        assert amount.endswith("kB") and float(amount[:-2]) >= 3
