"""An ordinary user's container: its user namespace is entered before anything else is done.

Bind mounts, and the root file system itself, are cloned by who has rights over the mount
namespace. Root of the machine has them; an ordinary user only as root of a user namespace with a
mount namespace of its own. So this process becomes root of the user namespace that the spec asks
for, and the container is made in it rather than in a new one.
"""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, PermissionDenied
from proa.kernel.idmap import from_oci, user_namespace
from proa.kernel.namespace import CLONE_NEWNS, CLONE_NEWUSER, setns, unshare
from proa.kernel.process import set_dumpable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def enter(spec: dict[str, Any]) -> dict[str, Any]:
    """Enter the user namespace of `spec`; the spec of what is left to do. No effect for root.

    The process has one thread. Raises InvalidArgument where the spec asks for none,
    PermissionDenied, KernelError, Unsupported.
    """
    if posix.geteuid() == 0:
        return spec
    linux = spec.get("linux") or {}
    namespaces = linux.get("namespaces") or ()
    kept = [item for item in namespaces if item.get("type") != "user" or item.get("path")]
    if len(kept) == len(namespaces):
        raise InvalidArgument(
            "an ordinary user's container needs a user namespace:"
            ' add {"type": "user"} to linux.namespaces, or see \'proa-runtime spec --rootless\''
        )
    if not (linux.get("uidMappings") and linux.get("gidMappings")):
        raise InvalidArgument(
            "a new user namespace needs linux.uidMappings and linux.gidMappings in the spec"
        )
    try:
        namespace = user_namespace(from_oci(linux["uidMappings"]), from_oci(linux["gidMappings"]))
        try:
            setns(namespace, CLONE_NEWUSER)
        finally:
            posix.close(namespace)
        posix.setresgid(0, 0, 0)
        posix.setresuid(0, 0, 0)
        set_dumpable(True)
        unshare(CLONE_NEWNS)
    except OSError as error:
        raise PermissionDenied(
            "the kernel does not let an ordinary user be root of a user namespace"
            f" ({error.strerror}); see 'proa system check'"
        ) from None
    return {**spec, "linux": {**linux, "namespaces": kept}}
