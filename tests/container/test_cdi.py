"""Devices by name: what a CDI file says is in the container, at each start as it says then."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root

KIND = "proa-test.example/gpu"


class File:
    """A CDI file of this machine, for the time of a test."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, "proa-test.json")

    def write(self, devices: list[Any], edits: Any = None, kind: str = KIND) -> None:
        data = {"cdiVersion": "0.7.0", "kind": kind, "devices": devices}
        with open(self.path, "w") as file:
            json.dump({**data, "containerEdits": edits or {}}, file)


@pytest.fixture
def file() -> Iterator[File]:
    directory = "/etc/cdi"
    made = not os.path.exists(directory)
    os.makedirs(directory, exist_ok=True)
    found = File(directory)
    yield found
    os.unlink(found.path)
    if made:
        os.rmdir(directory)


def node(path: str, source: str, **more: Any) -> dict[str, Any]:
    return {"name": "one", "containerEdits": {"deviceNodes": [
        {"path": path, "hostPath": source, **more}]}}  # fmt: skip


def test_nodes_mounts_variables_hooks_and_groups(alpine: Command, file: File) -> None:
    data = os.path.join(alpine.root, "library.so")
    with open(data, "w") as library:
        library.write("of the host\n")
    told = os.path.join(alpine.root, "told")
    hooks = [
        {"hookName": "createRuntime", "path": "/bin/sh",
         "args": ["sh", "-c", f"cat > {told}; echo $FROM >> {told}"], "env": ["FROM=hook"]},
    ]  # fmt: skip
    mounts = [{"hostPath": data, "containerPath": "/usr/lib/library.so", "options": ["ro", "bind"]}]
    file.write(
        [node("/dev/mine", "/dev/full", permissions="rw", fileMode=0o640, gid=27)],
        {"env": ["MINE=yes", "PATH_TO=/x"], "mounts": mounts, "hooks": hooks,
         "additionalGids": [4711]},
    )  # fmt: skip
    script = ("stat -c '%F %t:%T %a %g' /dev/mine; echo $MINE; cat /usr/lib/library.so; id -G;"
              " echo x > /usr/lib/library.so || echo x > /dev/mine")  # fmt: skip

    result = alpine("run", "--name", "box", "--device", f"{KIND}=one", "alpine", "sh", "-c", script,
                    code=1)  # fmt: skip

    shown = result.stdout.splitlines()
    assert shown[:3] == ["character special file 1:7 640 27", "yes", "of the host"]
    assert "4711" in shown[3].split()
    assert "Read-only" in result.stderr
    assert "o space left" in result.stderr  # what /dev/full says: the cgroup lets it be used
    with open(told) as written:
        state, hook = written.read().rsplit("}", 1)
    assert json.loads(state + "}")["id"] == alpine.output("inspect", "-f", "{{.Id}}", "box")
    assert hook == "hook\n"
    asked = json.loads(alpine.output("inspect", "-f", "{{json .HostConfig.DeviceRequests}}", "box"))
    assert asked == [{"Driver": "cdi", "Count": 0, "DeviceIDs": [f"{KIND}=one"],
                      "Capabilities": None, "Options": None}]  # fmt: skip


def test_a_device_is_what_the_file_says_at_the_start(alpine: Command, file: File) -> None:
    file.write([node("/dev/mine", "/dev/zero")])
    alpine("create", "--name", "box", "--device", f"{KIND}=one", "alpine", "stat", "-c", "%T",
           "/dev/mine")  # fmt: skip
    assert alpine.output("start", "-a", "box") == "5"
    file.write([node("/dev/mine", "/dev/full")])
    assert alpine.output("start", "-a", "box") == "7"
    file.write([node("/dev/mine", "/dev/nowhere")])
    assert "/dev/nowhere" in alpine("start", "box", code=1).stderr


def test_gpus(alpine: Command, file: File) -> None:
    file.write([{"name": name, "containerEdits": {"env": [f"GPU{name}=1"]}} for name in ("0", "1")])
    show = ("alpine", "sh", "-c", "env | grep ^GPU | sort")
    driver = "driver=proa-test"
    assert alpine.output("run", "--rm", "--gpus", f"all,{driver}", *show) == "GPU0=1\nGPU1=1"
    assert alpine.output("run", "--rm", "--gpus", driver, *show) == "GPU0=1"
    assert alpine.output("run", "--rm", "--gpus", f'"device=1",{driver}', *show) == "GPU1=1"
    result = alpine("run", "--rm", "--gpus", "all,driver=other", *show, code=125)
    assert "no CDI file describes other GPUs" in result.stderr
    assert "both count and device" in alpine(
        "run", "--gpus", "2,device=1", "alpine", "true", code=125
    ).stderr  # fmt: skip


def test_they_are_listed_and_what_is_wrong_is_named(alpine: Command, file: File) -> None:
    file.write([node("/dev/mine", "/dev/zero")])
    assert f"{KIND}=one" in alpine.output("system", "check")
    assert f"{KIND}=one" in alpine.output("info", "-f", "{{json .DiscoveredDevices}}")
    assert stat.S_ISREG(os.stat(file.path).st_mode)

    with open(file.path, "w") as broken:
        broken.write("{")
    assert file.path in alpine.output("system", "check")
    result = alpine("create", "--device", f"{KIND}=one", "alpine", "true", code=1)
    assert file.path in result.stderr
