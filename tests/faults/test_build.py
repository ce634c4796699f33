"""Builds on a full disk, and with processes that are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import images, processes
from tests.support.builds import Context, steps
from tests.support.command import Command
from tests.support.mounts import unmount

pytestmark = pytest.mark.root


@pytest.fixture
def small(binaries: str, engine_root: str, images_dir: str, tmp_path: Path) -> Iterator[Context]:
    """An engine on a file system of 48 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", engine_root], check=True)
    proa = Command(os.path.join(binaries, "proa"), engine_root)
    proa("import", f"{images_dir}/{images.ALPINE}", "alpine")
    yield Context(proa, tmp_path)
    unmount(engine_root)


def test_a_full_disk(small: Context) -> None:
    with open(small.path / "big", "wb") as file:
        file.truncate(100_000_000)
    shown = small.build("FROM alpine\nRUN echo 1 > /one\nCOPY big /big\n", code=1)
    assert "no space left" in shown and ">>> COPY big /big" in shown
    shown = small.build("FROM alpine\nRUN head -c 100000000 /dev/zero > /big\n", code=1)
    assert "exit code: 1" in shown
    (small.path / "big").unlink()
    shown = small.build("FROM alpine\nRUN echo 1 > /one\nRUN echo 2 > /two\n")
    assert steps(shown)["RUN echo 1 > /one"] == "CACHED"
    assert small.run("cat", "/two") == "2"
    assert os.listdir(Path(small.proa.root, "build", "work")) == []


@pytest.fixture
def context(alpine: Command, tmp_path: Path) -> Context:
    return Context(alpine, tmp_path)


_WAITS = "RUN --mount=type=cache,target=/m touch /m/up; test -e /m/go || sleep 1000"


def start(context: Context) -> subprocess.Popen[bytes]:
    """A build that waits in a RUN."""
    context.write("Dockerfile", f"FROM alpine\nRUN date +%N > /when\n{_WAITS}\n")
    process = context.proa.start("build", "--progress=plain", str(context.path))
    wait_until(lambda: any(cache_files(context, "up")))
    return process


def cache_files(context: Context, name: str) -> list[Path]:
    return list(Path(context.proa.root, "build", "mounts").glob(f"*/data/{name}"))


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def is_gone(pid: int) -> bool:
    processes.reap_orphans()
    return not os.path.exists(f"/proc/{pid}")


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(text) for text in file.read().split()]


def test_what_runs_steps_is_killed(context: Context) -> None:
    process = start(context)
    (worker,) = {
        child
        for task in os.listdir(f"/proc/{process.pid}/task")
        for child in map(int, Path(f"/proc/{process.pid}/task/{task}/children").read_text().split())
    }
    (container,) = children(worker)
    os.kill(worker, signal.SIGKILL)
    _, shown = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"the process that runs the steps of the build died" in shown
    wait_until(lambda: is_gone(container))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_the_build_is_killed(context: Context, sent: signal.Signals) -> None:
    process = start(context)
    process.send_signal(sent)
    process.communicate(timeout=30)
    assert process.returncode != 0
    (up,) = cache_files(context, "up")
    up.with_name("go").touch()
    shown = steps(context.build())
    assert shown["RUN date +%N > /when"] == "CACHED"
    assert os.listdir(Path(context.proa.root, "build", "work")) == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace: install it")
@pytest.mark.parametrize(
    ("call", "number"),
    [("rename", 2), ("rename", 6), ("fsync", 3), ("mkdir", 12), ("pwrite64", 30)],
)
def test_killed_at_a_step_of_its_own(context: Context, call: str, number: int) -> None:
    context.write("f", "content")
    context.write("Dockerfile", "FROM alpine\nCOPY f /f\nRUN cat /f /f > /g\n")
    subprocess.run(
        [
            *("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}"),
            *("-e", f"inject={call}:signal=SIGKILL:when={number}"),
            *context.proa.argv("build", "-q", str(context.path)),
        ],
        env=context.proa.environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    context.build()
    assert context.run("cat", "/g") == "contentcontent"
    assert os.listdir(Path(context.proa.root, "build", "work")) == []
