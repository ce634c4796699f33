"""What containers of ordinary users need."""

from __future__ import annotations

import os
import shutil

from proa.engine.check.finding import LIMITED, MISSING, OK, Finding
from proa.monitor.rootless import granted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SWITCHES: dict[str, Callable[[int], bool]] = {
    # file → the value that lets ordinary users make user namespaces
    "/proc/sys/kernel/unprivileged_userns_clone": lambda value: value != 0,
    "/proc/sys/user/max_user_namespaces": lambda value: value > 0,
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": lambda value: value == 0,
}


def findings() -> Iterator[Finding]:
    """The findings."""
    yield _switches()
    yield _helpers()
    if os.geteuid() != 0:
        yield _subordinate_ids(os.getuid())


def _switches() -> Finding:
    name = "user namespaces of ordinary users"
    closed = []
    for path, allows in _SWITCHES.items():
        try:
            with open(path, encoding="ascii") as file:
                if not allows(int(file.read())):
                    closed.append(path)
        except (OSError, ValueError):
            continue  # this kernel has no such switch
    if not closed:
        return Finding(name, OK, "allowed")
    names = [path.removeprefix("/proc/sys/").replace("/", ".") for path in closed]
    values = {"user.max_user_namespaces": "10000", "kernel.unprivileged_userns_clone": "1"}
    return Finding(
        name,
        MISSING,
        f"forbidden by {', '.join(names)}",
        "only root can run containers",
        "sysctl -w " + " ".join(f"{item}={values.get(item, '0')}" for item in names),
    )


def _helpers() -> Finding:
    lacking = [name for name in ("newuidmap", "newgidmap") if shutil.which(name) is None]
    if not lacking:
        return Finding("newuidmap, newgidmap", OK, "installed")
    return Finding(
        "newuidmap, newgidmap",
        LIMITED,
        f"{', '.join(lacking)} not installed",
        "containers of ordinary users have one user id only",
        "apt-get install uidmap",
    )


def _subordinate_ids(uid: int) -> Finding:
    counts = [
        sum(count for _, count in granted(path, uid)) for path in ("/etc/subuid", "/etc/subgid")
    ]
    if all(counts):
        return Finding("subordinate ids", OK, f"{counts[0]} users, {counts[1]} groups")
    return Finding(
        "subordinate ids",
        LIMITED,
        "none in /etc/subuid or /etc/subgid",
        "files of all owners in an image become yours, other users cannot be had",
        "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
    )
