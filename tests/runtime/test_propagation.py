"""Mounts that are made later, on the host or in the container: who sees them.

mount_namespaces(7), "Shared subtrees"; runtime-spec: options of mounts, linux.rootfsPropagation.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests.runtime.bundle import Bundle, Runtime

pytestmark = pytest.mark.root


@pytest.fixture
def shared() -> Iterator[str]:
    """A directory of the host that is a shared mount."""
    path = tempfile.mkdtemp(prefix="shared-")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
    subprocess.run(["mount", "--make-shared", path], check=True)
    for name in ("late", "own", "below"):
        os.mkdir(f"{path}/{name}")
    yield path
    subprocess.run(["umount", "-R", path], check=True)
    os.rmdir(path)


def is_mounted(path: str) -> bool:
    with open("/proc/self/mountinfo") as file:
        return any(line.split(" ")[4] == path for line in file)


def start(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    for name in bundle.process["capabilities"]:
        bundle.process["capabilities"][name].append("CAP_SYS_ADMIN")
    runtime.start_detached(bundle)


def sees(runtime: Runtime, path: str) -> bool:
    """Whether there is a mount at `path` in the container."""
    return f" {path} " in runtime("exec", "box", "cat", "/proc/self/mountinfo").stdout


def both_ways(runtime: Runtime, host: str) -> tuple[bool, bool]:
    """Whether a mount of the host arrives in the container, and one of the container here."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{host}/late"], check=True)
    arrives = sees(runtime, "/m/late")
    subprocess.run(["umount", f"{host}/late"], check=True)
    assert not sees(runtime, "/m/late")
    runtime("exec", "box", "mount", "-t", "tmpfs", "tmpfs", "/m/own")
    leaves = is_mounted(f"{host}/own")
    runtime("exec", "box", "umount", "/m/own")
    assert not is_mounted(f"{host}/own")
    return arrives, leaves


@pytest.mark.parametrize(
    ("root", "options", "expected"),
    [
        ("", ("rbind", "rprivate"), (False, False)),
        ("", ("bind", "private"), (False, False)),
        ("", ("rbind", "rslave"), (True, False)),
        ("", ("bind", "slave"), (True, False)),
        ("", ("rbind",), (True, False)),
        ("rslave", ("rbind", "rslave"), (True, False)),
        ("rprivate", ("rbind",), (False, False)),
        ("shared", ("rbind", "rshared"), (True, True)),
        ("shared", ("bind", "shared"), (True, True)),
        ("rshared", ("rbind", "rshared"), (True, True)),
        ("rshared", ("rbind", "rslave"), (True, False)),
        ("shared", ("rbind", "rprivate"), (False, False)),
        ("shared", ("rbind",), (True, True)),
        ("", ("rbind", "rshared"), (True, False)),
    ],
)
def test_what_is_mounted_later(
    runtime: Runtime,
    bundle: Bundle,
    shared: str,
    root: str,
    options: tuple[str, ...],
    expected: tuple[bool, bool],
) -> None:
    if root:
        bundle.linux["rootfsPropagation"] = root
    bundle.mount("/m", "bind", shared, *options)
    start(runtime, bundle)
    assert both_ways(runtime, shared) == expected


@pytest.mark.parametrize("option", ["rslave", "slave"])
def test_mounts_below_the_source(
    runtime: Runtime, bundle: Bundle, shared: str, option: str
) -> None:
    below = f"{shared}/below"
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", below], check=True)
    subprocess.run(["mount", "--make-shared", below], check=True)
    os.mkdir(f"{below}/late")
    bundle.linux["rootfsPropagation"] = "rslave"
    bundle.mount("/m", "bind", shared, "rbind", option)
    start(runtime, bundle)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{below}/late"], check=True)
    assert sees(runtime, "/m/below/late")
    # in any case it goes one way only
    runtime("exec", "box", "mount", "-t", "tmpfs", "tmpfs", "/m/own")
    assert not is_mounted(f"{shared}/own")


def test_what_the_container_mounts_elsewhere_stays_there(
    runtime: Runtime, bundle: Bundle, shared: str
) -> None:
    bundle.linux["rootfsPropagation"] = "rshared"
    bundle.mount("/m", "bind", shared, "rbind", "rprivate")
    start(runtime, bundle)
    with open("/proc/self/mountinfo") as file:
        before = len(file.readlines())
    runtime("exec", "box", "mount", "-t", "tmpfs", "tmpfs", "/tmp")
    with open("/proc/self/mountinfo") as file:
        assert len(file.readlines()) == before
