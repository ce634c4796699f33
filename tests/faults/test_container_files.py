"""kill -9 at each step of `commit` and `squash`, and disks that fill up."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proa import Engine
from proa.engine.config import ContainerConfig
from proa.engine.images import Images
from proa.errors import ImageNotFound, NoSpace, ProaError
from proa.store.store import Store
from tests.support.installation import REPOSITORY
from tests.support.mounts import unmount
from tests.unit.image import archives

pytestmark = pytest.mark.root

_VICTIM = """
import os, posix, signal, sys

root, verb, deadly = sys.argv[1], sys.argv[2], int(sys.argv[3])
from proa import Engine
from proa.store import database

count = 0

def watched(function):
    def call(*arguments, **options):
        global count
        count += 1
        if count == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call

engine = Engine(root)
container = engine.containers.get("box")
for name in ("rename", "fsync", "mkdir", "link", "unlink", "rmdir", "open", "mknod", "setxattr"):
    real = getattr(posix, name)
    for module in (os, posix):
        setattr(module, name, watched(real))
database.Database._execute = watched(database.Database._execute)
database.Transaction.__exit__ = watched(database.Transaction.__exit__)
if verb == "commit":
    container.commit("victim", "1")
elif verb == "squash":
    engine.images.squash("double", reference="victim:1")
else:
    container.put_archive("/", open(sys.argv[4], "rb"))
os._exit(0)
"""


def prepare(root: str) -> Store:
    """An engine with a container `box` that has changed something, and an image of two layers."""
    with Engine(root) as engine:
        layout = archives.Layout()
        base, more = archives.layer(base="b" * 1000, old="o"), archives.layer(base="new", more="m")
        layout.image(base, name="one:latest", config={"Cmd": ["x"]})
        layout.image(base, more, name="double:latest", config={"Cmd": ["x"]})
        engine.images.load(layout.tar())
        box = engine.containers.create(ContainerConfig(image="one", command=("x",), name="box"))
        upper = Path(box.directory, "snapshot", "upper")
        (upper / "added").write_bytes(b"a" * 400_000)
        (upper / "directory").mkdir()
        os.link(upper / "added", upper / "directory" / "again")
        os.mknod(upper / "old", 0o020000, 0)
    return Store.open(root)


def contents(store: Store) -> set[str]:
    return {
        f"{place}/{name}"
        for place in ("blobs/sha256", "ingest", "layers", "run/leases")
        for name in os.listdir(store.path(place))
    }


def check(store: Store) -> bool:
    """Whether the victim's image is there; if so it is whole."""
    images = Images(store)
    try:
        image = images.get("victim:1")
    except ImageNotFound:
        return False
    for diff_id in image.record.layers:
        assert store.layers.is_unpacked(diff_id)
    for digest in image.record.content:
        assert store.blobs.exists(digest)
        store.blobs.read(digest, 1 << 24)
    top = store.layers.tree(image.record.layers[-1])
    if "added" in os.listdir(top):
        assert sorted(os.listdir(top)) == ["added", "directory", "old"]
        assert os.path.getsize(f"{top}/added") == 400_000
        assert os.path.samefile(f"{top}/added", f"{top}/directory/again")
    else:
        assert sorted(os.listdir(top)) == ["base", "more", "old"]
    return True


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["commit", "squash"])
def test_killed_at_each_step(engine_root: str, verb: str) -> None:
    store = prepare(engine_root)
    images = Images(store)
    before = contents(store)
    seen = set()
    steps = 0
    killed = True
    stride = 1 if verb == "commit" else 4
    while killed:
        steps += stride
        done = subprocess.run(
            [sys.executable, "-c", _VICTIM, store.root, verb, str(steps)],
            env={**os.environ, "PYTHONPATH": os.path.join(REPOSITORY, "src")},
            capture_output=True,
            check=False,
        )
        killed = done.returncode == -signal.SIGKILL
        assert killed or done.returncode == 0, done.stderr.decode()
        there = check(store)
        seen.add(there)
        # the next command puts in order what it finds
        images.load(_small())
        images.remove("small:1")
        if there:
            images.remove("victim:1")
        assert contents(store) == before
    assert seen == {True, False}
    assert steps > 20
    with Engine(store.root) as engine:
        engine.containers.get("box").remove()
    store.database.close()


def _small() -> bytes:
    layout = archives.Layout()
    layout.image(archives.layer(small="s"), name="small:1")
    return layout.tar()


@pytest.mark.slow
def test_full_disk(engine_root: str) -> None:
    """At whatever point it gets full: one line, and nothing stays that takes space."""
    outcomes = set()
    for room in range(50, 1500, 130):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", engine_root], check=True)
        try:
            store = prepare(f"{engine_root}/store")
            before = contents(store)
            used = os.statvfs(engine_root)
            size = (used.f_blocks - used.f_bfree) * used.f_bsize // 1024 + room
            subprocess.run(["mount", "-o", f"remount,size={size}k", engine_root], check=True)
            with Engine(store.root) as engine:
                box = engine.containers.get("box")
                for work in (
                    lambda box=box: box.commit("victim", "1"),
                    lambda box=box: box.put_archive("/", _noise()),
                ):
                    try:
                        work()
                        outcomes.add("done")
                    except ProaError as error:
                        assert isinstance(error, NoSpace)
                        assert "\n" not in str(error) and "no space left" in str(error)
                        outcomes.add("refused")
                        if not check(store):
                            assert contents(store) == before
                subprocess.run(["mount", "-o", "remount,size=64m", engine_root], check=True)
                box.commit("victim", "1")
                box.remove()
        finally:
            store.database.close()
            unmount(engine_root)
    assert outcomes == {"done", "refused"}


def _noise() -> bytes:
    return archives.layer(noise=random.Random(1).randbytes(200_000))


@pytest.mark.slow
def test_killed_while_files_are_put_in(engine_root: str, tmp_path: Path) -> None:
    """What was mounted for it is gone with the process; the container can be started, removed."""
    store = prepare(engine_root)
    path = tmp_path / "archive"
    path.write_bytes(archives.layer(**{f"f{number}": "x" * 100 for number in range(5)}))
    mounts = Path("/proc/self/mounts").read_text()
    for step in range(1, 60, 4):
        subprocess.run(
            [sys.executable, "-c", _VICTIM, store.root, "put", str(step), path],
            env={**os.environ, "PYTHONPATH": os.path.join(REPOSITORY, "src")},
            capture_output=True,
            check=False,
        )
        assert Path("/proc/self/mounts").read_text() == mounts
    with Engine(store.root) as engine:
        box = engine.containers.get("box")
        assert box.put_archive("/", path.read_bytes())
        assert {"Path": "/f4", "Kind": 1} in box.diff()
        box.remove()
    store.database.close()
