"""Debian's podman with proa-runtime as its runtime."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import pytest

from tests.support import images

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed"),
]
Podman = Callable[..., "subprocess.CompletedProcess[str]"]


RUNTIME = "/run/proa-runtime"


@pytest.fixture(scope="module")
def podman(binaries: str) -> Iterator[Podman]:
    directory = tempfile.mkdtemp(prefix="podman-")
    # the runtime's own directory, where it keeps compiled filters for the containers to come
    is_new = not os.path.exists(RUNTIME)
    os.makedirs(RUNTIME, 0o700, exist_ok=True)
    archive = os.path.join(directory, "rootfs.tar")
    with open(archive, "wb") as file:
        file.write(images.busybox_layer())
    command = [
        *("podman", "--root", f"{directory}/root", "--runroot", f"{directory}/run"),
        *("--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", "--events-backend", "file"),
        *("--tmpdir", f"{directory}/tmp", "--runtime", f"{binaries}/proa-runtime"),
    ]

    def call(*arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "run":
            # podman asks for more than a machine without CAP_SYS_RESOURCE has
            limits = ("--ulimit", "nofile=1024:2048", "--ulimit", "nproc=4000:4000")
            arguments = ("run", *limits, "--network", "none", *arguments[1:])
        result = subprocess.run(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert code is None or result.returncode == code, result.stderr
        return result

    call("import", archive, "base")
    yield call
    call("rm", "--all", "--force", "--time", "0")
    call("rmi", "--all", "--force")
    shutil.rmtree(directory, ignore_errors=True)
    if is_new:
        shutil.rmtree(RUNTIME, ignore_errors=True)


@pytest.fixture(autouse=True)
def made_before_the_leak_check(podman: Podman, nothing_left: None) -> None:
    """Have what belongs to the module made outside of what one test is checked for."""


def test_run(podman: Podman) -> None:
    result = podman("run", "--rm", "base", "sh", "-c", "echo hi; exit 5", code=5)
    assert result.stdout == "hi\n"


def test_a_missing_command(podman: Podman) -> None:
    result = podman("run", "--rm", "base", "nosuchcommand", code=127)
    assert "nosuchcommand" in result.stderr


def test_the_whole_life(podman: Podman) -> None:
    podman("run", "-d", "--name", "box", "base", "sh", "-c", "echo begun; exec sleep 1000")
    assert podman("exec", "box", "hostname").stdout
    podman("exec", "box", "sh", "-c", "exit 9", code=9)
    assert podman("exec", "-t", "box", "tty").stdout == "/dev/pts/0\n"
    podman("pause", "box")
    assert podman("ps", "--all", "--format", "{{.State}}").stdout == "Paused\n"
    podman("unpause", "box")
    assert "sleep" in podman("top", "box").stdout
    podman("stop", "--time", "0", "box")
    assert podman("logs", "box").stdout == "begun\n"
    podman("start", "box")
    podman("kill", "box")
    podman("rm", "--force", "--time", "0", "box")


def test_limits_users_and_mounts(podman: Podman) -> None:
    result = podman(
        *("run", "--rm", "--memory", "64m", "--pids-limit", "30", "--read-only"),
        *("--user", "7:8", "--tmpfs", "/t", "--workdir", "/t", "--hostname", "name"),
        *("base", "sh", "-c", "id -u; id -g; pwd; hostname; touch /x || echo refused; touch y"),
    )
    assert result.stdout.split() == ["7", "8", "/t", "name", "refused"]


def test_a_terminal(podman: Podman) -> None:
    assert podman("run", "--rm", "-t", "base", "tty").stdout == "/dev/pts/0\n"


def test_mounts_made_later(podman: Podman) -> None:
    host = tempfile.mkdtemp(prefix="shared-")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", host], check=True)
    subprocess.run(["mount", "--make-shared", host], check=True)
    try:
        for name in ("late", "own"):
            os.mkdir(f"{host}/{name}")
        for option, arrives, leaves in (("rslave", 1, 0), ("rshared", 1, 1), ("rprivate", 0, 0)):
            podman(
                *("run", "-d", "--name", option, "--cap-add", "SYS_ADMIN"),
                *("-v", f"{host}:/m:{option}", "base", "sleep", "1000"),
            )
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{host}/late"], check=True)
            inside = podman("exec", option, "cat", "/proc/self/mountinfo").stdout
            assert inside.count(" /m/late ") == arrives, option
            subprocess.run(["umount", f"{host}/late"], check=True)
            podman("exec", option, "mount", "-t", "tmpfs", "tmpfs", "/m/own")
            with open("/proc/self/mountinfo") as file:
                assert file.read().count(f" {host}/own ") == leaves, option
            podman("exec", option, "umount", "/m/own")
            podman("rm", "--force", "--time", "0", option)
    finally:
        subprocess.run(["umount", "-R", host], check=True)
        os.rmdir(host)
