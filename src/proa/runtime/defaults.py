"""What a container gets where nobody says otherwise: the same as from Docker.

The pieces are values and must not be changed; the functions return new ones.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

OCI_VERSION = "1.2.0"
"""Version of the runtime spec that `default_spec` follows"""

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
"""Hidden: what they tell or do is the whole machine's. See also `masked_paths`."""

READ_ONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)

SHM_SIZE = 64 << 20
"""Bytes of /dev/shm"""

ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)

SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}
"""In a network namespace of the container's own. `ping_group_range` needs all these group ids
mapped, so it cannot be set in a user namespace."""

DEVICE_RULES: tuple[dict[str, Any], ...] = (
    {"allow": False, "access": "rwm"},
    # making a node harms nobody: opening it is what the rules decide
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},  # null
    {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"},  # zero
    {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "rwm"},  # full
    {"allow": True, "type": "c", "major": 1, "minor": 8, "access": "rwm"},  # random
    {"allow": True, "type": "c", "major": 1, "minor": 9, "access": "rwm"},  # urandom
    {"allow": True, "type": "c", "major": 5, "minor": 0, "access": "rwm"},  # tty
    {"allow": True, "type": "c", "major": 5, "minor": 1, "access": "rwm"},  # console
    {"allow": True, "type": "c", "major": 5, "minor": 2, "access": "rwm"},  # ptmx
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},  # pts/*
)
"""The devices that every container has (config-linux.md, "Default Devices"), and no other"""

ALL_DEVICES: tuple[dict[str, Any], ...] = ({"allow": True, "access": "rwm"},)
"""For a privileged container"""

_CPUS = "/sys/devices/system/cpu"


def masked_paths() -> list[str]:
    """`MASKED_PATHS`, and where this machine has them the counters of each CPU's throttling.

    Those let a container tell what its neighbours do, as /proc/interrupts does.
    """
    paths = list(MASKED_PATHS)
    try:
        posix.stat(f"{_CPUS}/cpu0/thermal_throttle")
    except OSError:
        return paths  # virtual machines do not have them
    for name in sorted(posix.listdir(_CPUS)):
        if name.startswith("cpu") and name[3:].isdigit():
            paths.append(f"{_CPUS}/{name}/thermal_throttle")
    return paths


DEFAULT_SECCOMP = "proa.seccomp.default"
"""An annotation of a spec: the default profile for the process's capabilities applies. It is large
and always the same, so it need not be in the spec; the runtime knows its compiled form."""

INIT = "proa.init"
"""An annotation of a spec: the first process stays, as init, and a child of it is the command; for
hosts that have no program for it to be put before the command."""


def mounts(
    *, shm_size: int = SHM_SIZE, sysfs_writable: bool = False, mqueue: bool = True
) -> list[dict[str, Any]]:
    """The file systems of every container, in the order in which they are mounted.

    sysfs_writable: for a privileged container; it applies to the cgroups too. mqueue: whether
    /dev/mqueue and /dev/shm are the container's own.
    """
    access = "rw" if sysfs_writable else "ro"
    found = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", access),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", access, "nosuid", "noexec", "nodev"),
    ]
    if mqueue:
        found.append(_mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"))
        found.append(
            _mount(
                "/dev/shm",  # noqa: S108 - the container's
                "tmpfs",
                "shm",
                "nosuid",
                "noexec",
                "nodev",
                "mode=1777",
                f"size={shm_size}",
            )
        )
    return found


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": kind,
        "source": source,
        "options": list(options),
    }


def default_spec(
    arguments: Iterable[str] = ("sh",),
    *,
    root: str = "rootfs",
    terminal: bool = False,
    hostname: str = "proa",
    capabilities: Iterable[str] = CAPABILITIES,
    shm_size: int = SHM_SIZE,
    cgroup_namespace: bool = True,
    seccomp: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A runtime spec (config.json) of a container with Docker's defences.

    root: the root file system, absolute or relative to the bundle. capabilities: bounding,
    effective and permitted. cgroup_namespace: what Docker does with cgroup version 2, not 1.
    seccomp: OCI's linux.seccomp, as `proa.runtime.seccomp_profile.default_profile` makes it.
    """
    names = list(capabilities)
    namespaces = ["mount", "uts", "ipc", "pid", "network"]
    if cgroup_namespace:
        namespaces.append("cgroup")
    linux: dict[str, Any] = {
        "namespaces": [{"type": name} for name in namespaces],
        "resources": {"devices": [dict(rule) for rule in DEVICE_RULES]},
        "maskedPaths": masked_paths(),
        "readonlyPaths": list(READ_ONLY_PATHS),
        "sysctl": dict(SYSCTLS),
    }
    if seccomp is not None:
        linux["seccomp"] = seccomp
    return {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": terminal,
            "user": {"uid": 0, "gid": 0},
            "args": list(arguments),
            "env": [*ENVIRONMENT, *(["TERM=xterm"] if terminal else [])],
            "cwd": "/",
            "capabilities": {
                "bounding": list(names),
                "effective": list(names),
                "permitted": list(names),
            },
            "noNewPrivileges": False,
        },
        "root": {"path": root, "readonly": False},
        "hostname": hostname,
        "mounts": mounts(shm_size=shm_size),
        "linux": linux,
    }


def rootless_spec(spec: dict[str, Any], uid: int, gid: int) -> dict[str, Any]:
    """What an ordinary user can have of `spec`: in a user namespace in which uid and gid are root.

    One id is mapped, the network is the host's, and no cgroup is limited, as with
    `runc spec --rootless`. With the host's network /sys is a bind of the host's: the kernel
    mounts a sysfs only for who owns the network namespace (mount_namespaces(7), sysfs).
    """
    linux = dict(spec["linux"])
    kept = [item for item in linux["namespaces"] if item["type"] not in ("network", "user")]
    linux["namespaces"] = [*kept, {"type": "user"}]
    linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    linux.pop("resources", None)
    linux.pop("sysctl", None)
    changed = []
    for item in spec["mounts"]:
        if item["destination"] == "/sys/fs/cgroup":
            continue  # comes with /sys
        if item["destination"] == "/sys":
            item = _mount("/sys", "none", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro")
        elif item["destination"] == "/dev/pts":
            # group 5 is not mapped
            options = [option for option in item["options"] if not option.startswith("gid=")]
            item = {**item, "options": options}
        changed.append(item)
    return {**spec, "mounts": changed, "linux": linux}
