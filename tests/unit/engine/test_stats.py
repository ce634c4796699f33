"""What `stats` makes of what the kernel counts."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from proa.engine.containers import ContainerSummary
from proa.engine.stats import Sample, document, use
from proa.kernel import usage

SECOND = 10**9
ITEM = ContainerSummary(
    id="ab" * 32,
    name="box",
    image="alpine",
    image_id="",
    command=("sh",),
    created=0,
    state="running",
    exit_code=0,
    started_at="",
    finished_at="",
    labels={},
    mounts=(),
    networks=("default",),
)
ETH0 = {"rx_bytes": 10, "rx_packets": 1, "tx_bytes": 20, "tx_packets": 2}


def counted(cpu: int, **memory: Any) -> dict[str, Any]:
    return {
        "cpu": {"usage": cpu, "user": cpu - 1, "system": 1, "periods": 3},
        "memory": {"usage": 1000, "limit": 4000, "stat": {}, **memory},
        "pids": {"current": 7, "limit": None},
        "io": [
            {"major": 8, "minor": 0, "read_bytes": 5, "write_bytes": 6, "reads": 1, "writes": 2}
        ],
    }


def test_what_a_container_uses() -> None:
    before = Sample(SECOND, 0, counted(0))
    now = Sample(3 * SECOND, 0, counted(3 * SECOND), {"eth0": ETH0, "eth1": ETH0})
    found = use(ITEM, before, now)
    assert found.cpu_percent == 150.0
    assert (found.memory, found.memory_limit, found.memory_percent) == (1000, 4000, 25.0)
    assert (found.received, found.sent, found.read, found.written) == (20, 40, 5, 6)
    assert found.pids == 7


@pytest.mark.parametrize(
    ("stat", "wanted"),
    [
        ({"total_inactive_file": 300, "inactive_file": 100}, 700),
        ({"inactive_file": 100}, 900),
        ({"inactive_file": 1000}, 1000),
        ({}, 1000),
    ],
)
def test_memory_is_without_pages_that_can_go(stat: dict[str, int], wanted: int) -> None:
    assert use(ITEM, None, Sample(1, 0, counted(1, stat=stat))).memory == wanted


def test_without_a_limit_it_is_the_machine_s() -> None:
    found = use(ITEM, None, Sample(1, 0, counted(1, limit=None)))
    assert found.memory_limit == usage.machine_memory()
    assert found.cpu_percent == 0


def test_the_form_of_the_api() -> None:
    before = Sample(SECOND, 5 * SECOND, counted(SECOND))
    now = Sample(2 * SECOND, 7 * SECOND, counted(2 * SECOND), {"eth0": ETH0})
    found = document(ITEM, before, now)
    assert (found["name"], found["id"]) == ("/box", ITEM.id)
    assert (found["preread"], found["read"]) == (
        "1970-01-01T00:00:01.000000000Z",
        "1970-01-01T00:00:02.000000000Z",
    )
    for part, cpu, machine in (("precpu_stats", 1, 5), ("cpu_stats", 2, 7)):
        assert found[part]["cpu_usage"]["total_usage"] == cpu * SECOND
        assert found[part]["system_cpu_usage"] == machine * SECOND
        assert found[part]["online_cpus"] == os.cpu_count()
        assert found[part]["throttling_data"]["periods"] == 3
    assert found["memory_stats"]["limit"] == 4000
    assert found["blkio_stats"]["io_service_bytes_recursive"] == [
        {"major": 8, "minor": 0, "op": "read", "value": 5},
        {"major": 8, "minor": 0, "op": "write", "value": 6},
    ]
    assert found["networks"] == {"eth0": ETH0}
    assert found["pids_stats"] == {"current": 7}


def test_one_that_does_not_run() -> None:
    found = document(ITEM, None, Sample(SECOND))
    assert found["read"] == "0001-01-01T00:00:00Z"
    assert found["memory_stats"] == {} and "networks" not in found
    shown = use(ITEM, None, Sample(SECOND))
    assert (shown.running, shown.memory_percent, shown.pids) == (False, 0.0, 0)


def test_what_processes_have_used() -> None:
    """Also what their children had, which are gone."""
    me = [os.getpid()]
    before = usage.cpu(me)
    loop = "import time\nwhile time.process_time() < 0.05: pass"
    subprocess.run([sys.executable, "-I", "-S", "-c", loop], check=True)
    assert usage.cpu(me)["usage"] >= before["usage"] + 30_000_000
    assert usage.resident(me) > 1 << 20
    assert usage.machine_cpu() > usage.cpu(me)["usage"]


def test_processes_that_are_gone() -> None:
    assert usage.block_io([999_999_999])["read_bytes"] == 0
    assert usage.cpu([999_999_999])["usage"] == 0
    assert usage.network(999_999_999) == {}
