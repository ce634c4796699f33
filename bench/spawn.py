"""Starting processes and timing them, with as little of our own as possible."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence


class Failed(Exception):
    """A command that was to be measured did not succeed."""


def timed(argv: Sequence[str], env: Mapping[str, str], log: str) -> float:
    """Run a command to its end; milliseconds from before its start until its end is known.

    Output goes to the file `log`. Raises Failed where the exit code is not 0.
    """
    # posix_spawn starts from vfork: our own size does not count
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], list(argv), env, file_actions=actions)
    status = os.waitpid(pid, 0)[1]
    elapsed = time.perf_counter() - start
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        with open(log, encoding="utf-8", errors="replace") as file:
            told = file.read().strip()[-500:]
        raise Failed(f"{' '.join(argv)}: exit code {code}: {told}")
    return elapsed * 1000


def output(argv: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 600) -> str:
    """What a command prints, stripped. Raises Failed where the exit code is not 0."""
    result = subprocess.run(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if result.returncode != 0:
        raise Failed(
            f"{' '.join(argv)}: exit code {result.returncode}: {result.stderr.strip()[-500:]}"
        )
    return result.stdout.strip()
