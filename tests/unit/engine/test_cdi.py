from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from proa.engine.cdi.document import LARGEST, VERSIONS, read
from proa.engine.cdi.registry import load
from proa.engine.cdi.requests import names, plan
from proa.engine.config import DeviceRequest
from proa.errors import Conflict, HostileData, InvalidArgument, NotFound, ProaError, Unsupported


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "cdiVersion": "0.6.0",
        "kind": "vendor.com/thing",
        "devices": [{"name": "one", "containerEdits": {"env": ["ONE=1"]}}],
        **changes,
    }


def write(directory: Path, name: str, data: object) -> str:
    path = directory / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)


def device(**edits: Any) -> dict[str, Any]:
    return spec(devices=[{"name": "one", "containerEdits": edits}])


def request(*ids: str) -> DeviceRequest:
    return DeviceRequest("cdi", device_ids=ids)


def gpus(**changes: Any) -> DeviceRequest:
    return DeviceRequest(**{"count": -1, "capabilities": (("gpu",),), **changes})


YAML = """\
---
cdiVersion: "0.5.0"
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      hostPath: /dev/null
- name: all
  containerEdits: {}
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-ctk
    args: [nvidia-ctk, hook, update-ldcache]
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_read(tmp_path: Path, version: str) -> None:
    document = read(write(tmp_path, "a.json", spec(cdiVersion=version)))
    assert document.kind == "vendor.com/thing"
    assert document.devices["one"].environment == ("ONE=1",)


def test_yaml_is_read_as_json_is(tmp_path: Path) -> None:
    write(tmp_path, "nvidia.yaml", YAML)
    registry = load([str(tmp_path)])
    assert sorted(registry.devices) == ["nvidia.com/gpu=0", "nvidia.com/gpu=all"]

    found = plan([request("nvidia.com/gpu=0")], registry)

    null = os.stat("/dev/null").st_rdev
    assert found["devices"] == [
        {
            "path": "/dev/nvidia0",
            "type": "c",
            "access": None,
            "major": os.major(null),
            "minor": os.minor(null),
        }
    ]
    assert found["env"] == ["NVIDIA_VISIBLE_DEVICES=void"]
    hook = {"path": "/usr/bin/nvidia-ctk", "args": ["nvidia-ctk", "hook", "update-ldcache"]}
    assert found["hooks"] == {"createContainer": [hook]}


def test_without_a_parser_yaml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "nvidia.yaml", YAML)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(Unsupported, match="PyYAML") as caught:
        read(path)
    assert path in str(caught.value)


def test_what_all_devices_of_a_file_need_is_there_once(tmp_path: Path) -> None:
    both = [{"name": name, "containerEdits": {"env": [f"{name}=1"]}} for name in ("a", "b")]
    write(tmp_path, "a.json", spec(devices=both, containerEdits={"additionalGids": [5, 5, 0]}))
    registry = load([str(tmp_path)])

    found = plan([request("vendor.com/thing=a", "vendor.com/thing=b")], registry)

    assert found["env"] == ["a=1", "b=1"]
    assert found["groups"] == [5]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ([], "is no object"),
        (spec(cdiVersion="9.0.0"), "9.0.0"),
        (spec(kind="vendor"), "vendor/class"),
        (spec(kind="vendor.com/../etc"), "vendor/class"),
        (spec(devices=[]), "no device"),
        (spec(devices=[{"name": "a b"}]), "name of a device"),
        (spec(devices=[{"name": "a"}, {"name": "a"}]), "two devices"),
        (spec(extra=1), "'extra' is not known"),
        (device(env=["NAME"]), "NAME=VALUE"),
        (device(env="A=1"), "is no list"),
        (device(deviceNodes=[{"path": "dev/x"}]), "no absolute path"),
        (device(deviceNodes=[{"path": "/dev/x", "type": "z"}]), "none of b, c, u, p"),
        (device(deviceNodes=[{"path": "/dev/x", "permissions": "rx"}]), "made of r, w and m"),
        (device(deviceNodes=[{"path": "/dev/x", "major": -1}]), "not a number"),
        (device(deviceNodes=[{"path": "/dev/x", "major": True}]), "not a number"),
        (device(mounts=[{"hostPath": "lib", "containerPath": "/lib"}]), "no absolute path"),
        (device(mounts=[{"hostPath": "/li\0b", "containerPath": "/lib"}]), "no absolute path"),
        (device(hooks=[{"hookName": "later", "path": "/bin/true"}]), "hookName"),
        (device(hooks=[{"hookName": "poststop", "path": "true"}]), "no absolute path"),
        (device(hooks=[{"hookName": "poststop", "path": "/x", "timeout": 0}]), "seconds"),
        (device(intelRdt={"closID": "x"}), "not available"),
        (device(additionalGids=["video"]), "number of a group"),
    ],
)
def test_what_is_wrong_is_refused_and_the_file_named(
    tmp_path: Path, data: object, word: str
) -> None:
    path = write(tmp_path, "bad.json", data)
    with pytest.raises(ProaError, match="CDI spec") as caught:
        read(path)
    assert path in str(caught.value)
    assert word in str(caught.value)


def test_a_file_for_more_memory_than_there_is_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "large.json", " " * (LARGEST + 1))
    levels = "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))
    write(tmp_path, "laughs.yaml", f"a0: &a0 x\n{levels}\n")
    os.mkfifo(tmp_path / "waits.json")
    os.symlink("/dev/zero", tmp_path / "endless.json")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling.json")

    errors = load([str(tmp_path)]).errors

    told = {os.path.basename(path): str(error) for path, error in errors.items()}
    assert "larger than" in told["large.json"]
    assert "aliases" in told["laughs.yaml"]
    assert "not a file" in told["waits.json"]
    assert "not a file" in told["endless.json"]
    assert "no such file" in told["dangling.json"]


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "open.json", spec())
    os.chmod(path, 0o666)
    with pytest.raises(HostileData, match=r"open\.json"):
        read(path)


def test_a_bad_file_does_not_keep_others_from_being_used(tmp_path: Path) -> None:
    write(tmp_path, "bad.json", "{")
    write(tmp_path, "good.json", spec())
    write(tmp_path, "README", "nothing of ours")
    registry = load([str(tmp_path), str(tmp_path / "missing")])

    assert plan([request("vendor.com/thing=one")], registry)["env"] == ["ONE=1"]
    with pytest.raises(NotFound, match=r"bad\.json"):
        plan([request("vendor.com/thing=two")], registry)


def test_a_later_directory_counts_more_and_one_has_no_two_of_a_name(tmp_path: Path) -> None:
    first, second = tmp_path / "etc", tmp_path / "run"
    first.mkdir()
    second.mkdir()
    write(first, "a.json", spec())
    write(second, "a.json", device(env=["ONE=later"]))
    registry = load([str(first), str(second)])
    assert plan([request("vendor.com/thing=one")], registry)["env"] == ["ONE=later"]

    write(second, "b.json", spec())
    with pytest.raises(Conflict, match="more than once") as caught:
        plan([request("vendor.com/thing=one")], load([str(first), str(second)]))
    assert "a.json" in str(caught.value)
    assert "b.json" in str(caught.value)


def test_gpus_are_those_of_whom_there_is(tmp_path: Path) -> None:
    both = [{"name": name} for name in ("10", "2", "0", "GPU-ab", "all")]
    write(tmp_path, "n.json", spec(kind="nvidia.com/gpu", devices=both))
    write(tmp_path, "a.json", spec(kind="amd.com/gpu", devices=[{"name": "x"}, {"name": "y"}]))
    registry = load([str(tmp_path)])

    assert names(gpus(), registry) == ["nvidia.com/gpu=all"]
    assert names(gpus(count=2), registry) == ["nvidia.com/gpu=0", "nvidia.com/gpu=2"]
    ids = gpus(count=0, device_ids=("GPU-ab",))
    assert names(ids, registry) == ["nvidia.com/gpu=GPU-ab"]
    assert names(gpus(driver="amd"), registry) == ["amd.com/gpu=x", "amd.com/gpu=y"]
    with pytest.raises(NotFound, match="5 GPUs"):
        names(gpus(count=5), registry)
    with pytest.raises(NotFound, match="intel GPUs"):
        names(gpus(driver="intel"), registry)
    with pytest.raises(NotFound, match="no CDI file"):
        names(gpus(), load([]))
    with pytest.raises(InvalidArgument, match="capability gpu"):
        names(gpus(capabilities=(("tpu",),)), registry)
    with pytest.raises(InvalidArgument, match=r"vendor\.com"):
        names(request("/dev/x"), registry)
