from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from proa.errors import InvalidArgument, KernelError, TimedOut, Unsupported
from proa.kernel import cgroup
from proa.kernel.cgroup import Mountpoints, discover, open_manager
from proa.kernel.cgroup.mountpoints import own_cgroup

SEPARATE = b"""\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
CO_MOUNTED = b"""\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 /docker/4f1d /sys/fs/cgroup/net_cls,net_prio ro - cgroup cgroup rw,net_cls,net_prio
"""
UNIFIED = (
    b"29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
)
NAMED_ONLY = b"""\
30 23 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
29 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_hierarchies_of_each_controller_are_found() -> None:
    found = discover(SEPARATE)
    assert dict(found.version_1) == {
        "cpu": "/sys/fs/cgroup/cpu",
        "memory": "/sys/fs/cgroup/memory",
        "name=systemd": "/sys/fs/cgroup/systemd",
    }
    assert found.version_2 == "/sys/fs/cgroup/unified"


def test_controllers_mounted_together_share_a_directory() -> None:
    found = discover(CO_MOUNTED)
    assert found.version_1["cpu"] == found.version_1["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert found.directory_v1("cpu", "/proa/a") == "/sys/fs/cgroup/cpu,cpuacct/proa/a"
    assert dict(found.roots) == {"/sys/fs/cgroup/net_cls,net_prio": "/docker/4f1d"}


def test_one_hierarchy_is_version_2() -> None:
    assert discover(UNIFIED) == Mountpoints({}, "/sys/fs/cgroup", {})


def test_a_named_hierarchy_alone_makes_no_version_1() -> None:
    assert discover(NAMED_ONLY) == Mountpoints({}, "/sys/fs/cgroup/unified", {})


def test_octal_escapes_in_mount_points() -> None:
    line = b"29 23 0:26 / /mnt/a\\040b rw - cgroup2 cgroup2 rw\n"
    assert discover(line).version_2 == "/mnt/a b"


def test_own_cgroup_is_told_by_controller() -> None:
    table = b"5:cpu,cpuacct:/a\n4:name=systemd:/b:c\n0::/d\n"
    assert own_cgroup("cpuacct", table=table) == "/a"
    assert own_cgroup("name=systemd", table=table) == "/b:c"
    assert own_cgroup("", table=table) == "/d"
    assert own_cgroup("memory", table=table) == "/"


@pytest.mark.parametrize("path", ["/proa/../../etc", "../x", "/a\nb"])
def test_a_path_never_leaves_its_hierarchy(path: str) -> None:
    with pytest.raises(InvalidArgument, match=r"\.\."):
        open_manager(path, mountpoints=discover(SEPARATE))


def test_without_any_hierarchy() -> None:
    nothing = Mountpoints({}, None, {})
    with pytest.raises(Unsupported, match="mount cgroup2"):
        open_manager("/proa/a", mountpoints=nothing)
    absent = open_manager("/proa/a", rootless=True, mountpoints=nothing)
    assert absent.create() == []
    assert absent.paths == {}
    warnings = absent.apply({"memory": {"limit": 5}, "pids": {"limit": 0}, "devices": [{}]})
    assert warnings == ["not limited: memory.limit: no cgroup hierarchy is mounted"]
    assert absent.processes() == []
    absent.kill()
    absent.remove()
    with pytest.raises(Unsupported, match="cannot pause"):
        absent.freeze()


# -- version 1 on a tree of plain files ---------------------------------------------------------


@pytest.fixture
def separate(tmp_path: Path) -> Mountpoints:
    names = ("cpu", "cpuacct", "cpuset", "memory", "pids", "freezer", "devices", "blkio")
    for name in names:
        (tmp_path / name).mkdir()
    return Mountpoints({name: str(tmp_path / name) for name in names}, None, {})


def make(where: Mountpoints, files: dict[str, dict[str, str]], resources: Any = None) -> Any:
    """A cgroup with control files, as the kernel would have made them."""
    made = open_manager("/proa/a", mountpoints=where)
    for controller, contents in files.items():
        directory = Path(where.version_1[controller]) / "proa/a"
        directory.mkdir(parents=True)
        for name, text in contents.items():
            (directory / name).write_text(text)
    assert made.create(resources) == []
    return made


def written(made: Any, controller: str, name: str) -> str:
    return (Path(made.paths[controller]) / name).read_text()


def test_only_the_hierarchies_needed_are_used(separate: Mountpoints) -> None:
    made = make(separate, {})
    assert list(made.paths) == ["cpu", "cpuacct", "memory", "pids", "freezer", "devices"]
    for directory in made.paths.values():
        assert os.path.isdir(directory)


def test_a_cpuset_inherits_what_lies_above(separate: Mountpoints) -> None:
    root = Path(separate.version_1["cpuset"])
    (root / "cpuset.cpus").write_text("0-3\n")
    (root / "cpuset.mems").write_text("0\n")
    for path in (root / "proa", root / "proa/a"):
        path.mkdir()
        (path / "cpuset.cpus").write_text("")
        (path / "cpuset.mems").write_text("")
    made = open_manager("/proa/a", mountpoints=separate)
    made.create({"cpu": {"cpus": "1"}})
    made.apply({"cpu": {"cpus": "1"}})
    assert (root / "proa/cpuset.cpus").read_text() == "0-3"
    assert (root / "proa/a/cpuset.cpus").read_text().startswith("1")
    assert (root / "proa/a/cpuset.mems").read_text() == "0"


def test_every_limit_reaches_its_file(separate: Mountpoints) -> None:
    resources = {
        "memory": {
            "limit": 64 << 20,
            "swap": 96 << 20,
            "reservation": 32 << 20,
            "swappiness": 0,
            "disableOOMKiller": True,
            "kernelTCP": 1 << 20,
        },
        "cpu": {
            "shares": 512,
            "quota": 50_000,
            "period": 100_000,
            "burst": 10_000,
            "idle": 0,
            "realtimeRuntime": 900,
            "realtimePeriod": 1000,
        },
        "pids": {"limit": 20},
        "blockIO": {
            "weight": 300,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 200}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1024}],
        },
    }
    expected = {
        "memory": {
            "memory.limit_in_bytes": "67108864",
            "memory.memsw.limit_in_bytes": "100663296",
            "memory.soft_limit_in_bytes": "33554432",
            "memory.swappiness": "0",
            "memory.oom_control": "1",
            "memory.kmem.tcp.limit_in_bytes": "1048576",
        },
        "cpu": {
            "cpu.shares": "512",
            "cpu.cfs_quota_us": "50000",
            "cpu.cfs_period_us": "100000",
            "cpu.cfs_burst_us": "10000",
            "cpu.idle": "0",
            "cpu.rt_runtime_us": "900",
            "cpu.rt_period_us": "1000",
        },
        "pids": {"pids.max": "20"},
        "blkio": {
            "blkio.weight": "300",
            "blkio.weight_device": "8:0 200",
            "blkio.throttle.read_bps_device": "8:0 1024",
        },
    }
    empty = {controller: dict.fromkeys(files, "") for controller, files in expected.items()}
    made = make(separate, empty, resources)
    assert made.apply(resources) == []
    for controller, files in expected.items():
        for name, text in files.items():
            assert written(made, controller, name) == text, name


