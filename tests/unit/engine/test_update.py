from __future__ import annotations

from typing import Any

import pytest

from proa.engine.config import ContainerConfig, RestartPolicy
from proa.engine.update import changed, from_options
from proa.errors import Conflict, InvalidArgument

MEGABYTE = 1 << 20


def config(**fields: Any) -> ContainerConfig:
    return ContainerConfig("alpine", **fields)


def test_only_what_is_said_changes() -> None:
    before = config(memory=64 * MEGABYTE, cpu_shares=5, hostname="box")
    after = changed(before, {"pids_limit": 7})
    assert (after.pids_limit, after.memory, after.cpu_shares) == (7, 64 * MEGABYTE, 5)
    assert after.hostname == "box"


def test_memory_and_swap_together_stay_as_they_were_decided() -> None:
    before = config(memory=64 * MEGABYTE)  # and so 128m with swap
    assert changed(before, {"memory": 100 * MEGABYTE}).memory_swap == 128 * MEGABYTE
    with pytest.raises(Conflict, match="update the memoryswap at the same time"):
        changed(before, {"memory": 200 * MEGABYTE})
    both = {"memory": 200 * MEGABYTE, "memory_swap": 300 * MEGABYTE}
    assert changed(before, both).memory_swap == 300 * MEGABYTE
    unlimited = config(memory=64 * MEGABYTE, memory_swap=-1)
    assert changed(unlimited, {"memory": 200 * MEGABYTE}).memory_swap == -1
    assert changed(config(), {"memory": 200 * MEGABYTE}).memory_swap is None


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ({"nano_cpus": 10**9}, {"cpu_period": 50_000}),
        ({"nano_cpus": 10**9}, {"cpu_quota": 50_000}),
        ({"cpu_quota": 50_000}, {"nano_cpus": 10**9}),
        ({"auto_remove": True}, {"restart": RestartPolicy("always")}),
    ],
)
def test_what_contradicts_what_there_is(before: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.raises(Conflict):
        changed(config(**before), changes)


def test_values_are_checked_as_at_the_beginning() -> None:
    with pytest.raises(InvalidArgument, match="6MB"):
        changed(config(), {"memory": MEGABYTE})
    with pytest.raises(InvalidArgument, match="memory-swap"):
        changed(config(), {"memory_swap": 64 * MEGABYTE})


def test_the_library_s_names() -> None:
    assert from_options({"mem_limit": "64m", "cpus": 0.5, "pids_limit": 0}) == {
        "memory": 64 * MEGABYTE,
        "nano_cpus": 500_000_000,
        "pids_limit": 0,
    }
    assert from_options({"restart_policy": {"Name": "no"}}) == {"restart": RestartPolicy()}
    assert from_options({"mem_limit": None}) == {}
    with pytest.raises(InvalidArgument, match="no option hostname"):
        from_options({"hostname": "x"})
