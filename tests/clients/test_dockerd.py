"""Debian's dockerd and containerd with proa-runtime as their runtime."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support import images

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("dockerd") is None, reason="dockerd is not installed"),
]
Docker = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def docker(binaries: str) -> Iterator[Docker]:
    # a socket's path has 107 bytes at most
    directory = tempfile.mkdtemp(prefix="d-")
    socket = f"unix://{directory}/s"
    with open(os.path.join(directory, "daemon.json"), "w") as file:
        file.write("{}")
    log = open(os.path.join(directory, "log"), "w+")
    daemon = subprocess.Popen(
        [
            # what it mounts is nobody else's
            *("unshare", "--mount", "--propagation", "slave", "dockerd"),
            *("--config-file", f"{directory}/daemon.json", "--host", socket),
            *("--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec"),
            *("--pidfile", f"{directory}/pid", "--bridge", "none", "--iptables=false"),
            *("--storage-driver", "vfs", "--exec-opt", "native.cgroupdriver=cgroupfs"),
            *("--add-runtime", f"proa={binaries}/proa-runtime", "--log-level", "warn"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )

    def call(*arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "run":
            arguments = ("run", "--runtime", "proa", "--network", "none", *arguments[1:])
        result = subprocess.run(
            ["docker", "--host", socket, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "DOCKER_CONFIG": directory},
        )
        assert code is None or result.returncode == code, result.stderr
        return result

    try:
        deadline = time.monotonic() + 40
        while call("version", code=None).returncode:
            if daemon.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                pytest.fail(f"dockerd does not answer: {log.read()[-800:]}", pytrace=False)
            time.sleep(0.1)
        archive = os.path.join(directory, "rootfs.tar")
        with open(archive, "wb") as file:
            file.write(images.busybox_layer())
        call("import", archive, "base")
        yield call
        if names := call("ps", "-aq").stdout.split():
            call("rm", "--force", *names)
    finally:
        daemon.terminate()
        daemon.wait(30)
        log.close()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def made_before_the_leak_check(docker: Docker, nothing_left: None) -> None:
    """Have what belongs to the module made outside of what one test is checked for."""


def test_run(docker: Docker) -> None:
    result = docker("run", "--rm", "base", "sh", "-c", "echo hi; exit 5", code=5)
    assert result.stdout == "hi\n"
    assert "nosuchcommand" in docker("run", "--rm", "base", "nosuchcommand", code=127).stderr


def test_the_whole_life(docker: Docker) -> None:
    docker("run", "-d", "--name", "box", "base", "sh", "-c", "echo begun; exec sleep 1000")
    docker("exec", "box", "sh", "-c", "exit 9", code=9)
    assert docker("exec", "-t", "box", "tty").stdout == "/dev/pts/0\n"
    docker("pause", "box")
    assert docker("inspect", "-f", "{{.State.Status}}", "box").stdout == "paused\n"
    docker("unpause", "box")
    docker("update", "--memory", "64m", "--memory-swap", "64m", "box")
    assert "sleep" in docker("top", "box").stdout
    docker("stop", "--time", "0", "box")
    assert docker("logs", "box").stdout == "begun\n"
    docker("start", "box")
    docker("kill", "box")
    docker("rm", "--force", "box")


def test_what_is_confined_and_what_is_privileged(docker: Docker) -> None:
    script = "grep -e CapEff -e Seccomp: /proc/self/status"
    default = docker("run", "--rm", "base", "sh", "-c", script).stdout.split()
    privileged = docker("run", "--rm", "--privileged", "base", "sh", "-c", script).stdout.split()

    assert default == ["CapEff:", "00000000a80425fb", "Seccomp:", "2"]
    assert privileged[3] == "0"
    assert int(privileged[1], 16) > int(default[1], 16)
