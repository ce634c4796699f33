"""`engine.volumes`, and the mounts of `containers.run`, as docker-py has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proa import Conflict, Engine, InvalidArgument, Mount, Unsupported, VolumeNotFound
from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def engine(alpine: Command) -> Iterator[Engine]:
    """An engine with the image `alpine`; its containers are removed afterwards."""
    with Engine(alpine.root) as engine:
        yield engine
        for container in engine.containers.list(all=True):
            container.remove(force=True)


def test_volumes(engine: Engine) -> None:
    volume = engine.volumes.create(name="data", driver="local", labels={"a": "b"})
    assert (volume.id, volume.name, volume.short_id) == ("data", "data", "data")
    assert volume.attrs["Labels"] == {"a": "b"}
    assert volume.attrs["Mountpoint"] == volume.mountpoint
    assert engine.volumes.get("data").attrs == volume.attrs
    unnamed = engine.volumes.create()
    assert len(unnamed.id) == 64 and len(unnamed.short_id) == 12
    assert [item.name for item in engine.volumes.list()] == sorted(["data", unnamed.id])
    assert [item.name for item in engine.volumes.list(filters={"label": "a=b"})] == ["data"]
    assert [item.name for item in engine.volumes.list(filters={"dangling": False})] == []
    assert engine.volumes.prune() == {"VolumesDeleted": [unnamed.id], "SpaceReclaimed": 0}
    assert engine.volumes.prune() == {"VolumesDeleted": None, "SpaceReclaimed": 0}
    volume.reload()
    volume.remove()
    with pytest.raises(VolumeNotFound, match="no such volume: data"):
        volume.reload()
    with pytest.raises(VolumeNotFound):
        volume.remove()
    volume.remove(force=True)
    assert engine.volumes.list() == []


def test_what_is_refused(engine: Engine) -> None:
    with pytest.raises(Unsupported, match="no plugins"):
        engine.volumes.create("data", driver="other")
    with pytest.raises(InvalidArgument, match="invalid option"):
        engine.volumes.create("data", driver_opts={"x": "y"})
    with pytest.raises(InvalidArgument, match="invalid filter"):
        engine.volumes.list(filters={"x": "y"})
    with pytest.raises(InvalidArgument, match="invalid filter"):
        engine.volumes.prune(filters={"until": "1h"})
    assert engine.volumes.list() == []


def test_of_containers(engine: Engine) -> None:
    container = engine.containers.run(
        "alpine", "sleep 600", detach=True,
        volumes={"data": {"bind": "/d", "mode": "rw"}, "/tmp": {"bind": "/t", "mode": "ro"}},
        mounts=[
            {"Type": "volume", "Target": "/m", "Source": "more",
             "VolumeOptions": {"Labels": {"x": "y"}, "DriverConfig": {"Name": "local"}}},
            Mount("volume", "/anonymous"),
        ],
    )  # fmt: skip
    places = {item["Destination"]: item for item in container.attrs["Mounts"]}
    assert {place: item["Type"] for place, item in places.items()} == {
        "/d": "volume", "/t": "bind", "/m": "volume", "/anonymous": "volume",
    }  # fmt: skip
    assert engine.volumes.get("more").labels == {"x": "y"}
    with pytest.raises(Conflict, match=f"in use by container {container.name}"):
        engine.volumes.get("data").remove()
    assert container.exec_run(["sh", "-c", "echo 12345 > /d/f"]).exit_code == 0
    used = {item["Name"]: item["UsageData"] for item in engine.df()["Volumes"]}
    assert used.keys() == {"data", "more", places["/anonymous"]["Name"]}
    assert {usage["RefCount"] for usage in used.values()} == {1}
    assert used["data"]["Size"] > used["more"]["Size"] > 0
    container.remove(force=True, v=True)
    assert [volume.name for volume in engine.volumes.list()] == ["data", "more"]
    found = engine.containers.run("alpine", "cat /d/f", volumes=["data:/d:ro"], remove=True)
    assert found == b"12345\n"
    assert engine.containers.run("alpine", "ls /a", volumes=["/a"], remove=True) == b""
    assert len(engine.volumes.list()) == 2
