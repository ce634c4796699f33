"""An engine of an ordinary user: what it does itself, and what in the user namespace.

Such an engine stays outside: it reads the store, writes its own files and talks to monitors. What
makes or removes files of subordinate users happens in the user namespace: in a process with one
thread after `enter`, else in a process that is started for it; see `monitor.rootless`.
"""

from __future__ import annotations

import posix

from proa.errors import PermissionDenied
from proa.snapshot.choose import choose_snapshots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from proa.snapshot.protocol import Snapshots, Usage

    T = TypeVar("T")

_WHOLE = [b"0", b"0", b"4294967295"]


def enter() -> None:
    """Become root of a user namespace; see `proa.monitor.rootless.enter`.

    For programs with one thread that make or remove many images, where each would otherwise take
    a process of its own. The process seems to be root's afterwards: choose the engine's root
    directory before, by `default_root`.
    """
    from proa.monitor.rootless import enter

    enter()


def is_rootless() -> bool:
    """Whether this process is not root of the machine: an ordinary user, or root of a user
    namespace only.
    """
    if posix.geteuid() != 0:
        return True
    descriptor = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 64).split() != _WHOLE
    finally:
        posix.close(descriptor)


def has_single_id() -> bool:
    """Whether a container's only user and group are root."""
    if posix.geteuid() != 0:
        from proa.monitor.rootless import mappings

        return mappings().single
    descriptor = posix.open("/proc/self/gid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 64).split()[2:] == [b"1"]
    finally:
        posix.close(descriptor)


def snapshots(root: str) -> Snapshots | Outside:
    """The snapshots of the store at `root`, as far as an engine itself needs them."""
    return choose_snapshots(root) if posix.geteuid() == 0 else Outside(root)


class Outside:
    """Snapshots, for a process that has not entered: `Snapshots` without the mounts.

    Each thing is tried here first, where it costs nothing, and done in the user namespace where
    that lacks rights.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    @property
    def kind(self) -> str:
        """As in `Snapshots`."""
        return self._here().kind

    def layer_path(self, diff_id: str) -> str:
        """As in `Snapshots`."""
        return self._here().layer_path(diff_id)

    def lower(self, layers: Sequence[str]) -> list[str]:
        """As in `Snapshots`."""
        return self._here().lower(layers)

    def changed(self, key_dir: str) -> str:
        """As in `Snapshots`."""
        return self._here().changed(key_dir)

    def prepare(self, key_dir: str, layers: Sequence[str] = ()) -> None:
        """As in `Snapshots`."""
        self._try(
            lambda: self._here().prepare(key_dir, layers),
            "prepare",
            key_dir=key_dir,
            layers=list(layers),
        )

    def usage(self, key_dir: str) -> Usage:
        """As in `Snapshots`."""
        found = self._try(lambda: self._here().usage(key_dir), "usage", key_dir=key_dir)
        if isinstance(found, list):
            from proa.snapshot.protocol import Usage

            return Usage(*found)
        usage: Usage = found
        return usage

    def remove(self, key_dir: str) -> None:
        """As in `Snapshots`."""
        self._try(lambda: self._here().remove(key_dir), "remove", key_dir=key_dir)

    def _here(self) -> Snapshots:
        try:
            return choose_snapshots(self.root)
        except PermissionDenied:
            # nobody has tried yet what this machine can do, and here it cannot be tried
            self._call("choose")
            return choose_snapshots(self.root)

    def _try(self, attempt: Callable[[], T], operation: str, **arguments: Any) -> T | Any:
        try:
            return attempt()
        except (PermissionDenied, PermissionError):
            return self._call(operation, **arguments)

    def _call(self, operation: str, **arguments: Any) -> Any:
        from proa.monitor.inside import call

        return call(
            "proa.engine.rootless:do", {"root": self.root, "operation": operation, **arguments}
        )


def do(
    root: str, operation: str, key_dir: str = "", layers: Sequence[str] = ()
) -> tuple[int, int, int] | None:
    """What `Outside` asks for, in the user namespace."""
    chosen = choose_snapshots(root)
    if operation == "prepare":
        chosen.prepare(key_dir, layers)
    elif operation == "remove":
        chosen.remove(key_dir)
    elif operation == "usage":
        usage = chosen.usage(key_dir)
        return usage.size, usage.disk, usage.entries
    return None