def test_no_limit_is_written_as_the_kernel_says_it(separate: Mountpoints) -> None:
    files = {"memory": {"memory.limit_in_bytes": "", "memory.memsw.limit_in_bytes": ""}}
    made = make(separate, {**files, "pids": {"pids.max": ""}})
    assert made.apply({"memory": {"limit": -1}, "pids": {"limit": -1}}) == []
    assert written(made, "memory", "memory.limit_in_bytes") == "-1"
    assert written(made, "memory", "memory.memsw.limit_in_bytes") == "-1"
    assert written(made, "pids", "pids.max") == "max"


@pytest.mark.parametrize(
    ("now", "limit", "swap", "first"),
    [
        ("9223372036854771712", 64, 128, "memory.limit_in_bytes"),
        ("32", 64, 128, "memory.memsw.limit_in_bytes"),
        ("32", 64, -1, "memory.memsw.limit_in_bytes"),
    ],
)
def test_memory_stays_below_memory_and_swap(
    tmp_path: Path, now: str, limit: int, swap: int, first: str
) -> None:
    from proa.kernel.cgroup.v1_resources import plan

    (tmp_path / "memory.limit_in_bytes").write_text(now + "\n")
    steps = list(plan({"memory": str(tmp_path)}, {"memory": {"limit": limit, "swap": swap}}))
    assert steps[0][1] == first
    assert len(steps) == 2


