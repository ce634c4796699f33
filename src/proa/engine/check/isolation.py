"""Namespaces, seccomp, and the system calls that containers are made with."""

from __future__ import annotations

import os

from proa.engine.check.finding import LIMITED, MISSING, OK, Finding, of_probe, tried
from proa.kernel import mount, namespace, pidfd
from proa.kernel.path import open_in_root
from proa.kernel.process import set_no_new_privileges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ESSENTIAL = ("mount", "pid", "uts", "ipc", "network")
_OPTIONS = {
    "user": "CONFIG_USER_NS",
    "pid": "CONFIG_PID_NS",
    "network": "CONFIG_NET_NS",
    "uts": "CONFIG_UTS_NS",
    "ipc": "CONFIG_IPC_NS",
    "cgroup": "CONFIG_CGROUPS",
    "time": "CONFIG_TIME_NS",
}
_ALLOW = (0x06).to_bytes(2, "little") + bytes(2) + (0x7FFF0000).to_bytes(4, "little")
"""A seccomp filter of one instruction: return SECCOMP_RET_ALLOW."""


def findings() -> Iterator[Finding]:
    """The findings."""
    yield _kernel()
    for kind, flag in namespace.FLAGS.items():
        yield _namespace(kind, flag)
    yield of_probe(
        "mounts by descriptor",
        _detached_mount,
        found="fsopen, fsmount, move_mount, mount_setattr",
        cost="no container can run",
        remedy="use Linux 5.12 or newer",
        essential=True,
    )
    yield of_probe(
        "safe paths",
        lambda: os.close(_open_in_root()),
        found="openat2 with RESOLVE_IN_ROOT",
        cost="no container can run: paths of images could lead out of them",
        remedy="use Linux 5.6 or newer, without a seccomp filter that refuses openat2",
        essential=True,
    )
    yield of_probe(
        "process descriptors",
        lambda: os.close(pidfd.pidfd_open(os.getpid())),
        found="pidfd_open, clone3",
        cost="no container can run",
        remedy="use Linux 5.4 or newer",
        essential=True,
    )
    yield _seccomp()
    yield _capabilities()


def _kernel() -> Finding:
    system = os.uname()
    return Finding("kernel", OK, f"{system.sysname} {system.release} on {system.machine}")


def _namespace(kind: str, flag: int) -> Finding:
    name = f"{kind} namespace"
    essential = kind in _ESSENTIAL
    root = os.geteuid() == 0

    def probe() -> None:
        if not root and kind != "user":
            # an ordinary user has the others in a user namespace only
            namespace.unshare(namespace.FLAGS["user"])
        namespace.unshare(flag)

    reason = tried(probe)
    if not reason:
        return Finding(name, OK, "can be made", essential=essential)
    cost = {
        "user": "no containers of ordinary users, no user namespaces in containers",
        "time": "no clocks of a container's own",
        "cgroup": "containers see the host's cgroup paths",
    }.get(kind, "no container can run")
    option = _OPTIONS.get(kind)
    if not os.path.exists(f"/proc/self/ns/{namespace.FILES[kind]}") and option:
        return Finding(
            name, MISSING, "not in this kernel", cost, f"build it with {option}", essential
        )
    file = "mnt" if kind == "mount" else namespace.FILES[kind]
    remedy = f"see whether /proc/sys/user/max_{file}_namespaces is above 0"
    if kind == "user" and not root:
        remedy = (
            "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000"
            " kernel.apparmor_restrict_unprivileged_userns=0 (those of them that exist)"
        )
    elif not root:
        remedy = "see the finding about the user namespace"
    else:
        remedy += ", and whether this process has CAP_SYS_ADMIN"
    return Finding(name, MISSING, reason, cost, remedy, essential)


def _detached_mount() -> None:
    if os.geteuid() != 0:
        namespace.unshare(namespace.FLAGS["user"] | namespace.FLAGS["mount"])
    context = mount.fsopen("tmpfs")
    mount.fsconfig_create(context)
    descriptor = mount.fsmount(context)
    mount.mount_setattr(descriptor, b"", attr_set=mount.MOUNT_ATTR_RDONLY)


def _open_in_root() -> int:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    return open_in_root(root, "proc", os.O_PATH)


def _seccomp() -> Finding:
    from proa.kernel.seccomp import install

    def probe() -> None:
        set_no_new_privileges()
        install(_ALLOW)

    reason = tried(probe)
    if reason:
        return Finding(
            "seccomp",
            MISSING,
            reason,
            "containers run only with --security-opt seccomp=unconfined",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        )
    reason = tried(_compile)
    if reason:
        return Finding(
            "seccomp",
            LIMITED,
            f"filters can be installed, not compiled: {reason}",
            "containers run only with --security-opt seccomp=unconfined",
            "apt-get install libseccomp2",
        )
    return Finding("seccomp", OK, "filters are compiled by libseccomp, and installed")


def _compile() -> None:
    from proa.kernel.capability import to_bits
    from proa.runtime.defaults import CAPABILITIES
    from proa.runtime.seccomp import default_filter

    default_filter(to_bits(CAPABILITIES), None)


def _capabilities() -> Finding:
    from proa.kernel import capability

    if os.geteuid() != 0:
        return Finding("capabilities", OK, "an ordinary user: those of a user namespace")
    own = capability.get().effective
    lacking = [
        name
        for number, name in enumerate(capability.NAMES)
        if not own >> number & 1 and number <= _last_capability()
    ]
    if not lacking:
        return Finding("capabilities", OK, "all")
    costs = {
        "CAP_SYS_ADMIN": "no container can run",
        "CAP_SYS_RESOURCE": "limits cannot be raised above this process's own (--ulimit), nor"
        " processes protected from running out of memory (--oom-score-adj)",
        "CAP_NET_ADMIN": "no networks",
        "CAP_MKNOD": "devices are bound from the host's /dev",
    }
    cost = "; ".join(costs[name] for name in lacking if name in costs)
    return Finding(
        "capabilities",
        MISSING if "CAP_SYS_ADMIN" in lacking else LIMITED,
        f"without {', '.join(lacking)}",
        cost or "containers cannot be given them",
        "start proa where nobody has taken them away: outside of another container",
        essential="CAP_SYS_ADMIN" in lacking,
    )


def _last_capability() -> int:
    try:
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 40
