"""The namespaces of a container: which are made, which are joined, which are the creator's own."""

from __future__ import annotations

import posix
from errno import EPERM

from proa.errors import InvalidArgument
from proa.kernel.namespace import (
    CLONE_NEWCGROUP,
    CLONE_NEWTIME,
    FILES,
    FLAGS,
    setns,
)
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@record
class Namespaces:
    """What the spec says about namespaces."""

    new: frozenset[str]
    """kinds, by OCI's names, of which the container gets one of its own"""
    joined: Mapping[str, str]
    """kind → path of one that exists"""

    @property
    def clone_flags(self) -> int:
        """Those that the first process is born into.

        Not the cgroup namespace, whose root is the cgroup that one is in when it is made; not the
        time namespace, whose clocks are set before anyone is in it.
        """
        flags = 0
        for kind in self.new:
            flags |= FLAGS[kind]
        return flags & ~(CLONE_NEWCGROUP | CLONE_NEWTIME)

    @property
    def flags(self) -> int:
        """All that are not the creator's."""
        flags = 0
        for kind in (*self.new, *self.joined):
            flags |= FLAGS[kind]
        return flags

    @property
    def needs_helper(self) -> bool:
        """Whether a process in between has to join some before the first process is born:
        those that one cannot join for oneself, and those that a new user namespace could not.
        """
        return (
            "time" in self.new
            or not self.joined.keys().isdisjoint(("user", "pid", "time"))
            or ("user" in self.new and bool(self.joined))
        )

    @property
    def needs_word(self) -> bool:
        """Whether the first process has to wait for its creator before it begins."""
        return self.needs_helper or "user" in self.new

    def open_joined(self) -> dict[str, int]:
        """Descriptors of the namespaces to join. Raises InvalidArgument."""
        opened: dict[str, int] = {}
        for kind, path in self.joined.items():
            try:
                descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
            except OSError as error:
                for other in opened.values():
                    posix.close(other)
                raise InvalidArgument(
                    f"cannot join the {kind} namespace {path}: {error.strerror}"
                ) from None
            opened[kind] = descriptor
        return opened


def of_spec(linux: Mapping[str, Any]) -> Namespaces:
    """Take OCI's linux.namespaces apart. Raises InvalidArgument."""
    new: set[str] = set()
    joined: dict[str, str] = {}
    for entry in linux.get("namespaces") or ():
        kind = str(entry.get("type"))
        if kind not in FLAGS:
            raise InvalidArgument(
                f"no such kind of namespace: {kind}; there are {', '.join(FLAGS)}"
            )
        if kind in new or kind in joined:
            raise InvalidArgument(f"the {kind} namespace is in the spec twice")
        if path := entry.get("path"):
            joined[kind] = str(path)
        else:
            new.add(kind)
    if "mount" not in new and "mount" not in joined:
        raise InvalidArgument(
            "the spec has no mount namespace: the container's mounts would be the host's;"
            ' add {"type": "mount"} to linux.namespaces'
        )
    if "user" in new and not (linux.get("uidMappings") and linux.get("gidMappings")):
        raise InvalidArgument(
            "a new user namespace needs linux.uidMappings and linux.gidMappings in the spec"
        )
    return Namespaces(frozenset(new), joined)


def join(opened: Mapping[str, int]) -> None:
    """Join the namespaces `opened`. Raises OSError.

    Those that belong to the user namespace among them can be joined only after it, those of the
    host only before.
    """
    late = []
    for kind, descriptor in opened.items():
        if kind == "user":
            continue
        try:
            setns(descriptor, FLAGS[kind])
        except OSError as error:
            if error.errno != EPERM or "user" not in opened:
                raise
            late.append(kind)
    if "user" in opened:
        if not _is_own(opened["user"], "user"):
            setns(opened["user"], FLAGS["user"])
        for kind in late:
            setns(opened[kind], FLAGS[kind])


def _is_own(descriptor: int, kind: str) -> bool:
    """Whether this process is in that namespace: it could not join its own user namespace."""
    own, other = posix.stat(f"/proc/self/ns/{FILES[kind]}"), posix.fstat(descriptor)
    return (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino)
