"""Health checks, logs, devices by name and the machine's boot, of an ordinary user."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


def test_a_check_that_takes_too_long_is_killed_with_all_that_it_started(box: Command) -> None:
    check = "test -e /tmp/once && exit 0; touch /tmp/once; (sleep 777 &); sleep 778"
    box(
        *("run", "-d", "--name", "web", "--health-cmd", check, "--health-interval", "100ms"),
        *("--health-timeout", "300ms", "--user", "user", "box", "sleep", "600"),
    )
    deadline = time.monotonic() + 20
    while "(healthy)" not in box.output("ps"):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    log = json.loads(box.output("inspect", "-f", "{{json .State.Health.Log}}", "web"))
    assert log[0]["Output"] == "Health check exceeded timeout (300ms)"
    living = [
        line
        for line in box.output("top", "web", "-eo", "pid,stat,args").splitlines()
        if "sleep 77" in line and " Z" not in line
    ]
    assert living == []


def test_a_local_log_and_halt_and_boot(box: Command) -> None:
    box("run", "-d", "--name", "web", "--restart", "unless-stopped", "--log-driver", "local",
        "--init", "box", "sh", "-c", "echo up; exec sleep 600")  # fmt: skip
    assert box.output("system", "halt") == "web"
    assert box.output("system", "boot") == "web"
    deadline = time.monotonic() + 20
    while box.output("logs", "web") != "up\nup":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    box("stop", "-t", "0", "web")
    assert box.output("system", "boot") == ""
    assert "WantedBy=default.target" in box.output("system", "service", "show")


@pytest.fixture
def device() -> Iterator[str]:
    """The name of a device that a CDI file of this machine describes."""
    directory = "/var/run/cdi"
    made = not os.path.exists(directory)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "proa-rootless-test.json")
    edits = {
        "env": ["MINE=yes"],
        "deviceNodes": [{"path": "/dev/mine", "hostPath": "/dev/full"}],
        "hooks": [{"hookName": "createContainer", "path": "/bin/true"}],
    }
    with open(path, "w") as file:
        json.dump({"cdiVersion": "0.6.0", "kind": "rootless.example/thing",
                   "devices": [{"name": "one", "containerEdits": edits}]}, file)  # fmt: skip
    os.chmod(path, 0o644)
    yield "rootless.example/thing=one"
    os.unlink(path)
    if made:
        os.rmdir(directory)


def test_a_device_by_name(box: Command, device: str) -> None:
    show = "echo $MINE; stat -c %T /dev/mine; echo x > /dev/mine"
    result = box("run", "--rm", "--device", device, "box", "sh", "-c", show, code=1)
    assert result.stdout == "yes\n7\n"
    assert "o space left" in result.stderr
