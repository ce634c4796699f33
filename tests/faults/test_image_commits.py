"""kill -9 at each step of the commands that change images, and disks that fill up.

The process that is killed runs the library as it is. Only in it, and only in this test, the
functions that change the disk are counted, and the signal is sent before the one of a number.
"""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proa.engine.images import Images
from proa.errors import ImageNotFound, NoSpace
from proa.store.store import Store
from tests.support.installation import REPOSITORY
from tests.unit.image import archives
from tests.unit.image.archives import Layout, layer

_VICTIM = """
import os, posix, signal, sys

root, archive, verb, deadly = sys.argv[1:4] + [int(sys.argv[4])]
from proa.engine.images import Images
from proa.store import database
from proa.store.store import Store

count = 0

def watched(function):
    def call(*arguments, **options):
        global count
        count += 1
        if count == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call

images = Images(Store.open(root))
for name in ("rename", "fsync", "mkdir", "link", "unlink", "rmdir", "open"):
    real = getattr(posix, name)
    for module in (os, posix):
        setattr(module, name, watched(real))
database.Database._execute = watched(database.Database._execute)
database.Transaction.__exit__ = watched(database.Transaction.__exit__)
if verb == "load":
    images.load(archive)
elif verb == "pipe":
    images.load(sys.stdin.buffer)
elif verb == "import":
    with open(archive, "rb") as file:
        images.import_(file, "victim:1")
elif verb == "remove":
    images.remove("victim:1", force=True)
elif verb == "tag":
    images.tag("victim:1", "victim:2")
elif verb == "prune":
    images.prune(all=True)
"""


@pytest.fixture
def store(engine_root: str) -> Iterator[Store]:
    store = Store.open(engine_root)
    yield store
    store.database.close()


def archive_of(name: str, *layers: bytes) -> bytes:
    layout = Layout()
    layout.image(*layers, name=name, kind="gzip")
    return layout.tar()


def contents(store: Store) -> set[str]:
    return {
        f"{place}/{name}"
        # the file of a lock may stay: it is empty, and the next one who takes the lock removes it
        for place in ("blobs/sha256", "ingest", "layers", "run/leases")
        for name in os.listdir(store.path(place))
    }


def complete(store: Store, name: str) -> bool:
    """Whether there is such an image; if so, all of it must be there, as it should be."""
    images = Images(store)
    try:
        image = images.get(name)
    except ImageNotFound:
        return False
    sink = io.BytesIO()
    images.save(name, sink)
    other = Store.open(f"{store.root}/again")
    try:
        assert Images(other).load(sink.getvalue())[0].id == image.id
        for diff_id in image.record.layers:
            assert store.layers.is_unpacked(diff_id)
            assert sorted(os.listdir(store.layers.tree(diff_id))) == sorted(
                os.listdir(other.layers.tree(diff_id))
            )
    finally:
        other.database.close()
        subprocess.run(["rm", "-rf", other.root], check=True)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["load", "pipe", "import", "remove", "tag", "prune"])