def test_what_the_kernel_lacks_is_a_warning(separate: Mountpoints) -> None:
    made = make(separate, {"memory": {"memory.limit_in_bytes": ""}})
    warnings = made.apply(
        {
            "memory": {"limit": 64 << 20, "swap": 64 << 20},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
        }
    )
    assert warnings == [
        "not limited: memory and swap: this kernel has no memory.memsw.limit_in_bytes",
        "not limited: huge pages of 2MB: the hugetlb controller is not mounted",
    ]
    assert written(made, "memory", "memory.limit_in_bytes") == str(64 << 20)


def test_what_the_kernel_refuses_is_an_error(separate: Mountpoints) -> None:
    made = make(separate, {})
    (Path(made.paths["pids"]) / "pids.max").mkdir()  # opening it for writing fails
    with pytest.raises(KernelError, match=r"cannot set .*/proa/a/pids\.max to '7': is a directory"):
        made.apply({"pids": {"limit": 7}})


def test_unified_needs_version_2(separate: Mountpoints) -> None:
    with pytest.raises(InvalidArgument, match="version 2"):
        make(separate, {}).apply({"unified": {"memory.high": "1"}})


def test_devices_need_their_controller(separate: Mountpoints) -> None:
    kept = {name: path for name, path in separate.version_1.items() if name != "devices"}
    made = make(Mountpoints(kept, None, {}), {})
    with pytest.raises(KernelError, match="devices controller is not mounted"):
        made.apply({"devices": [{"allow": False}]})


def test_who_may_not_make_cgroups_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")  # nothing can be made below a file
    where = Mountpoints({"memory": str(path)}, None, {})
    with pytest.raises(KernelError, match=r"cannot make cgroup .*/proa/a: not a directory"):
        open_manager("/proa/a", mountpoints=where).create()
    rootless = open_manager("/proa/a", rootless=True, mountpoints=where)
    (warning,) = rootless.create()
    assert "cannot be made" in warning
    assert rootless.paths == {}
    assert rootless.join_files() == ()
    (warning,) = rootless.apply({"memory": {"limit": 1}, "cpu": {"shares": 2}})
    assert warning.startswith("not limited: memory.limit, cpu.shares: cgroup ")


