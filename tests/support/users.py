"""A throw-away account, for what ordinary users can do."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import NamedTuple


class User(NamedTuple):
    """An account of this machine."""

    name: str
    uid: int
    gid: int
    home: str

    def command(self) -> tuple[str, ...]:
        """What to put before a command so that it runs as this user."""
        return ("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups", "--")

    def environment(self) -> dict[str, str]:
        """An environment as a login gives it, without a session's runtime directory."""
        return {
            "HOME": self.home,
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": "/bin/sh",
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }


@contextlib.contextmanager
def throwaway(*, subordinate_ids: bool = True) -> Iterator[User]:
    """An account with a home of its own, gone afterwards with all its files.

    `subordinate_ids`: whether /etc/subuid and /etc/subgid have 65536 ids for it.
    """
    name = f"proa{os.getpid()}{'s' if subordinate_ids else 'n'}"
    home = tempfile.mkdtemp(prefix="home-")
    subprocess.run(
        ["useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/sh", name],
        check=True,
        capture_output=True,
    )
    try:
        entry = pwd.getpwnam(name)
        os.chown(home, entry.pw_uid, entry.pw_gid)
        _set_subordinate_ids(name, wanted=subordinate_ids)
        yield User(name, entry.pw_uid, entry.pw_gid, home)
    finally:
        subprocess.run(["userdel", "--force", name], check=True, capture_output=True)
        shutil.rmtree(home)


def _set_subordinate_ids(name: str, *, wanted: bool) -> None:
    """Make /etc/subuid and /etc/subgid say what the test wants; useradd goes by login.defs."""
    for path, flags in (("/etc/subuid", "subuids"), ("/etc/subgid", "subgids")):
        ranges: list[tuple[int, int]] = []
        others = 100_000
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            for line in file:
                owner, start, count = line.strip().split(":")
                others = max(others, int(start) + int(count))
                if owner == name:
                    ranges.append((int(start), int(count)))
        if wanted and not ranges:
            change = f"--add-{flags}={others}-{others + 65535}"
            subprocess.run(["usermod", change, name], check=True, capture_output=True)
        if not wanted:
            for first, size in ranges:
                change = f"--del-{flags}={first}-{first + size - 1}"
                subprocess.run(["usermod", change, name], check=True, capture_output=True)
