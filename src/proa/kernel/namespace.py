"""Namespaces: clone3(2), unshare(2), setns(2); see namespaces(7).

clone3 is called as a system call, around the C library: the child is a copy of this process
that goes on where the parent does, without the handlers that `fork` runs. That is sound in a
process of one thread, where nobody else can hold a lock at that moment.
"""

from __future__ import annotations

import sys

from proa.kernel.libc import Buffer, function, syscall_with_memory

CLONE_NEWTIME = 0x80
CLONE_PIDFD = 0x1000
CLONE_PARENT = 0x8000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

FLAGS = {
    "user": CLONE_NEWUSER,
    "pid": CLONE_NEWPID,
    "mount": CLONE_NEWNS,
    "network": CLONE_NEWNET,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}
"""The namespaces by the names that OCI gives them."""

FILES = {
    "user": "user",
    "pid": "pid",
    "mount": "mnt",
    "network": "net",
    "uts": "uts",
    "ipc": "ipc",
    "cgroup": "cgroup",
    "time": "time",
}
"""Their names below /proc/PID/ns."""

_CLONE3 = 435
_SIGCHLD = 17

_unshare = function("unshare", "i", "i")
_setns = function("setns", "ii", "i")
_sethostname = function("sethostname", "pL", "i")
_setdomainname = function("setdomainname", "pL", "i")


def clone3(flags: int, *, cgroup: int | None = None) -> tuple[int, int]:
    """A child in the new namespaces that `flags` ask for: (pid, pidfd); (0, -1) in the child.

    `cgroup`: a descriptor of the directory of a cgroup (version 2) for the child to begin in.
    With CLONE_PARENT it is a child of this process's parent. The pidfd is close-on-exec.
    The caller has one thread. Raises OSError.
    """
    pidfd = Buffer(4)
    if cgroup is not None:
        flags |= CLONE_INTO_CGROUP
    # struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
    # set_tid, set_tid_size, cgroup
    values = (
        *(flags | CLONE_PIDFD, pidfd.address, 0, 0),
        0 if flags & CLONE_PARENT else _SIGCHLD,
        *(0, 0, 0, 0, 0, cgroup or 0),
    )
    arguments = b"".join(value.to_bytes(8, sys.byteorder) for value in values)
    pid = syscall_with_memory(_CLONE3, arguments, len(arguments))
    if pid == 0:
        return 0, -1
    return pid, int.from_bytes(pidfd.data, sys.byteorder)


def unshare(flags: int) -> None:
    """Leave the namespaces of `flags` (CLONE_NEW*) for new ones. Raises OSError."""
    _unshare(flags)


def setns(descriptor: int, flags: int) -> None:
    """Join a namespace (of /proc/PID/ns), or those in `flags` of the process of a pidfd.

    A pid or time namespace is joined by later children. Raises OSError.
    """
    _setns(descriptor, flags)


def sethostname(name: str) -> None:
    """Name the host in this UTS namespace. Raises OSError."""
    data = name.encode()
    _sethostname(data, len(data))


def setdomainname(name: str) -> None:
    """Set the NIS domain name of this UTS namespace. Raises OSError."""
    data = name.encode()
    _setdomainname(data, len(data))
