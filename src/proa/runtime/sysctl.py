"""Kernel parameters of a container's namespaces, written through its own /proc."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, KernelError
from proa.kernel import mount
from proa.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from proa.runtime.namespaces import Namespaces
    from proa.runtime.place import Place

_IPC = frozenset(
    (
        *("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall"),
        *("kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"),
    )
)
_UTS = {"kernel.domainname": "domainname", "kernel.hostname": "hostname"}


def check(values: Mapping[str, str], namespaces: Namespaces) -> None:
    """See that each parameter belongs to a namespace of the container's own.

    Otherwise it would be changed for the whole machine. Raises InvalidArgument.
    """
    own = namespaces.new | namespaces.joined.keys()
    for name in values:
        dotted = name.replace("/", ".")
        if dotted in _IPC or dotted.startswith("fs.mqueue."):
            needed = "ipc"
        elif dotted.startswith("net."):
            needed = "network"
        elif dotted in _UTS:
            needed = "uts"
        elif dotted.startswith("user.") and "user" in own:
            needed = "user"
        else:
            raise InvalidArgument(
                f"sysctl {name} is not of any namespace: it would change the whole machine"
            )
        if needed not in own:
            raise InvalidArgument(
                f"sysctl {name} needs a {needed} namespace of the container's own"
            )


def write(values: Mapping[str, str], place: Place) -> None:
    """Set the parameters in the namespaces of this process. Raises KernelError."""
    proc = place.mounted.get("/proc")
    own = proc is None
    if proc is None:
        proc = _mount_proc()
    try:
        for name, value in values.items():
            _write(proc, name, value)
    finally:
        if own:
            posix.close(proc)


def _write(proc: int, name: str, value: str) -> None:
    path = name if "/" in name else name.replace(".", "/")
    try:
        descriptor = openat2(
            proc,
            f"sys/{path}",
            posix.O_WRONLY,
            resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
        )
        try:
            posix.write(descriptor, value.encode())
        finally:
            posix.close(descriptor)
    except OSError as error:
        raise KernelError(
            f"cannot set sysctl {name} to {value!r}: {(error.strerror or '').lower()}"
        ) from None


def _mount_proc() -> int:
    try:
        context = mount.fsopen("proc")
    except PermissionError:
        return _proc_of_host()
    try:
        mount.fsconfig_create(context)
        return mount.fsmount(context)
    except PermissionError:
        return _proc_of_host()
    finally:
        posix.close(context)


def _proc_of_host() -> int:
    """Root of a user namespace in the host's pid namespace may mount no procfs. The host's is
    still at hand, and shows in /proc/sys the namespaces of who looks.
    """
    return posix.open("/proc", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
