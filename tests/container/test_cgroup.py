"""Cgroups of this machine: what a process may do in one, seen from inside."""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proa.errors import KernelError
from proa.kernel.cgroup import Cgroup, Mountpoints, discover, join, open_manager
from proa.runtime.defaults import DEVICE_RULES

pytestmark = pytest.mark.root


@pytest.fixture
def made() -> Iterator[Callable[..., Cgroup]]:
    """Makes cgroups on whatever this machine has; they are gone afterwards."""
    cgroups: list[Cgroup] = []

    def make(resources: dict[str, Any] | None = None, where: Mountpoints | None = None) -> Cgroup:
        cgroup = open_manager(f"/proa/test-{secrets.token_hex(6)}", mountpoints=where)
        cgroups.append(cgroup)
        assert cgroup.create(resources) == []
        assert cgroup.apply(resources or {}) == []
        return cgroup

    yield make
    for cgroup in cgroups:
        cgroup.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        cgroup.remove()
        assert not any(os.path.exists(path) for path in cgroup.paths.values())


@pytest.fixture
def unified() -> Mountpoints:
    """Version 2 alone, even where controllers are in version 1."""
    found = discover()
    if found.version_2 is None:
        pytest.skip("cgroup version 2 is not mounted")
    return Mountpoints({}, found.version_2, {})


@pytest.fixture
def separate() -> Mountpoints:
    found = discover()
    if "freezer" not in found.version_1:
        pytest.skip("controllers are in version 2")
    return found


def start(cgroup: Cgroup, work: Callable[[], int | None]) -> int:
    """A child that joins the cgroup by itself, does `work` and returns its result."""
    files = cgroup.join_files()
    child = os.fork()
    if child == 0:
        code = 255
        try:
            join(files)
            code = work() or 0
        finally:
            os._exit(code)
    for descriptor in files:
        os.close(descriptor)
    return child


def code_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def inside(cgroup: Cgroup, work: Callable[[], int | None]) -> int:
    return code_of(start(cgroup, work))


def sleep() -> None:
    time.sleep(60)


