"""The processes that descend from the test run, orphans included.

The test process is a child subreaper (prctl(2)): whatever a daemonized process leaves behind
becomes its child, so that nothing a test started can get out of sight.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

_PR_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    """A process, by what tells it from a later one of the same number."""

    pid: int
    started: int
    """Clock ticks since the machine started."""


def become_subreaper() -> None:
    """Adopt the orphans of all descendants from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def descendants(of: int | None = None) -> set[Process]:
    """All living descendants of a process (this one unless said); no zombies."""
    found: set[Process] = set()
    for pid in _children(os.getpid() if of is None else of):
        state = _state(pid)
        if state is None:
            continue
        code, started = state
        if code not in "ZX":
            found.add(Process(pid, started))
        found |= descendants(pid)
    return found


def reap_orphans(known: set[Process] | None = None) -> None:
    """Take the exit codes of children that have ended, except of those in `known`.

    Children of a `subprocess.Popen` that is still waited for must not have ended yet.
    """
    spared = {process.pid for process in known or ()}
    for pid in _children(os.getpid()):
        state = _state(pid)
        if state is not None and state[0] == "Z" and pid not in spared:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def run_as_init_would(argv: Sequence[str]) -> None:
    """Run a command to its end, and meanwhile reap the orphans that have become our children.

    Of a pid namespace the first process ends only when all others have been reaped. Those that
    were put into it from outside are orphans of ours, and not of a machine's init, as long as we
    are their subreaper: who waits for that end would wait for us.
    """
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None:
        reap_orphans({Process(process.pid, 0)})
        time.sleep(0.002)


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    state = _state(pid)
    return state is not None and state[0] not in "ZX"


def wait_until_gone(pid: int, timeout: float = 10.0) -> None:
    """Wait for a process, ours or not, to end. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while is_running(pid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {describe(pid)} has not ended in {timeout} s")
        time.sleep(0.005)


def wait_for(word: str, timeout: float = 5.0) -> None:
    """Wait for the end of all descendants whose command lines have `word`, or for the timeout."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if not any(word in _command(process.pid) for process in descendants()):
            return
        time.sleep(0.005)
        reap_orphans()


def kill(process: Process) -> None:
    """Kill exactly this process and wait for its end."""
    state = _state(process.pid)
    if state is None or state[1] != process.started:
        return
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_until_gone(process.pid)


def describe(pid: int) -> str:
    """A process as a message shows it: number and command line."""
    return f"{pid} ({_command(pid)[:200] or '?'})"


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                children += map(int, file.read().split())
        except OSError:
            continue
    return children


def _state(pid: int) -> tuple[str, int] | None:
    """State letter and start time; see proc_pid_stat(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[0].decode(), int(fields[19])
