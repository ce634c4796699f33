from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.installation import REPOSITORY

PROGRAM = """
import os, select, sys
from proa.runtime.embryo import conceive
from proa.runtime.init import Handed
from proa.runtime.namespaces import of_spec

KINDS = ("mount", "uts", "ipc", "pid", "network", "cgroup")
def spaces(*kinds, **joined):
    made = [{"type": kind} for kind in kinds]
    return of_spec({"namespaces": made + [{"type": k, "path": v} for k, v in joined.items()]})

handed = Handed(0, (), (), {}, None, -1)
embryo = conceive()
own = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "uts", "ipc", "net", "pid")}
theirs = {name: os.readlink(f"/proc/{embryo.pid}/ns/{name}") for name in own}
shown = {
    "new": [name for name in own if own[name] != theirs[name]],
    "suits": embryo.suits(spaces(*KINDS), handed),
    "host's network": embryo.suits(spaces("mount", "uts", "ipc", "pid"), handed),
    "joined": embryo.suits(spaces("mount", "uts", "ipc", "pid", network="/proc/1/ns/net"), handed),
    "clocks": embryo.suits(spaces(*KINDS, "time"), handed),
}
if sys.argv[1] == "kill":
    os.kill(embryo.pid, 9)
    select.select([embryo.channel], [], [])
    shown["dead"] = embryo.suits(spaces(*KINDS), handed)
embryo.close()
try:
    os.kill(embryo.pid, 0)
    shown["left"] = True
except ProcessLookupError:
    shown["left"] = False
print(shown)
"""


def shown(word: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, word],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.path.join(REPOSITORY, "src")},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = eval(done.stdout)
    return found


@pytest.mark.root
def test_it_becomes_only_what_nearly_every_container_is() -> None:
    assert shown("stay") == {
        "new": ["mnt", "uts", "ipc", "net", "pid"],
        "suits": True,
        "host's network": False,
        "joined": False,
        "clocks": False,
        "left": False,
    }


@pytest.mark.root
def test_a_dead_one_becomes_nothing() -> None:
    assert shown("kill")["dead"] is False
