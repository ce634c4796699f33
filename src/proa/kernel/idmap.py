"""Mappings of user and group ids into user namespaces: user_namespaces(7), newuidmap(1)."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, KernelError, Unsupported
from proa.kernel.namespace import CLONE_NEWUSER, clone3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

Mapping_ = tuple[int, int, int]
"""(first id inside, first id outside, how many)"""

_HELPER_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin", "/run/wrappers/bin")
"""Where newuidmap and newgidmap are; the last one is NixOS's."""


def from_oci(entries: Iterable[Mapping[str, Any]]) -> list[Mapping_]:
    """The mappings of OCI's uidMappings or gidMappings. Raises InvalidArgument."""
    try:
        return [
            (int(entry["containerID"]), int(entry["hostID"]), int(entry["size"]))
            for entry in entries
        ]
    except (KeyError, TypeError, ValueError):
        raise InvalidArgument(
            "an id mapping needs the numbers containerID, hostID and size"
        ) from None


def write_maps(pid: int, uids: Sequence[Mapping_], gids: Sequence[Mapping_]) -> None:
    """Map the ids of the user namespace that the process `pid` has just been born into.

    Without privileges only a user's own id can be mapped (and setgroups must be denied); for
    more, newuidmap and newgidmap are asked, which allow what /etc/subuid and /etc/subgid grant.
    Raises KernelError, Unsupported where they are not installed.
    """
    # the helpers take milliseconds each: side by side
    helpers = [_write_map(pid, "uid_map", uids, _is_own(uids, posix.geteuid()))]
    try:
        own = _is_own(gids, posix.getegid())
        if own and posix.geteuid() != 0:
            # user_namespaces(7): an unprivileged process must give up setgroups before it may
            # write gid_map
            try:
                _write(f"/proc/{pid}/setgroups", "deny")
            except OSError as error:
                raise KernelError(
                    f"cannot deny setgroups to process {pid}: {_why(error)}"
                ) from None
        helpers.append(_write_map(pid, "gid_map", gids, own))
    finally:
        failed = [helper for helper in helpers if helper is not None and not helper.succeeded()]
    if failed:
        raise KernelError(failed[0].refusal())


def user_namespace(uids: Sequence[Mapping_], gids: Sequence[Mapping_]) -> int:
    """A descriptor of a new user namespace with these mappings, which no process is in.

    For idmapped mounts, and to be joined. The caller has one thread. Raises KernelError,
    Unsupported as `write_maps` does, and OSError where the kernel allows no user namespace.
    """
    reader, writer = posix.pipe2(posix.O_CLOEXEC)
    try:
        pid, pidfd = clone3(CLONE_NEWUSER)
        if pid == 0:
            posix.close(writer)
            posix.read(reader, 1)
            posix._exit(0)
    except BaseException:
        posix.close(writer)
        raise
    finally:
        posix.close(reader)
    try:
        posix.close(pidfd)
        write_maps(pid, uids, gids)
        return posix.open(f"/proc/{pid}/ns/user", posix.O_RDONLY | posix.O_CLOEXEC)
    finally:
        posix.close(writer)
        posix.waitpid(pid, 0)


class _Helper:
    """newuidmap or newgidmap at work."""

    def __init__(self, program: str, pid: int, mappings: Sequence[Mapping_]) -> None:
        self._program = program
        self._ids = " ".join(str(number) for mapping in mappings for number in mapping)
        path = find_helper(program)
        if path is None:
            raise Unsupported(
                f"{program} is not installed: without it only your own id can be mapped; "
                "install the package uidmap"
            )
        arguments = [program, str(pid), *self._ids.split()]
        try:
            self._pid = posix.posix_spawn(path, arguments, {})
        except OSError as error:
            raise KernelError(f"cannot execute {path}: {_why(error)}") from None

    def succeeded(self) -> bool:
        """Wait for its end."""
        _, status = posix.waitpid(self._pid, 0)
        return status == 0

    def refusal(self) -> str:
        """What it means that it failed."""
        ranges = "/etc/subuid" if self._program == "newuidmap" else "/etc/subgid"
        return f"{self._program} refused {self._ids}; see whether {ranges} grants these ids"


def find_helper(program: str) -> str | None:
    """The path of newuidmap or newgidmap; None where this machine has none.

    Not by the caller's PATH: what comes first there is not always the one with the rights.
    """
    for directory in _HELPER_DIRECTORIES:
        path = f"{directory}/{program}"
        if posix.access(path, posix.X_OK):
            return path
    return None


def _write_map(pid: int, name: str, mappings: Sequence[Mapping_], own: bool) -> _Helper | None:
    """Write a map, or give the helper that is about to."""
    if own or posix.geteuid() == 0:
        text = "".join(f"{inside} {outside} {size}\n" for inside, outside, size in mappings)
        try:
            # one write: the kernel takes a map only once, and as a whole
            _write(f"/proc/{pid}/{name}", text)
        except OSError as error:
            raise KernelError(
                f"cannot write {name} of process {pid}: {_why(error)}: {text.strip()!r}"
            ) from None
        return None
    return _Helper("newuidmap" if name == "uid_map" else "newgidmap", pid, mappings)


def _is_own(mappings: Sequence[Mapping_], id: int) -> bool:
    """Whether `id` is all that is mapped."""
    return [(outside, size) for _, outside, size in mappings] == [(id, 1)]


def _write(path: str, text: str) -> None:
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, text.encode())
    finally:
        posix.close(descriptor)


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
