"""On this process and its children; other namespaces are for the tests that have root."""

from __future__ import annotations

import os
import subprocess

from proa.kernel.processes import in_mount_namespace, kill_in_mount_namespace


def test_who_is_in_a_mount_namespace() -> None:
    own = os.readlink("/proc/self/ns/mnt")
    child = subprocess.Popen(["sleep", "60"])
    try:
        found = in_mount_namespace(own)
        assert {os.getpid(), child.pid} <= set(found)
        assert found == sorted(set(found))
    finally:
        child.kill()
        child.wait()


def test_a_namespace_without_processes() -> None:
    assert in_mount_namespace("mnt:[1]") == []
    kill_in_mount_namespace("mnt:[1]")
