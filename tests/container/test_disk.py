"""`system df` and the `prune` commands: where the disk went, and how it comes back."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time

import pytest

from proa import Engine
from proa.engine.disk import disk_use
from tests.support.command import Command

pytestmark = pytest.mark.root


def du(path: str) -> int:
    return int(subprocess.check_output(["du", "-sx", "--block-size=1", path]).split()[0])


def kinds(proa: Command) -> dict[str, dict[str, str]]:
    lines = proa.output("system", "df", "--format", "json").splitlines()
    return {row["Type"]: row for row in map(json.loads, lines)}


def assert_the_sum_is_right(proa: Command) -> None:
    with Engine(proa.root) as engine:
        found = disk_use(engine).total
        wanted = du(proa.root)
    assert abs(found - wanted) <= wanted // 100


def made(proa: Command, name: str, *script: str) -> None:
    """An image of its own, of the alpine layer and another one."""
    root = os.path.join(proa.root, "tree")
    os.makedirs(f"{root}/etc", exist_ok=True)
    with open(f"{root}/etc/{name.replace('/', '-')}", "w") as file:
        file.write(name * 5000)
    tar = subprocess.run(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(proa.argv("import", "-", name), input=tar, check=True, capture_output=True)
    subprocess.run(["rm", "-r", root], check=True)


@pytest.fixture
def alone(proa: Command, alpine_template: str) -> Command:
    """`alpine`, whose files are its own: those of the fixture are linked to others'."""
    subprocess.run(["cp", "-a", f"{alpine_template}/.", proa.root], check=True)
    return proa


