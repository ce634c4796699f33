"""Hooks of all six kinds."""

from __future__ import annotations

import json
import os

import pytest

from tests.runtime.bundle import Bundle, Runtime

pytestmark = pytest.mark.root
KINDS = (
    *("prestart", "createRuntime", "createContainer"),
    *("startContainer", "poststart", "poststop"),
)


def test_all_six_in_their_order_with_the_state(runtime: Runtime, bundle: Bundle) -> None:
    log = os.path.join(bundle.directory, "hooks")
    inside = os.path.join(bundle.rootfs, "hooks")
    bundle.spec["hooks"] = {
        kind: [
            {
                "path": "/bin/sh",
                "args": ["sh", "-c", f'echo "{kind} $A $(cat)" >> {log}'],
                "env": ["A=b", "PATH=/bin:/usr/bin"],
            }
        ]
        for kind in KINDS
    }
    # that one runs in the container
    bundle.spec["hooks"]["startContainer"][0]["args"][2] = (
        'echo "startContainer $A $(cat)" > /hooks'
    )
    bundle.process["args"] = ["sleep", "1000"]
    runtime.create(bundle)
    pid = runtime.state()["pid"]
    runtime("start", "box")
    runtime("delete", "--force", "box")

    with open(log) as file:
        entries = [line.split(" ", 2) for line in file.read().splitlines()]
    assert [entry[0] for entry in entries] == [kind for kind in KINDS if kind != "startContainer"]
    with open(inside) as file:
        entries.insert(3, file.read().split(" ", 2))
    for kind, variable, text in entries:
        state = json.loads(text)
        assert variable == "b"
        assert state["id"] == "box"
        assert state["bundle"] == bundle.directory
        if kind in ("prestart", "createRuntime", "poststart"):
            assert state["pid"] == pid
    # runc 1.1 says that it is still created
    assert json.loads(entries[4][2])["status"] in ("running", "created")
    assert json.loads(entries[5][2])["status"] == "stopped"


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_hook_that_fails_stops_the_creation(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    bundle.spec["hooks"] = {
        kind: [{"path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]}]
    }
    assert "because" in runtime.refuse(bundle)
    runtime("state", "box", code=1)


def test_a_hook_that_hangs_is_killed(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["hooks"] = {
        "prestart": [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]
    }
    runtime.refuse(bundle)
    runtime("state", "box", code=1)


def test_hooks_of_run(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["hooks"] = {
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo 1 > /hook"]}]
    }
    bundle.process["args"] = ["cat", "/hook"]
    assert runtime.run(bundle) == "1\n"
