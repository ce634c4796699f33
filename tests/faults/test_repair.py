"""`system check` sees what is damaged in the engine's directory, and `--repair` mends it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root

STORE = ("blob", "layer", "container", "volume", "leftovers", "database")


def checked(proa: Command, *flags: str, code: int = 0) -> dict[str, tuple[str, str]]:
    """Status and detail of what is said of the store, by name."""
    result = proa("system", "check", "--format", "json", *flags, code=code)
    return {
        finding["name"]: (finding["status"], finding["detail"])
        for finding in json.loads(result.stdout)
        if finding["name"].startswith(STORE)
    }


def flaws(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: status for name, (status, _) in found.items() if status != "ok"}


def one(proa: Command, sql: str) -> str:
    with sqlite3.connect(f"{proa.root}/proa.db") as database:
        value = str(database.execute(sql).fetchone()[0])
    database.close()
    return value


@pytest.fixture
def whole(proa: Command, alpine_template: str) -> Command:
    """`alpine`, whose files may be changed: those of the fixture are linked to others'."""
    shutil.copytree(alpine_template, proa.root, dirs_exist_ok=True, symlinks=True)
    return proa


def test_a_sound_store(alpine: Command) -> None:
    alpine("create", "--name", "box", "-v", "data:/data", "alpine")
    assert flaws(checked(alpine)) == {}
    assert flaws(checked(alpine, "--verify")) == {}
    found = checked(alpine, "--repair")
    assert list(found) == ["database", "blobs", "layers", "containers", "volumes", "leftovers"]
    assert "and right" in found["blobs"][1]


def test_an_engine_that_does_not_exist_is_not_made(proa: Command) -> None:
    assert checked(proa, "--repair") == {}
    assert os.listdir(proa.root) == []


def test_a_layer_that_is_missing(alpine: Command) -> None:
    (diff_id,) = json.loads(one(alpine, "SELECT layers FROM images"))
    shutil.rmtree(f"{alpine.root}/layers/{diff_id.partition(':')[2]}")
    (name,) = flaws(checked(alpine, code=1))
    assert name.startswith("layer ")
    alpine("run", "--rm", "alpine", "true", code=125)
    assert flaws(checked(alpine, "--repair")) == {name: "mended"}
    assert alpine.output("run", "--rm", "alpine", "echo", "hi") == "hi"
    assert flaws(checked(alpine)) == {}


def test_blobs_that_are_missing_or_damaged(whole: Command, tmp_path: str) -> None:
    archive = f"{tmp_path}/alpine.tar"
    whole("save", "-o", archive, "alpine")
    content = json.loads(one(whole, "SELECT content FROM images"))
    config = one(whole, "SELECT id FROM images")
    layer = max(content, key=lambda digest: os.stat(blob(whole, digest)).st_size)
    os.unlink(blob(whole, config))
    with open(blob(whole, layer), "r+b") as file:
        file.seek(1000)
        file.write(b"damaged")

    short = {digest: f"blob {digest.partition(':')[2][:12]}" for digest in (config, layer)}
    assert flaws(checked(whole, code=1)) == {short[config]: "damaged"}
    assert flaws(checked(whole, "--verify", code=1)) == {
        short[config]: "damaged",
        short[layer]: "damaged",
    }
    assert flaws(checked(whole, "--repair")) == {short[config]: "mended", short[layer]: "mended"}
    # it is gone until the image is loaded again, and the image runs all the same
    assert flaws(checked(whole, code=1)) == {short[layer]: "damaged"}
    assert whole.output("run", "--rm", "alpine", "echo", "hi") == "hi"
    whole("load", "-i", archive)
    assert flaws(checked(whole, "--verify")) == {}


def blob(proa: Command, digest: str) -> str:
    return f"{proa.root}/blobs/{digest.replace(':', '/')}"


def test_containers_without_what_is_theirs(alpine: Command) -> None:
    for name in ("gone", "spec", "torn", "empty"):
        alpine("create", "--name", name, "alpine", "echo", name)
    place = {
        name: f"{alpine.root}/containers/{alpine.output('inspect', '-f', '{{.Id}}', name)}"
        for name in ("gone", "spec", "torn", "empty")
    }
    shutil.rmtree(place["gone"])
    os.unlink(f"{place['spec']}/config.json")
    with open(f"{place['torn']}/config.json", "w") as file:
        file.write('{"process": ')
    shutil.rmtree(f"{place['empty']}/snapshot")

    wanted = {f"container {name}" for name in place}
    assert set(flaws(checked(alpine, code=1))) == wanted
    assert flaws(checked(alpine, "--repair")) == dict.fromkeys(wanted, "mended")
    assert flaws(checked(alpine)) == {}
    for name in ("spec", "torn", "empty"):
        assert alpine.output("start", "-a", name) == name
    assert "no such container" in alpine("start", "gone", code=1).stderr


def test_a_volume_without_its_directory(alpine: Command) -> None:
    alpine("create", "--name", "box", "-v", "data:/data", "alpine", "touch", "/data/x")
    shutil.rmtree(f"{alpine.root}/volumes/data")
    assert flaws(checked(alpine, code=1)) == {"volume data": "damaged"}
    assert flaws(checked(alpine, "--repair")) == {"volume data": "mended"}
    alpine("start", "-a", "box")


def test_what_belongs_to_nothing(alpine: Command) -> None:
    stray = [
        f"{alpine.root}/ingest/{'a' * 32}",
        f"{alpine.root}/blobs/sha256/{'b' * 64}",
        f"{alpine.root}/layers/{'c' * 64}",
        f"{alpine.root}/layers/{'d' * 64}.tmp-1",
    ]
    for path in stray[:2]:
        with open(path, "wb") as file:
            file.write(b"x" * 10_000)
    for path in stray[2:]:
        os.makedirs(f"{path}/fs")
    assert flaws(checked(alpine, code=1)) == {"leftovers": "damaged"}
    assert flaws(checked(alpine, "--repair")) == {"leftovers": "mended"}
    assert not any(map(os.path.exists, stray))
    assert flaws(checked(alpine)) == {}


def test_a_damaged_database(alpine: Command) -> None:
    alpine("create", "alpine")  # so that it has pages of its own
    with sqlite3.connect(f"{alpine.root}/proa.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    path = f"{alpine.root}/proa.db"
    with open(path, "r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * 200)
    result = alpine("system", "check", "--format", "json", code=1)
    assert "database" in result.stdout + result.stderr
    shutil.rmtree(f"{alpine.root}/containers")
    os.unlink(path)
