"""Containers of an ordinary user: a user namespace in which that user is root.

Nothing set-user-ID of ours is involved. newuidmap(1) and newgidmap(1) map the ids that
/etc/subuid and /etc/subgid grant; where there are none, the user's own id becomes root's and is
the only one there is. What is made in the namespace belongs, outside, to the user and the
subordinate ids; any other process of ours enters a namespace with the same mapping and sees the
same owners. So no process has to stay only to keep a namespace.
"""

from __future__ import annotations

import posix

from proa.errors import Conflict, KernelError, PermissionDenied, Unsupported
from proa.kernel.idmap import find_helper, user_namespace
from proa.kernel.namespace import CLONE_NEWNS, CLONE_NEWUSER, setns, unshare
from proa.kernel.process import set_dumpable
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    Ids = tuple[int, int, int]

_HELPERS = ("newuidmap", "newgidmap")
_SEE = "see 'proa system check'"


@record
class Mappings:
    """(first id inside, first id outside, how many) of user and group ids."""

    users: tuple[Ids, ...]
    groups: tuple[Ids, ...]
    reason: str = ""
    """why the user's own ids are the only ones; empty where there are others"""

    @property
    def single(self) -> bool:
        """Whether the user's own ids are the only ones."""
        return bool(self.reason)


def mappings() -> Mappings:
    """The mapping that this user can have."""
    uid, gid = posix.getuid(), posix.getgid()
    users, groups = granted("/etc/subuid", uid), granted("/etc/subgid", uid)
    if not users or not groups:
        reason = f"{'/etc/subgid' if users else '/etc/subuid'} grants you no subordinate ids"
    elif missing := [name for name in _HELPERS if find_helper(name) is None]:
        reason = f"{missing[0]} is not installed"
    else:
        return Mappings(_joined(uid, users), _joined(gid, groups))
    return Mappings(((0, uid, 1),), ((0, gid, 1),), reason)


def granted(path: str, uid: int) -> list[tuple[int, int]]:
    """(first, count) of the ids that subuid(5) or subgid(5) grants to a user, by name or uid."""
    names = {str(uid), user_name(uid)}
    found = []
    for line in _lines(path):
        owner, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if owner in names and first.isdecimal() and count.isdecimal() and int(count):
            found.append((int(first), int(count)))
    return found


def needed() -> bool:
    """Whether this process is an ordinary user's, who has entered nothing yet."""
    return posix.geteuid() != 0


def enter() -> None:
    """Become root of a user namespace with a mount namespace of its own; no effect for root.

    The process must have one thread. Raises PermissionDenied where the kernel does not let an
    ordinary user have a user namespace, KernelError where the ids cannot be mapped.
    """
    namespace = make()
    if namespace is None:
        return
    try:
        join(namespace)
    finally:
        posix.close(namespace)


def make() -> int | None:
    """A descriptor of a new user namespace, to be joined; None for root, who needs none.

    Raises as `enter` does.
    """
    if not needed():
        return None
    wanted = mappings()
    try:
        return user_namespace(wanted.users, wanted.groups)
    except (KernelError, Unsupported) as error:
        raise KernelError(f"cannot make a user namespace: {error}; {_SEE}") from None
    except OSError as error:
        raise PermissionDenied(
            f"the kernel does not let an ordinary user make a user namespace ({error.strerror});"
            f" {_SEE}"
        ) from None


def join(namespace: int) -> None:
    """Become root of the user namespace of that descriptor, with a mount namespace of its own.

    The process must have one thread. Raises PermissionDenied.
    """
    try:
        setns(namespace, CLONE_NEWUSER)
        # real, effective and saved: what was the user's is root's now
        posix.setresgid(0, 0, 0)
        posix.setresuid(0, 0, 0)
        # a change of ids makes a process undumpable, and its files in /proc the machine's root's
        set_dumpable(True)
        unshare(CLONE_NEWNS)
    except OSError as error:
        # AppArmor on Ubuntu lets a namespace be made, and nothing be done in it
        raise PermissionDenied(
            f"the kernel gives an ordinary user no rights in a user namespace ({error.strerror});"
            f" {_SEE}"
        ) from None


def of_process(pid: int) -> int:
    """A descriptor of the user namespace that a process of this user's container is in.

    Raises Conflict where the process is gone.
    """
    try:
        return posix.open(f"/proc/{pid}/ns/user", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise Conflict(
            f"cannot join the user namespace of process {pid}: {error.strerror}"
        ) from None


def _joined(own: int, ranges: list[tuple[int, int]]) -> tuple[Ids, ...]:
    """Root is the user, 1 and on are the subordinate ids one range after the other."""
    found: list[Ids] = [(0, own, 1)]
    inside = 1
    for first, count in ranges:
        found.append((inside, first, count))
        inside += count
    return tuple(found)


def user_name(uid: int) -> str:
    """The name of a user in /etc/passwd, or what the environment says; may be empty."""
    for line in _lines("/etc/passwd"):
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == str(uid):
            return fields[0]
    return posix.environ.get(b"USER", b"").decode("utf-8", "replace")


def home_of(uid: int) -> str:
    """The home directory of a user in /etc/passwd; / where it is not there."""
    for line in _lines("/etc/passwd"):
        fields = line.split(":")
        if len(fields) > 5 and fields[2] == str(uid):
            return fields[5]
    return "/"


def _lines(path: str) -> list[str]:
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return []
    try:
        data = b""
        while chunk := posix.read(descriptor, 1 << 16):
            data += chunk
        return data.decode("utf-8", "replace").split("\n")
    finally:
        posix.close(descriptor)