def test_statistics_of_version_1(separate: Mountpoints) -> None:
    made = make(
        separate,
        {
            "memory": {
                "memory.usage_in_bytes": "4096\n",
                "memory.limit_in_bytes": "9223372036854771712\n",
                "memory.memsw.usage_in_bytes": "8192\n",
                "memory.max_usage_in_bytes": "5000\n",
                "memory.failcnt": "3\n",
                "memory.stat": "cache 1\nrss 2\n",
                "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
            },
            "cpu": {"cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 99\n"},
            "cpuacct": {
                "cpuacct.usage": "700\n",
                "cpuacct.stat": "user 3\nsystem 1\n",
                "cpuacct.usage_percpu": "300 400 \n",
            },
            "pids": {"pids.current": "2\n", "pids.max": "max\n"},
            "blkio": {
                "blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\n",
                "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n8:0 Write 2\nTotal 3\n",
            },
        },
        {"blockIO": {"weight": 10}},
    )
    found = made.stats()
    assert found["memory"] == {
        "usage": 4096,
        "limit": None,
        "maximum": 5000,
        "failures": 3,
        "kernel": 0,
        "stat": {"cache": 1, "rss": 2},
        "oom_kills": 4,
        "swap": 4096,
        "swap_limit": None,
    }
    assert found["cpu"] == {
        "usage": 700,
        "user": 30_000_000,
        "system": 10_000_000,
        "per_cpu": [300, 400],
        "periods": 5,
        "throttled_periods": 2,
        "throttled": 99,
    }
    assert found["pids"] == {"current": 2, "limit": None}
    assert found["io"] == [
        {"major": 8, "minor": 0, "read_bytes": 10, "write_bytes": 20, "reads": 1, "writes": 2}
    ]


# -- version 2 on a tree of plain files ---------------------------------------------------------


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    (tmp_path / "proa/a").mkdir(parents=True)
    for level in (tmp_path, tmp_path / "proa"):
        (level / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
        (level / "cgroup.subtree_control").write_text("")
    (tmp_path / "proa/a/cgroup.controllers").write_text("cpu io memory pids\n")
    return tmp_path


def open_unified(root: Path, *names: str) -> Any:
    for name in names:
        (root / "proa/a" / name).write_text("")
    made = open_manager("/proa/a", mountpoints=Mountpoints({}, str(root), {}))
    made.create()
    return made


def test_controllers_are_handed_down(unified: Path) -> None:
    (unified / "cgroup.subtree_control").write_text("cpu memory pids")
    made = open_unified(unified)
    assert made.paths == {"": str(unified / "proa/a")}
    assert (unified / "cgroup.subtree_control").read_text().startswith("+io")
    assert (unified / "proa/cgroup.subtree_control").read_text() == "+cpu +io +memory +pids"


def test_controllers_that_are_withheld_are_named(unified: Path) -> None:
    os.unlink(unified / "proa/cgroup.subtree_control")
    (unified / "proa/cgroup.subtree_control").mkdir()  # cannot be written, as without delegation
    made = open_manager("/proa/a", mountpoints=Mountpoints({}, str(unified), {}))
    (warning,) = made.create({"cpu": {"cpus": "0"}})
    assert warning.startswith(f"controllers not available below {unified}/proa: cpu (")
    assert "cpuset (" in warning


def test_a_controller_that_is_needed_later_is_handed_down_then(unified: Path) -> None:
    open_unified(unified)
    for level in (unified, unified / "proa"):
        (level / "cgroup.subtree_control").write_text("cpu io memory pids")
    made = cgroup.load({"": str(unified / "proa/a")})
    made.apply({"cpu": {"cpus": "0"}})
    assert (unified / "cgroup.subtree_control").read_text().startswith("+cpuset")
    assert (unified / "proa/cgroup.subtree_control").read_text().startswith("+cpuset")


def test_a_limit_of_memory_below_what_is_in_use_is_refused(unified: Path) -> None:
    made = open_unified(unified, "memory.max", "memory.high", "memory.current")
    group = unified / "proa/a"
    (group / "memory.high").write_text("max\n")
    (group / "memory.current").write_text("31457280\n")
    with pytest.raises(
        KernelError, match=r"memory.max to '8388608': .*; 31457280 bytes are in use"
    ):
        made.apply({"memory": {"limit": 8 << 20}})
    assert (group / "memory.max").read_text() == ""
    assert (group / "memory.high").read_text().startswith("max")


def test_every_limit_reaches_its_file_in_version_2(unified: Path) -> None:
    expected = {
        "memory.max": "67108864",
        "memory.swap.max": "33554432",
        "memory.low": "1048576",
        "memory.high": "60000000",
        "cpu.weight": "59",
        "cpu.max": "50000 100000",
        "cpu.max.burst": "1000",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "0",
        "pids.max": "20",
        "io.weight": "default 1",
        "io.max": "8:0 rbps=1024",
        "hugetlb.2MB.max": "0",
        "rdma.max": "mlx5_1 hca_handle=3 hca_object=10000",
    }
    made = open_unified(unified, *expected)
    warnings = made.apply(
        {
            "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 1 << 20},
            "cpu": {
                "shares": 512,
                "quota": 50_000,
                "period": 100_000,
                "burst": 1000,
                "cpus": "0-1",
                "mems": "0",
            },
            "pids": {"limit": 20},
            "blockIO": {
                "weight": 10,
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1024}],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
            "unified": {"memory.high": "60000000"},
        }
    )
    assert warnings == []
    for name, text in expected.items():
        assert (unified / "proa/a" / name).read_text() == text, name


