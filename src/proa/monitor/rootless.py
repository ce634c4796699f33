"""Containers of an ordinary user: a user namespace in which that user is root.

Nothing set-user-ID of ours is involved. newuidmap(1) and newgidmap(1) map the ids that
/etc/subuid and /etc/subgid grant; where there are none, the user's own id becomes root's and is
the only one there is. What is made in the namespace belongs, outside, to the user and the
subordinate ids; any other process of ours enters a namespace with the same mapping and sees the
same owners.
"""

from __future__ import annotations

import posix

from proa.errors import KernelError, PermissionDenied
from proa.kernel.idmap import write_maps
from proa.kernel.namespace import CLONE_NEWNS, CLONE_NEWUSER, unshare
from proa.kernel.process import set_dumpable
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    Ids = tuple[int, int, int]

_HELPERS = ("/usr/bin/newuidmap", "/usr/bin/newgidmap")


@record
class Mappings:
    """(first id inside, first id outside, how many) of user and group ids."""

    users: tuple[Ids, ...]
    groups: tuple[Ids, ...]

    @property
    def single(self) -> bool:
        """Whether the user's own id is the only one."""
        return len(self.users) == 1


def mappings() -> Mappings:
    """The mapping that this user can have."""
    uid, gid = posix.getuid(), posix.getgid()
    users = granted("/etc/subuid", uid)
    groups = granted("/etc/subgid", uid)
    if not (users and groups and all(posix.access(path, posix.X_OK) for path in _HELPERS)):
        return Mappings(((0, uid, 1),), ((0, gid, 1),))
    return Mappings(_joined(uid, users), _joined(gid, groups))


def granted(path: str, uid: int) -> list[tuple[int, int]]:
    """(first, count) of the ids that subuid(5) or subgid(5) grants to a user, by name or uid."""
    names = {str(uid), _user_name(uid)}
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
    if not needed():
        return
    wanted = mappings()
    pid = posix.getpid()
    ready, go = posix.pipe2(posix.O_CLOEXEC)
    helper = posix.fork()
    if helper == 0:
        # stays outside: the mapping is written from there
        posix.close(go)
        posix._exit(_map_when_told(ready, pid, wanted))
    posix.close(ready)
    try:
        unshare(CLONE_NEWUSER)
    except OSError as error:
        posix.close(go)
        posix.waitpid(helper, 0)
        raise PermissionDenied(
            f"the kernel does not let an ordinary user make a user namespace ({error.strerror});"
            " see 'proa system check'"
        ) from None
    posix.write(go, b"x")
    posix.close(go)
    _, status = posix.waitpid(helper, 0)
    if status:
        raise KernelError(
            "cannot map user ids into a user namespace; see 'proa system check' and /etc/subuid"
        )
    posix.setresgid(0, 0, 0)
    posix.setresuid(0, 0, 0)
    # changing ids made the process undumpable, and its own files in /proc root's of the machine
    set_dumpable(True)
    unshare(CLONE_NEWNS)


def _map_when_told(ready: int, pid: int, wanted: Mappings) -> int:
    if not posix.read(ready, 1):
        return 1
    try:
        write_maps(pid, wanted.users, wanted.groups)
    except (KernelError, OSError) as error:
        posix.write(2, f"proa: {error}\n".encode())
        return 1
    return 0


def _joined(own: int, ranges: list[tuple[int, int]]) -> tuple[Ids, ...]:
    """Root is the user, 1 and on are the subordinate ids one range after the other."""
    found: list[Ids] = [(0, own, 1)]
    inside = 1
    for first, count in ranges:
        found.append((inside, first, count))
        inside += count
    return tuple(found)


def _user_name(uid: int) -> str:
    for line in _lines("/etc/passwd"):
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == str(uid):
            return fields[0]
    return posix.environ.get(b"USER", b"").decode("utf-8", "replace")


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
