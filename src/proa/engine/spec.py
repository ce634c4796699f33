"""The OCI runtime spec of a container: what its config means in the kernel's terms."""

from __future__ import annotations

import posix

from proa.engine import devices, limits, mounts, security
from proa.engine.rootless import is_rootless
from proa.errors import InvalidArgument, NotFound, Unsupported
from proa.lean.record import record
from proa.runtime import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.engine.config import ContainerConfig
    from proa.engine.process import Process

INIT_PATH = "/sbin/docker-init"


@record
class Identity:
    """Who the container is, and where its files lie."""

    id: str
    hostname: str
    directory: str
    """containers/<id> of the store"""


def build(config: ContainerConfig, process: Process, identity: Identity) -> dict[str, Any]:
    """The spec, complete but for what the monitor finds out: user ids, joined namespaces.

    Raises InvalidArgument, NotFound.
    """
    options = security.parse_options(config)
    capabilities = list(security.capabilities(config))
    unconfined = options.system_paths == "unconfined"
    spec: dict[str, Any] = {
        "ociVersion": defaults.OCI_VERSION,
        "process": {
            "terminal": config.tty,
            "user": {"uid": 0, "gid": 0},
            "args": list(_arguments(config, process)),
            "env": list(_environment(config, process, identity)),
            "cwd": process.working_dir,
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
            "noNewPrivileges": options.no_new_privileges,
            "rlimits": limits.rlimits(config),
        },
        "root": {"path": "rootfs", "readonly": config.read_only},
        "mounts": mounts.build(config, identity.directory),
        "linux": {
            "cgroupsPath": cgroup_path(config, identity.id),
            "namespaces": _namespaces(config),
            "resources": {
                **limits.resources(config),
                "devices": devices.rules(config),
            },
            "devices": devices.nodes(config),
            "maskedPaths": [] if unconfined else defaults.masked_paths(),
            "readonlyPaths": [] if unconfined else list(defaults.READ_ONLY_PATHS),
        },
    }
    linux, arguments = spec["linux"], spec["process"]
    if config.uts_mode != "host":
        spec["hostname"] = identity.hostname
        if config.domainname:
            spec["domainname"] = config.domainname
    if propagation := mounts.root_propagation(config):
        linux["rootfsPropagation"] = propagation
    if config.annotations:
        spec["annotations"] = dict(config.annotations)
    if sysctl := _sysctl(config):
        linux["sysctl"] = sysctl
    if config.oom_score_adj is not None:
        if not -1000 <= config.oom_score_adj <= 1000:
            raise InvalidArgument(
                f"invalid value {config.oom_score_adj}, range for oom score adj is [-1000, 1000]"
            )
        arguments["oomScoreAdj"] = config.oom_score_adj
    # as Docker has it: a label means nothing where the kernel does not run its module
    if options.apparmor not in ("", "unconfined") and security.has_apparmor():
        arguments["apparmorProfile"] = options.apparmor
    if options.selinux and security.has_selinux():
        arguments["selinuxLabel"] = linux["mountLabel"] = options.selinux
    if config.init and mounts.init_program() is None:
        _check_init(config)
        spec.setdefault("annotations", {})[defaults.INIT] = "true"
    if options.seccomp == "default":
        # the profile is large and always the same: the monitor knows its compiled form
        spec.setdefault("annotations", {})[defaults.DEFAULT_SECCOMP] = "true"
    elif profile := security.seccomp_profile(options):
        linux["seccomp"] = profile
    return spec


def cgroup_path(config: ContainerConfig, id: str) -> str:
    """Where the container's processes are accounted for."""
    parent = config.cgroup_parent or "/proa"
    return f"{parent.rstrip('/')}/{id}"


def check_modes(config: ContainerConfig) -> None:
    """Refuse what contradicts itself, or cannot be. Raises InvalidArgument, Unsupported."""
    if config.runtime is not None:
        from proa.monitor.foreign import find_runtime

        find_runtime(config.runtime)
    if config.storage_options:
        raise Unsupported(
            "--storage-opt is not available: give the engine's root a file system of that size"
        )
    if config.uts_mode == "host" and config.hostname:
        raise InvalidArgument("conflicting options: hostname and the UTS mode host")
    if config.network_mode.startswith("container:") and config.hostname:
        raise InvalidArgument("conflicting options: hostname and the network mode; drop --hostname")
    for flag, mode, allowed in (
        ("--pid", config.pid_mode, ("", "private", "host")),
        ("--ipc", config.ipc_mode, ("", "private", "shareable", "host", "none")),
        ("--uts", config.uts_mode, ("", "private", "host")),
        ("--cgroupns", config.cgroupns_mode, ("", "private", "host")),
        ("--userns", config.userns_mode, ("", "host")),
    ):
        joinable = flag in ("--pid", "--ipc") and mode.startswith("container:")
        if mode not in allowed and not joinable:
            raise InvalidArgument(
                f"{flag}: invalid mode: {mode}; there are"
                f" {', '.join(name for name in allowed if name)}"
            )


def _arguments(config: ContainerConfig, process: Process) -> tuple[str, ...]:
    if config.init and mounts.init_program() is not None:
        return (INIT_PATH, "--", *process.arguments)
    return process.arguments


def _check_init(config: ContainerConfig) -> None:
    """Without an init program the runtime's own first process can be one; another's cannot."""
    from proa.monitor.foreign import find_runtime

    if find_runtime(config.runtime) is not None:
        raise NotFound(
            "--init with another runtime needs an init program on the host: install the package"
            " catatonit (or tini)"
        )


def _environment(config: ContainerConfig, process: Process, identity: Identity) -> list[str]:
    """What every process has first, the user's values in the place of ours; Docker's order."""
    basic = [*defaults.ENVIRONMENT, f"HOSTNAME={identity.hostname}"]
    if config.tty:
        basic.append("TERM=xterm")
    found = {item.partition("=")[0]: item for item in basic}
    found.update((item.partition("=")[0], item) for item in process.environment)
    return list(found.values())


def _namespaces(config: ContainerConfig) -> list[dict[str, str]]:
    """The namespaces that are new; those of other containers are added by the monitor."""
    modes = {
        "pid": config.pid_mode,
        "network": config.network_mode,
        "ipc": config.ipc_mode,
        "uts": config.uts_mode,
        "mount": "",
        "cgroup": config.cgroupns_mode,
    }
    if config.privileged and not config.cgroupns_mode:
        # as Docker on cgroup v1; a privileged container manages the host's cgroups there
        modes["cgroup"] = "" if posix.access("/sys/fs/cgroup/cgroup.controllers", 0) else "host"
    return [
        {"type": kind}
        for kind, mode in modes.items()
        if mode != "host" and not mode.startswith("container:")
    ]


def _sysctl(config: ContainerConfig) -> dict[str, str]:
    """`--sysctl`s, and the two that Docker sets: what needs no privilege needs no root."""
    chosen: dict[str, str] = {}
    own_network = config.network_mode != "host" and not config.network_mode.startswith("container:")
    if own_network and not config.privileged:
        chosen.update(defaults.SYSCTLS)
        if is_rootless():
            del chosen["net.ipv4.ping_group_range"]
    given: Mapping[str, str] = config.sysctls or {}
    for name, value in given.items():
        if name.startswith("net.") and not own_network:
            raise InvalidArgument(f"sysctl {name} is not allowed in the host's network namespace")
        chosen[name] = value
    return chosen
