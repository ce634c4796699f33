"""What a test must not leave behind on the machine, seen before and after it.

Mounts, cgroups, network devices, named network namespaces, loop devices, processes, descriptors
of the test process, files in /run and in temporary directories. One look costs 1 to 2 ms.

Other programs may use the machine at the same time. Mounts are told apart by a mount namespace
of the test run's own, processes by descent; of cgroups only those count in which no process of
somebody else lives, and everything that appears must stay for two seconds before it is a leak.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import socket
import struct
import subprocess
import tempfile
import time
from typing import NamedTuple

from tests.support import processes
from tests.support.processes import Process

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000

PARENT_CGROUPS = frozenset({"proa", "docker", "libpod_parent", "conmon", "machine.slice"})
"""Cgroups that engines make once, to hold those of their containers."""


class Traces(NamedTuple):
    """What can be seen of running containers at one moment."""

    mounts: frozenset[str]
    cgroups: frozenset[str]
    links: frozenset[str]
    namespaces: frozenset[str]
    loops: frozenset[str]
    processes: frozenset[Process]
    descriptors: frozenset[tuple[int, str]]
    files: frozenset[str]


def isolate() -> None:
    """Give this process mount and network namespaces of its own and make it adopt orphans.

    Mounts of the host still arrive here; what is mounted here goes nowhere. The network is an empty
    one, in which tests do as they like: bridges, rules and kernel parameters are not the machine's.
    Without root there are no own namespaces, and then no mounts to tell apart either.
    """
    processes.become_subreaper()
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET) != 0:
        return  # a container without CAP_SYS_ADMIN: real containers are skipped as well
    _bring_loopback_up()
    if libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), "/")


def _bring_loopback_up() -> None:
    request = struct.pack("16sh14x", b"lo", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as descriptor:
        fcntl.ioctl(descriptor, 0x8914, request)  # SIOCSIFFLAGS, IFF_UP


def observe() -> Traces:
    """Look at everything once."""
    mounts, hierarchies = _mounts()
    return Traces(
        mounts=mounts,
        cgroups=_cgroups(hierarchies),
        links=frozenset(name for _, name in socket.if_nameindex()),
        namespaces=_names("/run/netns"),
        loops=_loops(),
        processes=frozenset(processes.descendants()),
        descriptors=_descriptors(),
        files=_files(),
    )


def leaks(before: Traces, *, patience: float = 2.0) -> list[str]:
    """What is there now and was not before, as lines for a person.

    `patience`: seconds that something may take to go away by itself.
    """
    deadline = time.monotonic() + patience
    pause = 0.001
    while True:
        processes.reap_orphans(set(before.processes))
        found = _compare(before, observe())
        if not found or time.monotonic() > deadline:
            return found
        gc.collect()
        time.sleep(pause)
        pause = min(pause * 2, 0.1)


def mend(before: Traces) -> None:
    """Remove what a test left, so that the next one does not suffer for it."""
    after = observe()
    for process in sorted(after.processes - before.processes):
        with contextlib.suppress(TimeoutError):
            processes.kill(process)
    processes.reap_orphans(set(before.processes))
    for mount in sorted(after.mounts - before.mounts, reverse=True):
        subprocess.run(["umount", "-l", mount.split(" ")[0]], check=False, capture_output=True)
    for cgroup in sorted(after.cgroups - before.cgroups, reverse=True):
        with contextlib.suppress(OSError):
            os.rmdir(cgroup)


def _compare(before: Traces, after: Traces) -> list[str]:
    lines = [f"mount: {mount}" for mount in sorted(after.mounts - before.mounts)]
    for cgroup in sorted(after.cgroups - before.cgroups):
        if os.path.basename(cgroup) not in PARENT_CGROUPS and not _inhabited_by_others(cgroup):
            lines.append(f"cgroup: {cgroup}")
    lines += [f"network device: {link}" for link in sorted(after.links - before.links)]
    lines += [f"network namespace: {name}" for name in sorted(after.namespaces - before.namespaces)]
    lines += [f"loop device: {name}" for name in sorted(after.loops - before.loops)]
    for process in sorted(after.processes - before.processes):
        lines.append(f"process: {processes.describe(process.pid)}")
    for number, target in sorted(after.descriptors - before.descriptors):
        lines.append(f"descriptor: {number} -> {target}")
    lines += [f"file: {name}" for name in sorted(after.files - before.files)]
    for name, old, new in (
        ("mount", before.mounts, after.mounts),
        ("network device", before.links, after.links),
    ):
        lines += [f"{name} of the host is gone: {lost}" for lost in sorted(old - new)]
    return lines


def _mounts() -> tuple[frozenset[str], list[str]]:
    """Mounts as `mountpoint type source`, and the mount points of cgroup hierarchies."""
    mounts: set[str] = set()
    hierarchies: list[str] = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            mount_point = left.split(" ")[4]
            kind, source = right.split(" ")[:2]
            mounts.add(f"{mount_point} {kind} {source}")
            if kind in ("cgroup", "cgroup2"):
                hierarchies.append(mount_point)
    return frozenset(mounts), hierarchies


def _cgroups(hierarchies: list[str]) -> frozenset[str]:
    found: set[str] = set()
    pending = list(hierarchies)
    while pending:
        directory = pending.pop()
        try:
            # st_nlink counts subdirectories in cgroupfs: most cgroups need no listing
            if os.stat(directory).st_nlink == 2:
                continue
            with os.scandir(directory) as entries:
                below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        found.update(below)
        pending += below
    return frozenset(found)


def _inhabited_by_others(cgroup: str) -> bool:
    """Whether a process that is not ours lives in the cgroup or below it."""
    ours = {process.pid for process in processes.descendants()}
    for directory, _, _ in os.walk(cgroup):
        try:
            with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
                if {int(line) for line in file} - ours:
                    return True
        except OSError:
            continue
    return False


def _loops() -> frozenset[str]:
    """Those of files of the tests': others, a benchmark for one, attach and detach theirs."""
    found = set()
    for name in _names("/sys/block"):
        try:
            with open(f"/sys/block/{name}/loop/backing_file") as file:
                if file.read().startswith(tempfile.gettempdir()):
                    found.add(name)
        except OSError:
            continue  # it is none, or has just been detached
    return frozenset(found)


def _descriptors() -> frozenset[tuple[int, str]]:
    found: set[tuple[int, str]] = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one by which the directory was listed
            continue
        found.add((int(name), target))
    return frozenset(found)


def _files() -> frozenset[str]:
    found = {
        f"{directory}/{name}"
        for directory in ("/run", "/run/proa", "/tmp", "/var/tmp", "/dev/shm")
        for name in _names(directory)
        if (name.startswith("proa") or directory.endswith("proa"))
        and not name.startswith("proa-tests-")
    }
    own = tempfile.gettempdir()
    kept = ("pytest-of-", "proa-tests-")
    found |= {f"{own}/{name}" for name in _names(own) if not name.startswith(kept)}
    return frozenset(found)


def _names(directory: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except OSError:
        return frozenset()
