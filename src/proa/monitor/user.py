"""Who a process in a container runs as: names looked up in the container's own files.

`user[:group]`, each a name or a number, as in an image's config and `--user`. What Docker does:
a number needs no entry; without a group the user's primary one applies, and with it the groups
that list the user.
"""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, NotFound
from proa.kernel.path import open_in_root
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LARGEST_FILE = 4 * 1024 * 1024
_LARGEST_ID = 2**31 - 1


@record
class User:
    """Numbers that the kernel understands, and the home directory."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def look_up(root: int, user: str, groups_add: Sequence[str] = ()) -> User:
    """Find `user` in /etc/passwd and /etc/group below the directory descriptor `root`.

    Raises NotFound naming what is in neither file, InvalidArgument for an id out of range.
    """
    name, _, group = user.partition(":")
    entries = _entries(root, "etc/passwd", 7)
    entry = next((entry for entry in entries if entry[0] == name), None)
    if entry is None and (name.isdecimal() or not name):
        uid = _number(name or "0")
        entry = next((entry for entry in entries if entry[2] == str(uid)), None)
    elif entry is None and name[:1] == "-" and name[1:].isdecimal():
        raise InvalidArgument(f"user or group id {name} is not in the range 0 to {_LARGEST_ID}")
    elif entry is None:
        raise NotFound(
            f"unable to find user {name}: no matching entries in the image's passwd file"
        )
    else:
        uid = _number(entry[2])
    gid = _number(entry[3]) if entry is not None else 0
    home = entry[5] if entry is not None and entry[5] else "/"
    listed: list[int] = []
    if group or groups_add or entry is not None:
        known = _entries(root, "etc/group", 3)
        if group:
            gid = _group(known, group)
        elif entry is not None:
            listed = [
                _number(row[2]) for row in known if len(row) > 3 and entry[0] in row[3].split(",")
            ]
        listed.extend(_group(known, item) for item in groups_add)
    # the primary group among them: a program that gives up its effective group (newgrp, setgid)
    # must not get around permissions that a group denies (CVE-2022-36109)
    unique = dict.fromkeys((gid, *listed))
    return User(uid, gid, tuple(unique), home)


def may_have_groups() -> bool:
    """Whether this user namespace lets a process have further groups.

    One that an ordinary user has made without newgidmap does not: user_namespaces(7).
    """
    try:
        descriptor = posix.open("/proc/self/setgroups", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        return posix.read(descriptor, 16).strip() != b"deny"
    finally:
        posix.close(descriptor)


def _group(entries: Sequence[Sequence[str]], group: str) -> int:
    for entry in entries:
        if entry[0] == group:
            return _number(entry[2])
    if group.isdecimal():
        return _number(group)
    raise NotFound(f"unable to find group {group}: no matching entries in the image's group file")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) > _LARGEST_ID:
        raise InvalidArgument(f"user or group id {text} is not in the range 0 to {_LARGEST_ID}")
    return int(text)


def _entries(root: int, path: str, least: int) -> list[list[str]]:
    """The well-formed lines of a passwd(5) or group(5) file; none where there is no such file."""
    try:
        descriptor = open_in_root(root, path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return []
    try:
        data = posix.read(descriptor, _LARGEST_FILE)
    except OSError:
        return []
    finally:
        posix.close(descriptor)
    rows = [line.split(":") for line in data.decode("utf-8", "replace").split("\n")]
    return [row for row in rows if len(row) >= least]