def test_the_sum_is_what_du_says(alone: Command, tmp_path: str) -> None:
    script = "head -c 3000000 /dev/urandom > /x; ln /x /y; head -c 300000 /dev/urandom | base64"
    alone("run", "-d", "--name", "box", "alpine", "sh", "-c", f"{script}; echo done; sleep 100")
    deadline = time.monotonic() + 20
    while not alone.output("logs", "--tail", "1", "box").endswith("done"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    alone("run", "--name", "two", "alpine", "sh", "-c", "mkdir -p /a/b/c; echo hi > /a/b/c/d")
    made(alone, "other")
    alone(
        "run",
        "--rm",
        "-v",
        "data:/data",
        "alpine",
        "sh",
        "-c",
        "head -c 700000 /dev/urandom > /data/x",
    )
    with open(f"{tmp_path}/Dockerfile", "w") as file:
        file.write("FROM alpine\nRUN head -c 400000 /dev/urandom > /file\n")
    alone("build", "-q", "-t", "built", str(tmp_path))
    alone("rmi", "built")
    for _ in range(2):  # the second time the layers' weights are known
        assert_the_sum_is_right(alone)
    found = kinds(alone)
    assert list(found) == ["Images", "Containers", "Local Volumes", "Build Cache", "Other"]
    assert (found["Images"]["TotalCount"], found["Images"]["Active"]) == ("2", "1")
    assert (found["Containers"]["TotalCount"], found["Containers"]["Active"]) == ("2", "1")
    assert (found["Local Volumes"]["TotalCount"], found["Local Volumes"]["Active"]) == ("1", "0")
    assert found["Local Volumes"]["Reclaimable"].endswith("(100%)")
    assert found["Build Cache"]["TotalCount"] == "1" and found["Build Cache"]["Size"] != "0B"


def test_each_of_them(alpine: Command) -> None:
    made(alpine, "other")
    alpine("tag", "other", "second")
    alpine(
        "run", "--name", "box", "alpine", "sh", "-c", "head -c 500000 /dev/zero | tr '\\0' x > /x"
    )
    text = alpine.output("system", "df", "-v")
    for part in ("Images", "Containers", "Local Volumes"):
        assert f"{part} space usage:\n\n" in text
    assert "Build cache usage: 0B" in text and "Other space usage: " in text
    with Engine(alpine.root) as engine:
        found = engine.df()
    images = {image["RepoTags"][0]: image for image in found["Images"]}
    assert images["alpine:latest"]["Containers"] == 1
    assert images["other:latest"]["Containers"] == 0
    assert all(image["SharedSize"] == 0 for image in images.values())
    assert sum(image["Size"] for image in images.values()) == found["LayersSize"]
    (box,) = found["Containers"]
    assert 500_000 <= box["SizeRw"] < 600_000
    shown = json.loads(alpine.output("system", "df", "-v", "--format", "json"))
    assert [row["Names"] for row in shown["Containers"]] == ["box"]
    assert (
        "leave 'table' out"
        in alpine("system", "df", "-v", "--format", "table {{.}}", code=1).stderr
    )


def test_what_images_share(alpine: Command) -> None:
    with Engine(alpine.root) as engine:
        image = engine.images.get("alpine").record
        size = engine.df()["LayersSize"]
        with engine.store.database.transaction():
            # an image of the same layer with another config
            engine.store.database.run(
                "INSERT INTO images SELECT 'sha256:' || ?1, manifest, config, layers, content,"
                " size, created, stored FROM images WHERE id = ?2",
                ("0" * 64, image.id),
            )
        found = engine.df()
        assert found["LayersSize"] == size
        assert [item["SharedSize"] for item in found["Images"]] == [size, size]
        engine.store.images.delete("sha256:" + "0" * 64)  # type: ignore[arg-type]


def test_what_belongs_to_nothing(alpine: Command) -> None:
    path = f"{alpine.root}/ingest/abandoned"
    with open(path, "wb") as file:
        file.write(b"x" * 100_000)
    assert "kB" in kinds(alpine)["Other"]["Reclaimable"]
    assert "belong to nothing" in alpine.output("system", "df", "-v")


def used(proa: Command, name: str, ago: float) -> None:
    """Let the image have been used, or come here, so many seconds ago."""
    id = proa.output("images", "-q", "--no-trunc", name)
    moment = time.time_ns() - int(ago * 1e9)
    with sqlite3.connect(f"{proa.root}/proa.db") as database:
        database.execute("UPDATE images SET stored = ? WHERE id = ?", (moment, id))
        database.execute("UPDATE image_uses SET used = ? WHERE image = ?", (moment, id))
    database.close()


def tags(proa: Command) -> list[str]:
    return sorted(proa.output("images", "--format", "{{.Repository}}").split())


DAY = 86400.0


def test_images_that_were_not_used_for_long(alpine: Command) -> None:
    for name, age in (("old", 40), ("young", 5), ("run", 40)):
        made(alpine, name)
        used(alpine, name, age * DAY)
    alpine("create", "--name", "box", "run", "true")
    alpine("rm", "box")
    shown = alpine.output("image", "prune", "-a", "-f", "--unused-for", "30d")
    assert "untagged: old:latest" in shown
    assert tags(alpine) == ["alpine", "run", "young"]
    alpine("image", "prune", "-a", "-f", "--unused-for", "1w")
    assert tags(alpine) == ["alpine", "run", "young"]
    alpine("system", "prune", "-a", "-f", "--unused-for", "4d")
    assert tags(alpine) == ["alpine", "run"]


def test_images_up_to_a_size(alpine: Command) -> None:
    for age, name in enumerate(("first", "second", "third"), 1):
        made(alpine, name)
        used(alpine, name, age * DAY)
    used(alpine, "alpine", 10 * DAY)
    alpine("create", "alpine")
    assert alpine.output("image", "prune", "-a", "-f", "--keep-storage", "10g").endswith(" 0B")
    alpine("image", "prune", "-a", "-f", "--keep-storage", "1k")
    # what a container needs stays, whatever was asked for
    assert tags(alpine) == ["alpine"]
    for age, name in enumerate(("first", "second", "third"), 1):
        made(alpine, name)
        used(alpine, name, age * DAY)
    with Engine(alpine.root) as engine:
        store = engine.store
        everything = sum(store.layers.sizes().values()) + sum(
            size for _, size in store.blobs.list()
        )
    alpine("image", "prune", "-a", "-f", "--keep-storage", f"{everything - 1}b")
    assert tags(alpine) == ["alpine", "first", "second"]


def test_containers_that_have_not_run_for_long(alpine: Command) -> None:
    alpine("run", "--name", "box", "alpine", "true")
    assert alpine.output("container", "prune", "-f", "--unused-for", "1h") == (
        "Total reclaimed space: 0B"
    )
    time.sleep(0.1)
    assert "Deleted" in alpine.output("container", "prune", "-f", "--unused-for", "50ms")
    wrong = alpine("container", "prune", "-f", "--unused-for", "long", code=125)
    assert "write it as" in wrong.stderr


def test_volumes_that_no_container_has_had_for_long(alpine: Command) -> None:
    for name in ("old", "used", "young"):
        alpine("volume", "create", name)
    with sqlite3.connect(f"{alpine.root}/proa.db") as database:
        moment = time.time_ns() - int(40 * DAY * 1e9)
        database.execute("UPDATE volumes SET created = ? WHERE name != 'young'", (moment,))
    database.close()
    alpine("run", "--rm", "-v", "used:/data", "alpine", "true")
    alpine("volume", "prune", "-a", "-f", "--unused-for", "30d")
    assert alpine.output("volume", "ls", "-q").split() == ["used", "young"]


def test_everything_at_once(alpine: Command) -> None:
    made(alpine, "spare")
    alpine("run", "-d", "--name", "runs", "alpine", "sleep", "100")
    alpine("create", "--name", "kept", "-l", "keep=1", "alpine")
    alpine("create", "--name", "made", "alpine")
    id = alpine.output("inspect", "-f", "{{.Id}}", "made")

    asked = alpine("system", "prune", input="n\n")
    assert "WARNING! This will remove:" in asked.stderr and "all dangling images" in asked.stderr
    alpine("network", "create", "unused")
    shown = alpine.output("system", "prune", "-f", "--filter", "label!=keep")
    assert shown.splitlines()[:2] == ["Deleted Containers:", id]
    assert "Deleted Networks:\nunused\n" in shown
    assert tags(alpine) == ["alpine", "spare"]
    shown = alpine.output("system", "prune", "-a", "-f", "--filter", "until=1h")
    assert shown == "Total reclaimed space: 0B"
    shown = alpine.output("system", "prune", "-a", "-f")
    assert "untagged: spare:latest" in shown
    assert alpine.output("ps", "-a", "--format", "{{.Names}}") == "runs"
    assert tags(alpine) == ["alpine"]
    alpine("run", "-d", "--name", "two", "-v", "/data", "-v", "named:/more", "alpine", "true")
    volume = alpine.output("volume", "ls", "-q", "-f", "label=com.docker.volume.anonymous")
    alpine("wait", "two")
    shown = alpine.output("system", "prune", "-f", "--volumes")
    assert f"Deleted Volumes:\n{volume}\n" in shown
    assert alpine.output("volume", "ls", "-q") == "named"
    for arguments in (("--filter", "bogus=1"), ("--volumes", "--filter", "until=1h")):
        alpine("system", "prune", "-f", *arguments, code=1)


def test_from_python(alpine: Command) -> None:
    with Engine(alpine.root) as engine:
        alpine("create", "--name", "made", "alpine")
        done = engine.prune(all=True)
        assert len(done["ContainersDeleted"]) == 1
        assert {"Untagged": "alpine:latest"} in done["ImagesDeleted"]
        assert done["SpaceReclaimed"] > 1_000_000
