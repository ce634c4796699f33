from __future__ import annotations

import os
from typing import Any

from proa.runtime import defaults


def test_docker_gives_fourteen_capabilities() -> None:
    assert len(defaults.CAPABILITIES) == len(set(defaults.CAPABILITIES)) == 14
    powerful = {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}
    assert not powerful & set(defaults.CAPABILITIES)


def test_a_spec_is_whole_and_its_own() -> None:
    spec = defaults.default_spec(["echo", "hi"], terminal=True, shm_size=1 << 20)
    assert spec["process"]["args"] == ["echo", "hi"]
    assert spec["process"]["terminal"] is True
    assert "TERM=xterm" in spec["process"]["env"]
    kinds = {item["type"] for item in spec["linux"]["namespaces"]}
    assert kinds == {"mount", "uts", "ipc", "pid", "network", "cgroup"}
    shm = next(item for item in spec["mounts"] if item["destination"] == "/dev/shm")
    assert "size=1048576" in shm["options"]
    spec["linux"]["resources"]["devices"][0]["allow"] = True
    spec["process"]["capabilities"]["bounding"].clear()
    spec["mounts"].clear()
    again = defaults.default_spec()
    assert again["linux"]["resources"]["devices"][0]["allow"] is False
    assert len(again["process"]["capabilities"]["bounding"]) == 14
    assert again["mounts"]


def test_mounts_come_before_what_lies_on_them() -> None:
    destinations = [item["destination"] for item in defaults.mounts()]
    for above, below in (("/dev", "/dev/pts"), ("/dev", "/dev/shm"), ("/sys", "/sys/fs/cgroup")):
        assert destinations.index(above) < destinations.index(below)


def options(mounts: list[dict[str, Any]], destination: str) -> list[str]:
    found: list[str] = next(item for item in mounts if item["destination"] == destination)[
        "options"
    ]
    return found


def test_a_privileged_container_may_write_sys() -> None:
    assert "ro" in options(defaults.mounts(), "/sys")
    assert "ro" in options(defaults.mounts(), "/sys/fs/cgroup")
    privileged = defaults.mounts(sysfs_writable=True)
    for destination in ("/sys", "/sys/fs/cgroup"):
        assert "rw" in options(privileged, destination)
        assert "ro" not in options(privileged, destination)


def test_ipc_of_somebody_else_has_its_own_mounts() -> None:
    destinations = {item["destination"] for item in defaults.mounts(mqueue=False)}
    assert not destinations & {"/dev/mqueue", "/dev/shm"}


def test_masked_paths_include_each_cpu() -> None:
    paths = defaults.masked_paths()
    assert set(defaults.MASKED_PATHS) <= set(paths)
    throttling = [path for path in paths if path.endswith("/thermal_throttle")]
    there = "/sys/devices/system/cpu/cpu0/thermal_throttle"
    assert bool(throttling) == os.path.exists(there)
    if throttling:
        assert len(throttling) == os.cpu_count()


def test_what_an_ordinary_user_can_have() -> None:
    spec = defaults.default_spec()
    found = defaults.rootless_spec(spec, 1000, 100)
    linux = found["linux"]
    kinds = [item["type"] for item in linux["namespaces"]]
    assert "network" not in kinds
    assert kinds[-1] == "user"
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 100, "size": 1}]
    assert "resources" not in linux
    assert "sysctl" not in linux
    assert "gid=5" not in options(found["mounts"], "/dev/pts")
    assert "rbind" in options(found["mounts"], "/sys")
    assert "network" in {item["type"] for item in spec["linux"]["namespaces"]}
    assert "gid=5" in options(spec["mounts"], "/dev/pts")
