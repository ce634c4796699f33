"""Mappings of user and group ids into user namespaces: user_namespaces(7), newuidmap(1)."""

from __future__ import annotations

import posix
from errno import EPERM

from proa.errors import InvalidArgument, KernelError, Unsupported
from proa.kernel.namespace import CLONE_NEWUSER, clone3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

Mapping_ = tuple[int, int, int]
"""(first id inside, first id outside, how many)"""


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
    _write_map(pid, "uid_map", uids)
    own = [(outside, size) for _, outside, size in gids] == [(posix.getegid(), 1)]
    if own and posix.geteuid() != 0:
        # user_namespaces(7): an unprivileged process must give up setgroups before it may
        # write gid_map
        try:
            _write(f"/proc/{pid}/setgroups", "deny")
        except OSError as error:
            raise KernelError(f"cannot deny setgroups to process {pid}: {_why(error)}") from None
    _write_map(pid, "gid_map", gids)


def user_namespace(uids: Sequence[Mapping_], gids: Sequence[Mapping_]) -> int:
    """A descriptor of a new user namespace with these mappings, which no process is in.

    For idmapped mounts. Raises KernelError.
    """
    reader, writer = posix.pipe2(posix.O_CLOEXEC)
    pid, pidfd = clone3(CLONE_NEWUSER)
    if pid == 0:
        posix.close(writer)
        posix.read(reader, 1)
        posix._exit(0)
    try:
        posix.close(pidfd)
        write_maps(pid, uids, gids)
        return posix.open(f"/proc/{pid}/ns/user", posix.O_RDONLY | posix.O_CLOEXEC)
    finally:
        posix.close(reader)
        posix.close(writer)
        posix.waitpid(pid, 0)


def _write_map(pid: int, name: str, mappings: Sequence[Mapping_]) -> None:
    text = "".join(f"{inside} {outside} {size}\n" for inside, outside, size in mappings)
    try:
        # one write: the kernel takes a map only once, and as a whole
        _write(f"/proc/{pid}/{name}", text)
    except OSError as error:
        if error.errno != EPERM or posix.geteuid() == 0:
            raise KernelError(
                f"cannot write {name} of process {pid}: {_why(error)}: {text.strip()!r}"
            ) from None
        _ask_helper("newuidmap" if name == "uid_map" else "newgidmap", pid, mappings)


def _ask_helper(program: str, pid: int, mappings: Sequence[Mapping_]) -> None:
    """Run newuidmap or newgidmap."""
    arguments = [program, str(pid)]
    for mapping in mappings:
        arguments += map(str, mapping)
    try:
        helper = posix.posix_spawnp(program, arguments, {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"})
    except FileNotFoundError:
        raise Unsupported(
            f"{program} is not installed: without it only your own id can be mapped; "
            "install the package uidmap"
        ) from None
    _, status = posix.waitpid(helper, 0)
    if status != 0:
        ranges = "/etc/subuid" if program == "newuidmap" else "/etc/subgid"
        raise KernelError(
            f"{program} refused {' '.join(arguments[2:])}; see whether {ranges} grants these ids"
        )


def _write(path: str, text: str) -> None:
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, text.encode())
    finally:
        posix.close(descriptor)


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