@pytest.mark.parametrize(
    ("shares", "weight"), [(2, 1), (1024, 100), (262_144, 10_000), (1, 1), (1 << 20, 10_000)]
)
def test_shares_and_weights_meet_at_ends_and_defaults(shares: int, weight: int) -> None:
    from proa.kernel.cgroup.v2_resources import weight_of_shares

    assert weight_of_shares(shares) == weight


def test_swap_is_counted_alone_in_version_2() -> None:
    from proa.kernel.cgroup.v2_resources import swap_only

    assert (swap_only(100, 100), swap_only(100, -1), swap_only(-1, -1)) == ("0", "max", "max")
    with pytest.raises(InvalidArgument, match="less than"):
        swap_only(100, 50)
    with pytest.raises(InvalidArgument, match="needs one for memory"):
        swap_only(None, 50)


def test_what_version_2_does_not_have_is_a_warning(unified: Path) -> None:
    made = open_unified(unified)
    warnings = made.apply(
        {
            "memory": {"swappiness": 10, "disableOOMKiller": True},
            "cpu": {"realtimeRuntime": 5, "cpus": "0"},
        }
    )
    assert warnings == [
        "not limited: memory swappiness: cgroup version 2 has nothing like it",
        "not limited: OOM kill disable: cgroup version 2 has nothing like it",
        "not limited: CPU real-time runtime: cgroup version 2 has nothing like it",
        f"not limited: CPUs: the cpuset controller is not available in {unified}/proa/a",
    ]


def test_unified_names_files_of_the_cgroup_only(unified: Path) -> None:
    made = open_unified(unified)
    with pytest.raises(InvalidArgument, match="is no file of a cgroup"):
        made.apply({"unified": {"../cgroup.procs": "1"}})


def test_a_threaded_parent_holds_no_containers(unified: Path) -> None:
    (unified / "proa/a/cgroup.type").write_text("domain invalid\n")
    made = open_manager("/proa/a", mountpoints=Mountpoints({}, str(unified), {}))
    with pytest.raises(KernelError, match="threaded"):
        made.create()


def test_statistics_of_version_2(unified: Path) -> None:
    directory = unified / "proa/a"
    for name, text in {
        "memory.current": "4096\n",
        "memory.max": "max\n",
        "memory.events": "max 2\noom_kill 1\n",
        "memory.stat": "anon 1\nkernel 7\n",
        "memory.swap.current": "0\n",
        "memory.swap.max": "512\n",
        "cpu.stat": "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_throttled 1\n",
        "pids.current": "1\n",
        "pids.max": "9\n",
        "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n254:0\n",
        "hugetlb.2MB.current": "0\n",
        "hugetlb.2MB.events": "max 6\n",
        "hugetlb.2MB.rsvd.current": "0\n",
        "cpu.pressure": "some avg10=0.50 avg60=0.00 avg300=0.00 total=7\n",
    }.items():
        (directory / name).write_text(text)
    found = open_unified(unified).stats()
    assert found["memory"] == {
        "usage": 4096,
        "limit": None,
        "maximum": 4096,
        "failures": 2,
        "oom_kills": 1,
        "kernel": 7,
        "stat": {"anon": 1, "kernel": 7},
        "swap": 0,
        "swap_limit": 512,
    }
    assert (found["cpu"]["usage"], found["cpu"]["throttled_periods"]) == (5000, 1)
    assert found["pids"] == {"current": 1, "limit": 9}
    assert found["io"] == [
        {"major": 8, "minor": 0, "read_bytes": 1, "write_bytes": 2, "reads": 3, "writes": 4}
    ]
    assert found["hugetlb"] == {"2MB": {"usage": 0, "maximum": 0, "failures": 6}}
    assert found["pressure"]["cpu"]["some"]["avg10"] == 0.5


