"""File systems that tests mount."""

from __future__ import annotations

import subprocess
import time

_PATIENCE = 5.0
"""Seconds until a monitor that is just leaving has let go of its engine's root."""


def unmount(place: str) -> None:
    """Unmount what is mounted at `place`, as soon as nobody uses it any more."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        done = subprocess.run(["umount", place], capture_output=True, check=False)
        if done.returncode == 0:
            return
        assert time.monotonic() < deadline, done.stderr.decode()
        time.sleep(0.05)
