"""What an ordinary user sees of the own engine: events, use, disk; and how it is put in order."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


def test_events(box: Command) -> None:
    box("run", "--rm", "--name", "web", "box", "true")
    shown = box.output("events", "--since", "1", "--until", "0s", "--format", "{{.Action}}")
    assert shown.split() == ["load", "create", "attach", "start", "die", "destroy"]


def test_what_is_used_without_a_control_group(box: Command) -> None:
    box("run", "-d", "--name", "busy", "box", "sh", "-c", "while :; do :; done")
    row = json.loads(box.output("stats", "--no-stream", "--format", "json"))
    assert float(row["CPUPerc"].removesuffix("%")) > 5
    assert row["PIDs"] == "1"
    assert not row["MemUsage"].startswith("0B")


def test_the_disk(box: Command) -> None:
    # files of another user in a directory that only that user may enter
    script = "mkdir -p -m 700 /mine && head -c 900000 /dev/urandom > /mine/x && chown -R 7 /mine"
    box("run", "--name", "web", "box", "sh", "-c", script)
    shown = {
        row["Type"]: row
        for row in map(json.loads, box.output("system", "df", "--format", "json").splitlines())
    }
    assert shown["Containers"]["Size"].endswith("kB")
    assert 900 < float(shown["Containers"]["Size"].removesuffix("kB")) < 1100
    assert shown["Other"]["Reclaimable"].startswith("0B")

    layer = next(name for name in os.listdir(f"{box.root}/layers") if len(name) == 64)
    shutil.rmtree(f"{box.root}/layers/{layer}")
    assert "damaged" in box("system", "check", code=1).stdout
    assert "mended" in box("system", "check", "--repair").stdout
    assert box.output("start", "-a", "web") == ""
    assert "untagged: box:latest" in box.output("system", "prune", "-a", "-f")
    assert box.output("ps", "-aq") == box.output("images", "-q") == ""