def test_freezing_that_does_not_happen_times_out(unified: Path) -> None:
    (unified / "proa/a/cgroup.freeze").write_text("")
    (unified / "proa/a/cgroup.events").write_text("populated 1\nfrozen 0\n")
    made = open_unified(unified)
    with pytest.raises(TimedOut, match="did not freeze"):
        made.freeze(timeout=0.05)
    assert made.frozen()
    (unified / "proa/a/cgroup.events").write_text("populated 1\nfrozen 1\n")
    made.freeze()
    made.thaw()
    assert not made.frozen()


def test_killing_waits_until_nobody_is_left(unified: Path) -> None:
    (unified / "proa/a/cgroup.kill").write_text("")
    (unified / "proa/a/cgroup.procs").write_text("")
    (unified / "proa/a/cgroup.events").write_text("populated 1\nfrozen 0\n")
    made = open_unified(unified)
    with pytest.raises(TimedOut, match="do not die"):
        made.kill(timeout=0.05)
    assert (unified / "proa/a/cgroup.kill").read_text() == "1"


def test_a_stored_cgroup_is_found_again(unified: Path, separate: Mountpoints) -> None:
    made = open_unified(unified)
    (unified / "proa/a/cgroup.procs").write_text("17\n0\n4\n")
    assert cgroup.load(made.paths).processes() == [17, 4]
    first = make(separate, {})
    (Path(first.paths["freezer"]) / "cgroup.procs").write_text("5\n")
    assert cgroup.load(first.paths).processes() == [5]
    assert cgroup.load({}).processes() == []


def test_processes_of_cgroups_below_are_found(unified: Path) -> None:
    (unified / "proa/a/cgroup.procs").write_text("1\n")
    (unified / "proa/a/b").mkdir()
    (unified / "proa/a/b/cgroup.procs").write_text("2\n")
    made = open_unified(unified)
    assert made.processes() == [1, 2]
    assert made.processes(recursive=False) == [1]


def test_an_empty_cgroup_goes_with_its_parent(tmp_path: Path) -> None:
    made = open_manager("/proa/a", mountpoints=Mountpoints({}, str(tmp_path), {}))
    other = open_manager("/proa/b", mountpoints=Mountpoints({}, str(tmp_path), {}))
    made.create()
    other.create()
    (tmp_path / "proa/a/made/by/the/container").mkdir(parents=True)
    made.remove()
    assert os.listdir(tmp_path / "proa") == ["b"]
    other.remove()
    assert os.listdir(tmp_path) == []
    other.remove()  # it is no error that it is gone


def test_a_cgroup_elsewhere_leaves_its_parent(tmp_path: Path) -> None:
    made = open_manager("/mine/a", mountpoints=Mountpoints({}, str(tmp_path), {}))
    made.create()
    made.remove()
    assert os.listdir(tmp_path) == ["mine"]


def test_a_cgroup_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    made = open_manager("/proa/a", mountpoints=Mountpoints({}, str(tmp_path), {}))
    made.create()
    (tmp_path / "proa/a/cgroup.procs").write_text("42\n")
    with pytest.raises(KernelError, match=r"cannot remove cgroup .*/proa/a: .*left in it: 42"):
        made.remove(timeout=0.02)
