"""Cgroups: what the limits of the spec become in the kernel."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.runtime.bundle import Bundle, Runtime

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        not os.path.isdir("/sys/fs/cgroup/memory"), reason="the files are those of version 1"
    ),
]

CASES: list[tuple[dict[str, Any], str, str]] = [
    ({"memory": {"limit": 64 << 20}}, "memory/memory.limit_in_bytes", str(64 << 20)),
    (
        {"memory": {"limit": 64 << 20, "reservation": 32 << 20}},
        "memory/memory.soft_limit_in_bytes",
        str(32 << 20),
    ),
    ({"cpu": {"shares": 300}}, "cpu/cpu.shares", "300"),
    ({"cpu": {"quota": 20000, "period": 50000}}, "cpu/cpu.cfs_quota_us", "20000"),
    ({"cpu": {"quota": 20000, "period": 50000}}, "cpu/cpu.cfs_period_us", "50000"),
    ({"cpu": {"cpus": "0"}}, "cpuset/cpuset.cpus", "0"),
    ({"pids": {"limit": 42}}, "pids/pids.max", "42"),
]


@pytest.mark.parametrize(("resources", "file", "expected"), CASES)
def test_a_limit_is_in_its_file(
    runtime: Runtime, bundle: Bundle, resources: dict[str, Any], file: str, expected: str
) -> None:
    bundle.linux["cgroupsPath"] = "/proa-tests/limits"
    bundle.linux["resources"].update(resources)
    bundle.process["args"] = ["sleep", "1000"]
    runtime.start_detached(bundle)
    controller, _, name = file.partition("/")
    with open(f"/sys/fs/cgroup/{controller}/proa-tests/limits/{name}") as found:
        assert found.read().strip() == expected
    runtime("delete", "--force", "box")
    _remove_parents()


def test_too_much_memory_is_death(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    bundle.shell("head -c 64m /dev/zero | tail > /dev/null; exit $?")
    runtime.run(bundle, code=137)


def test_too_many_processes_are_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"]["pids"] = {"limit": 3}
    bundle.shell("for i in 1 2 3 4 5; do sleep 5 & done 2>/dev/null; echo no")
    assert runtime.run(bundle, code=None) in ("", "no\n")


def _remove_parents() -> None:
    for controller in os.listdir("/sys/fs/cgroup"):
        try:
            os.rmdir(f"/sys/fs/cgroup/{controller}/proa-tests")
        except OSError:
            continue
