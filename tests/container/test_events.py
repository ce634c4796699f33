"""`events`: what happens to containers and images is told, in order and in full."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from proa import Engine
from tests.support.command import Command

pytestmark = pytest.mark.root


def since(proa: Command, *arguments: str) -> list[str]:
    """What has happened so far."""
    return proa.output("events", "--since", "1", "--until", "0s", *arguments).splitlines()


def actions(proa: Command, *arguments: str) -> list[str]:
    time.sleep(0.05)  # what a monitor notes by itself may take this long
    return since(proa, "--format", "{{.Action}}", "--filter", "type=container", *arguments)


def test_a_short_run(alpine: Command) -> None:
    of_containers = ("--format", "json", "--filter", "type=container")
    alpine("run", "--rm", "--name", "box", "-l", "a=b", "alpine", "sh", "-c", "exit 3", code=3)
    found = [json.loads(line) for line in since(alpine, *of_containers)][-5:]

    assert [event["Action"] for event in found] == ["create", "attach", "start", "die", "destroy"]
    moments = [event["timeNano"] for event in found]
    assert moments == sorted(moments)
    die = found[3]
    attributes = {"a": "b", "execDuration": "0", "exitCode": "3", "image": "alpine", "name": "box"}
    assert die["Actor"] == {"ID": found[0]["id"], "Attributes": attributes}
    assert (die["status"], die["from"], die["Type"], die["scope"]) == (
        "die",
        "alpine",
        "container",
        "local",
    )
    assert die["time"] == die["timeNano"] // 10**9


def test_the_life_of_a_container(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sh", "-c", "trap exit TERM; sleep 100 & wait")
    alpine("exec", "box", "echo", "hi")
    alpine("exec", "-d", "box", "true")
    alpine("kill", "-s", "WINCH", "box")
    alpine("pause", "box")
    alpine("unpause", "box")
    alpine("top", "box")
    alpine("update", "--pids-limit", "50", "box")
    alpine("rename", "box", "other")
    alpine("restart", "other")
    alpine("stop", "-t", "0", "other")
    alpine("rm", "other")
    found = actions(alpine)
    execs = [action for action in found if action.startswith("exec")]
    assert [action for action in found if action not in execs] == [
        *("create", "start", "kill", "pause", "unpause", "top", "update", "rename"),
        *("kill", "die", "stop", "start", "restart"),
        *("kill", "die", "stop", "destroy"),
    ]
    assert sorted(execs) == sorted(
        [
            *("exec_create: echo hi", "exec_start: echo hi", "exec_die"),
            *("exec_create: true", "exec_start: true", "exec_die"),
        ]
    )


def test_what_they_say(alpine: Command) -> None:
    alpine("create", "--name", "box", "alpine", "sleep", "100")
    alpine("rename", "box", "other")
    alpine("start", "other")
    alpine("exec", "other", "sh", "-c", "exit 4", code=4)
    alpine("rm", "-f", "other")
    found = {
        event["Action"].partition(":")[0]: event["Actor"]["Attributes"]
        for event in map(json.loads, since(alpine, "--format", "json"))
    }
    assert found["rename"] == {"image": "alpine", "name": "other", "oldName": "box"}
    assert found["exec_die"]["exitCode"] == "4"
    assert found["exec_die"]["execID"] == found["exec_start"]["execID"]
    assert found["kill"]["signal"] == "9"
    assert found["die"]["exitCode"] == "137"


def test_one_that_cannot_start(alpine: Command) -> None:
    for arguments in (("--rm",), ("-d", "--name", "box")):
        alpine("run", *arguments, "alpine", "nosuch", code=127)
    assert actions(alpine) == ["create", "die", "destroy", "create", "die"]


def test_out_of_memory(alpine: Command) -> None:
    script = "exec tail /dev/zero"
    alpine("run", "--name", "box", "-m", "8m", "--memory-swap", "8m", "alpine", "sh", "-c", script,
           code=137)  # fmt: skip
    assert actions(alpine) == ["create", "attach", "start", "oom", "die"]


def test_restarts_by_the_policy(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "--restart", "on-failure:1", "alpine", "false")
    alpine("wait", "box")
    deadline = time.monotonic() + 10
    while actions(alpine).count("die") < 2:
        assert time.monotonic() < deadline
    assert actions(alpine) == ["create", "start", "die", "start", "die"]


def test_health(alpine: Command) -> None:
    check = ("--health-cmd", "test -e /well", "--health-interval", "50ms", "--health-retries", "1")
    alpine(
        "run",
        "-d",
        "--name",
        "box",
        *check,
        "alpine",
        "sh",
        "-c",
        "sleep 0.5; touch /well; sleep 9",
    )
    wanted = ["health_status: unhealthy", "health_status: healthy"]
    deadline = time.monotonic() + 10
    while actions(alpine, "-f", "event=health_status") != wanted:
        assert time.monotonic() < deadline, actions(alpine)


def test_a_killed_monitor(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sleep", "100")
    pid = int(alpine.output("inspect", "-f", "{{.State.Pid}}", "box"))
    with open(f"/proc/{pid}/stat") as file:
        os.kill(int(file.read().rpartition(")")[2].split()[1]), signal.SIGKILL)
    assert alpine.output("ps", "-aq", "-f", "status=exited")
    assert actions(alpine) == ["create", "start", "die"]


def test_images(alpine: Command) -> None:
    id = alpine.output("images", "-q", "--no-trunc")
    alpine("tag", "alpine", "me/tool:2")
    alpine("save", "-o", "/dev/null", "me/tool:2")
    alpine("rmi", "me/tool:2")
    alpine("rmi", "alpine")
    shown = since(alpine, "--format", "{{.Type}} {{.Action}} {{.ID}} {{.Actor.Attributes.name}}")
    assert shown == [
        f"image import {id} alpine:latest",
        f"image tag {id} me/tool:2",
        f"image save {id} alpine:latest",
        f"image untag {id} me/tool:2",
        f"image untag {id} alpine:latest",
        f"image delete {id} {id}",
    ]


def test_prune(alpine: Command) -> None:
    alpine("create", "alpine")
    alpine("container", "prune", "-f")
    alpine("image", "prune", "-f")
    shown = since(alpine, "--format", "{{.Type}} {{.Action}}", "-f", "event=prune")
    assert shown == ["container prune", "image prune"]


def test_filters_and_the_plain_form(alpine: Command) -> None:
    alpine("create", "--name", "web", "alpine")
    alpine("create", "--name", "db", "-l", "tier=data", "alpine")
    alpine("rm", "web")
    id = alpine.output("ps", "-aq", "--no-trunc")
    (line,) = since(alpine, "-f", "container=db", "-f", "event=create", "-f", "image=alpine")
    assert line.split(" ", 1)[1] == f"container create {id} (image=alpine, name=db, tier=data)"
    assert len(since(alpine, "-f", "label=tier=data", "-f", "type=container")) == 1
    assert actions(alpine, "-f", "container=web") == ["create", "destroy"]
    assert since(alpine, "-f", "container=nobody") == []
    assert "invalid filter 'bogus'" in alpine("events", "-f", "bogus=1", code=1).stderr
    assert "invalid value for" in alpine("events", "--since", "tomorrow", code=125).stderr


def test_a_reader_sees_what_happens_meanwhile(alpine: Command) -> None:
    reader = alpine.start("events", "--format", "{{.Action}}")
    assert reader.stdout is not None
    try:
        wait_until_it_sleeps(reader.pid)
        alpine("create", "--name", "box", "alpine")
        alpine("rm", "box")
        assert [reader.stdout.readline() for _ in range(2)] == [b"create\n", b"destroy\n"]
    finally:
        reader.kill()
        reader.communicate()


def wait_until_it_sleeps(pid: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        assert time.monotonic() < deadline
        with open(f"/proc/{pid}/wchan") as file:
            if "poll" in file.read():
                return
        time.sleep(0.01)


def test_from_python(alpine: Command) -> None:
    with Engine(alpine.root) as engine:
        stream = engine.events(filters={"type": "container"}, decode=True)
        engine.containers.run("alpine", "true", remove=True)
        found = [next(stream)["Action"] for _ in range(5)]
        assert found == ["create", "attach", "start", "die", "destroy"]
        stream.close()
        assert list(stream) == []
        lines = list(engine.events(since=1, until=time.time(), filters={"event": ["die"]}))
        assert json.loads(lines[0])["Action"] == "die"