def test_killed_at_each_step(store: Store, tmp_path: Path, verb: str) -> None:
    images = Images(store)
    base, top = layer(base="b" * 10_000), layer(top="t" * 2_000_000)
    victim = archive_of("victim:1", base, top)
    keeper = archive_of("keeper:1", base)
    small = archive_of("small:1", layer(small="s"))
    images.load(small)
    of_small = contents(store)
    images.remove("small:1")
    images.load(keeper)
    if verb in ("remove", "tag", "prune"):
        images.load(victim)
    # what there is when the step was not taken, and when it was
    before = contents(store)
    path = tmp_path / "archive"
    path.write_bytes(top if verb == "import" else victim)
    steps = 0
    killed = True
    while killed:
        steps += 1
        with path.open("rb") as stdin:
            done = subprocess.run(
                [sys.executable, "-c", _VICTIM, store.root, path, verb, str(steps)],
                stdin=stdin if verb == "pipe" else subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.path.join(REPOSITORY, "src")},
                capture_output=True,
                check=False,
            )
        killed = done.returncode == -signal.SIGKILL
        assert killed or done.returncode == 0, done.stderr.decode()
        # the next command works, and puts in order what it finds
        images.load(small)
        left = contents(store) - of_small
        assert complete(store, "keeper:1") or verb == "prune"
        there = complete(store, "victim:1")
        if verb in ("load", "pipe", "import"):
            assert there or left == before
            if there:
                assert len(left) > len(before)
                images.remove("victim:1")
                assert contents(store) - of_small == before
        elif verb == "tag":
            assert there
            assert left == before
            if complete(store, "victim:2"):
                images.remove("victim:2")
                assert contents(store) - of_small == before
        elif there:
            assert left == before
        else:
            assert len(left) < len(before)
            images.load(keeper)
            images.load(victim)
            assert contents(store) - of_small == before
        assert not [name for name in left if not name.startswith(("blobs/", "layers/"))]
    assert steps > 3


@pytest.mark.slow
def test_killed_at_any_time(store: Store, tmp_path: Path) -> None:
    """Also within SQLite, within a write, between two threads."""
    images = Images(store)
    layers = [layer(**{f"f{n}": str(n) * 300_000}) for n in range(4)]
    path = tmp_path / "archive"
    path.write_bytes(archive_of("victim:1", *layers))
    small = archive_of("small:1", layer(small="s"))
    chance = random.Random(7)
    seen = {True: 0, False: 0}
    for _ in range(40):
        victim = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, store.root, path, "load", "0"],
            env={**os.environ, "PYTHONPATH": os.path.join(REPOSITORY, "src")},
            stderr=subprocess.DEVNULL,
        )
        # until it has begun
        deadline = time.monotonic() + 10
        while not os.listdir(store.path("run/leases")) and time.monotonic() < deadline:
            if victim.poll() is not None:
                break
            time.sleep(0.001)
        time.sleep(chance.random() * 0.03)
        victim.kill()
        victim.wait()
        images.load(small)
        images.remove("small:1")
        there = complete(store, "victim:1")
        seen[there] += 1
        if there:
            images.remove("victim:1")
        assert contents(store) == set()
    assert seen[False] > 0


@pytest.mark.root
@pytest.mark.parametrize("kind", ["gzip", "plain"])
@pytest.mark.parametrize("way", ["file", "pipe", "import"])
def test_full_disk(engine_root: str, tmp_path: Path, kind: str, way: str) -> None:
    """At whatever point it gets full: one line, and nothing stays that takes space."""
    noise = random.Random(1).randbytes(1_500_000)
    data = layer(noise=noise, more=noise[::-1])
    layout = Layout()
    layout.image(data, layer(small="s"), kind=kind)
    archive = layout.tar()
    path = tmp_path / "archive"
    path.write_bytes(archive)
    succeeded = 0
    for size in range(200, 10_000, 450):
        mount("-t", "tmpfs", "-o", f"size={size}k", "tmpfs", engine_root)
        store = None
        try:
            try:
                store = Store.open(f"{engine_root}/store")
            except NoSpace as error:
                assert "no space left" in str(error)
                continue
            images = Images(store)
            try:
                if way == "file":
                    images.load(str(path))
                elif way == "pipe":
                    images.load(archive)
                else:
                    images.import_(archives.compress(data, kind), "test:1")
                succeeded += 1
            except NoSpace as error:
                assert "\n" not in str(error)
                assert "no space left" in str(error)
                assert contents(store) == set()
            mount("-o", "remount,size=64m", engine_root)
            images.load(str(path))
            assert complete(store, "test:1")
            images.remove(images.get("test:1").id, force=True)
            images.prune()
            assert contents(store) == set()
        finally:
            if store is not None:
                store.database.close()
            subprocess.run(["umount", engine_root], check=True)
    assert 0 < succeeded < 20


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