def started(cgroup: Cgroup, count: int = 1) -> list[int]:
    """Children that sleep in the cgroup."""
    children = [start(cgroup, sleep) for _ in range(count)]
    deadline = time.monotonic() + 5
    while len(cgroup.processes()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return children


def may(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except PermissionError:
        return False
    return True


def test_a_process_joins_every_hierarchy(made: Callable[..., Cgroup]) -> None:
    cgroup = made()
    directories = set(cgroup.paths.values())

    def work() -> int:
        with open("/proc/self/cgroup", encoding="ascii") as file:
            joined = [line for line in file if "/proa/test-" in line]
        return 0 if len(joined) == len(directories) else 1

    assert inside(cgroup, work) == 0


def test_what_a_process_starts_is_inside_too(made: Callable[..., Cgroup]) -> None:
    cgroup = made()

    def work() -> None:
        if os.fork() == 0:
            time.sleep(60)
        time.sleep(60)

    child = start(cgroup, work)
    deadline = time.monotonic() + 5
    while len(cgroup.processes()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert child in cgroup.processes()
    cgroup.kill()
    assert code_of(child) == -signal.SIGKILL
    assert cgroup.processes() == []


def test_another_process_is_moved(made: Callable[..., Cgroup]) -> None:
    cgroup = made()
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    cgroup.add(child)
    assert cgroup.processes() == [child]
    cgroup.kill()
    assert code_of(child) == -signal.SIGKILL
    cgroup.add(child)  # gone: nothing to move


def test_memory_is_limited(made: Callable[..., Cgroup]) -> None:
    limit = 32 << 20
    cgroup = made({"memory": {"limit": limit, "swap": limit}})

    def work() -> int:
        memory = mmap.mmap(-1, 2 * limit)
        for page in range(0, 2 * limit, 4096):
            memory[page] = 1
        return 0

    assert inside(cgroup, work) == -signal.SIGKILL
    memory = cgroup.stats()["memory"]
    assert memory["limit"] == limit
    assert memory["oom_kills"] == 1
    assert memory["maximum"] > limit // 2


def test_limits_change_up_and_down(made: Callable[..., Cgroup]) -> None:
    cgroup = made({"memory": {"limit": 32 << 20, "swap": 32 << 20}})
    for limit in (64 << 20, 16 << 20):
        assert Cgroup.load(cgroup.paths).apply({"memory": {"limit": limit, "swap": limit}}) == []
        assert cgroup.stats()["memory"]["limit"] == limit
    assert cgroup.apply({"memory": {"limit": -1}}) == []
    assert cgroup.stats()["memory"]["limit"] is None


def test_a_limit_below_the_use_is_refused(made: Callable[..., Cgroup]) -> None:
    if discover().version_1.get("memory") is None:
        pytest.skip("version 2 takes it, and kills")
    cgroup = made()

    def work() -> None:
        memory = mmap.mmap(-1, 16 << 20)
        # locked: it can be neither swapped nor dropped
        import ctypes

        ctypes.CDLL(None).mlockall(3)
        memory[0] = 1
        time.sleep(60)

    child = start(cgroup, work)
    deadline = time.monotonic() + 5
    while cgroup.stats()["memory"]["usage"] < 16 << 20:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    with pytest.raises(KernelError, match=r"memory\.limit_in_bytes to '1048576': .*in use"):
        cgroup.apply({"memory": {"limit": 1 << 20}})
    cgroup.kill()
    code_of(child)


def test_processes_are_limited(made: Callable[..., Cgroup]) -> None:
    cgroup = made({"pids": {"limit": 2}})

    def work() -> int:
        if os.fork() == 0:
            time.sleep(60)
        try:
            os.fork()
        except BlockingIOError:
            return 7
        return 0

    child = start(cgroup, work)
    assert code_of(child) == 7
    assert cgroup.stats()["pids"]["limit"] == 2
    cgroup.kill()


def test_cpu_time_is_limited_and_counted(made: Callable[..., Cgroup]) -> None:
    cgroup = made({"cpu": {"quota": 5_000, "period": 50_000, "shares": 100}})

    def work() -> int:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            pass
        return 0

    assert inside(cgroup, work) == 0
    cpu = cgroup.stats()["cpu"]
    assert cpu["throttled_periods"] > 0
    assert 0 < cpu["usage"] < 400_000_000


def test_the_cpus_are_chosen(made: Callable[..., Cgroup]) -> None:
    cgroup = made({"cpu": {"cpus": "0", "mems": "0"}})
    assert inside(cgroup, lambda: 0 if os.sched_getaffinity(0) == {0} else 1) == 0


def test_cpus_that_are_not_there_are_refused(made: Callable[..., Cgroup]) -> None:
    if discover().version_1.get("cpuset") is None:
        pytest.skip("version 2 takes them, and uses those that are there")
    cgroup = made()
    with pytest.raises(KernelError, match=r"cpuset\.cpus to '900': .*available: 0"):
        cgroup.apply({"cpu": {"cpus": "900"}})


def test_a_controller_comes_later(made: Callable[..., Cgroup], separate: Mountpoints) -> None:
    cgroup = made()
    assert "cpuset" not in cgroup.paths
    (child,) = started(cgroup)
    again = Cgroup.load(cgroup.paths)
    assert again.apply({"cpu": {"cpus": "0"}}) == []
    assert os.sched_getaffinity(child) == {0}
    cgroup.kill()
    code_of(child)
    again.remove()


def test_devices_are_divided(made: Callable[..., Cgroup]) -> None:
    cgroup = made({"devices": list(DEVICE_RULES)})

    def work() -> int:
        allowed = all(may(f"/dev/{name}", os.O_RDWR) for name in ("null", "zero", "full"))
        return 0 if allowed and not may("/dev/kmsg", os.O_RDONLY) else 1

    assert inside(cgroup, work) == 0
    cgroup.apply({"devices": [{"allow": True, "type": "c", "major": 1, "minor": 11}]})
    if "" not in cgroup.paths:  # version 1 adds to what was; version 2 replaces
        assert inside(cgroup, lambda: 0 if may("/dev/kmsg", os.O_RDONLY) else 1) == 0


def test_devices_are_divided_by_a_program(
    made: Callable[..., Cgroup], unified: Mountpoints, tmp_path: os.PathLike[str]
) -> None:
    rules = [
        *DEVICE_RULES,
        {"allow": False, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
        {"allow": False, "type": "c", "major": 1, "minor": 7, "access": "w"},
    ]
    cgroup = made({"devices": rules}, unified)
    node = os.path.join(tmp_path, "node")

    def work() -> int:
        assert may("/dev/null", os.O_RDWR)
        assert not may("/dev/zero", os.O_RDONLY)
        assert may("/dev/full", os.O_RDONLY)
        assert not may("/dev/full", os.O_RDWR)
        assert not may("/dev/kmsg", os.O_RDONLY)
        os.mknod(node, 0o20600, os.makedev(9, 9))
        try:
            os.mknod(node + "5", 0o20600, os.makedev(1, 5))
        except PermissionError:
            return 7
        return 0

    assert inside(cgroup, work) == 7
    assert cgroup.apply({"devices": [{"allow": True}]}) == []
    assert inside(cgroup, lambda: 0 if may("/dev/kmsg", os.O_RDONLY) else 1) == 0
    assert cgroup.apply({"devices": [{"allow": False}]}) == []
    assert inside(cgroup, lambda: 0 if may("/dev/null", os.O_RDONLY) else 7) == 7


def test_version_2_without_controllers_says_what_it_lacks(unified: Mountpoints) -> None:
    if discover().version_1.get("memory") is None:
        pytest.skip("it has controllers")
    cgroup = open_manager("/proa/test-hybrid", mountpoints=unified)
    cgroup.create()
    try:
        (warning,) = cgroup.apply({"memory": {"limit": 1 << 30}})
        assert warning.startswith("not limited: memory: the memory controller is not available in")
    finally:
        cgroup.remove()


def test_a_directory_to_clone_into(made: Callable[..., Cgroup], unified: Mountpoints) -> None:
    cgroup = made(None, unified)
    descriptor = cgroup.descriptor()
    assert descriptor is not None
    try:
        assert os.readlink(f"/proc/self/fd/{descriptor}") == cgroup.paths[""]
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("version", [1, 2])
def test_frozen_processes_stand_still_and_can_be_killed(
    made: Callable[..., Cgroup], request: pytest.FixtureRequest, version: int
) -> None:
    where: Mountpoints = request.getfixturevalue("separate" if version == 1 else "unified")
    cgroup = made(None, where)
    reader, writer = os.pipe()

    def work() -> None:
        while True:
            os.write(writer, b".")
            time.sleep(0.001)

    child = start(cgroup, work)
    os.close(writer)
    os.read(reader, 1)
    cgroup.freeze()
    assert cgroup.frozen()
    os.set_blocking(reader, False)
    with contextlib.suppress(BlockingIOError):
        while os.read(reader, 4096):
            pass
    time.sleep(0.05)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    cgroup.thaw()
    assert not cgroup.frozen()
    os.set_blocking(reader, True)
    assert os.read(reader, 1)
    cgroup.freeze()
    cgroup.kill()
    os.close(reader)
    assert code_of(child) == -signal.SIGKILL


@pytest.mark.parametrize("version", [1, 2])
def test_a_fork_bomb_is_killed(
    made: Callable[..., Cgroup], request: pytest.FixtureRequest, version: int
) -> None:
    where: Mountpoints = request.getfixturevalue("separate" if version == 1 else "unified")
    cgroup = made({"pids": {"limit": 40}} if version == 1 else None, where)
    limit = time.monotonic() + 10

    def work() -> None:
        while time.monotonic() < limit:
            try:
                if os.fork() == 0 and version == 2:
                    time.sleep(5)
            except OSError:
                time.sleep(0.001)
            if version == 2:
                time.sleep(0.002)

    child = start(cgroup, work)
    time.sleep(0.2)
    cgroup.kill()
    assert cgroup.processes() == []
    assert code_of(child) == -signal.SIGKILL


def test_cgroups_made_inside_go_along(made: Callable[..., Cgroup]) -> None:
    cgroup = made()
    for directory in set(cgroup.paths.values()):
        os.makedirs(f"{directory}/nested/deeply")


def test_removal_names_who_is_left(made: Callable[..., Cgroup]) -> None:
    cgroup = made()
    (child,) = started(cgroup)
    with pytest.raises(KernelError, match=f"processes are left in it: {child}"):
        cgroup.remove(timeout=0.01)
    cgroup.kill()
    code_of(child)


def test_many_at_once_share_the_parent(made: Callable[..., Cgroup]) -> None:
    """Makers and removers of the last cgroup race for the parent; none fails."""
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for _ in range(25):
                    cgroup = open_manager(f"/proa/test-{secrets.token_hex(6)}")
                    cgroup.create()
                    cgroup.remove()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [code_of(child) for child in children] == [0, 0, 0, 0]
