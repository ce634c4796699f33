"""From flags to the value that says what a container is to be.

Most flags are a field and nothing else: a table. Those that need thought are in modules of
their own, imported where such a flag was given.
"""

from __future__ import annotations

from proa.cli.exit_codes import WrongArguments
from proa.cli.flags import UsageError
from proa.cli.output import warn
from proa.engine.config import ContainerConfig
from proa.errors import ImageNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from proa.cli.command import Session
    from proa.cli.flags import Values

    T = TypeVar("T")

FIELDS = {
    "blkio-weight": "blkio_weight",
    "cgroup-parent": "cgroup_parent",
    "cpu-period": "cpu_period",
    "cpu-quota": "cpu_quota",
    "cpu-rt-period": "cpu_rt_period",
    "cpu-rt-runtime": "cpu_rt_runtime",
    "cpu-shares": "cpu_shares",
    "cpus": "nano_cpus",
    "cpuset-cpus": "cpuset_cpus",
    "cpuset-mems": "cpuset_mems",
    "domainname": "domainname",
    "hostname": "hostname",
    "init": "init",
    "interactive": "open_stdin",
    "kernel-memory": "kernel_memory",
    "memory": "memory",
    "memory-reservation": "memory_reservation",
    "memory-swap": "memory_swap",
    "name": "name",
    "oom-kill-disable": "oom_kill_disable",
    "oom-score-adj": "oom_score_adj",
    "pids-limit": "pids_limit",
    "platform": "platform",
    "privileged": "privileged",
    "read-only": "read_only",
    "rm": "auto_remove",
    "runtime": "runtime",
    "shm-size": "shm_size",
    "stop-signal": "stop_signal",
    "stop-timeout": "stop_timeout",
    "tty": "tty",
    "user": "user",
    "workdir": "working_dir",
}
"""Flags whose value is the field's."""

_TUPLES = {
    "cap-add": "capabilities_add",
    "cap-drop": "capabilities_drop",
    "dns-option": "dns_options",
    "dns-search": "dns_search",
    "group-add": "groups_add",
    "volumes-from": "volumes_from",
}
"""Flags whose texts are the field's, in order."""

_PARTS: dict[str, str] = {
    "add-host": "network:hosts",
    "annotation": "metadata:annotation",
    "blkio-weight-device": "devices:rates",
    "cgroupns": "namespaces:namespaces",
    "device": "devices:devices",
    "dns": "network:servers",
    "device-cgroup-rule": "devices:rules",
    "device-read-bps": "devices:rates",
    "device-read-iops": "devices:rates",
    "device-write-bps": "devices:rates",
    "device-write-iops": "devices:rates",
    "disable-content-trust": "absent:refuse",
    "env": "metadata:environment",
    "env-file": "metadata:environment",
    "expose": "network:exposed",
    "gpus": "gpus:requests",
    "health-cmd": "health:healthcheck",
    "health-interval": "health:healthcheck",
    "health-retries": "health:healthcheck",
    "health-start-interval": "health:healthcheck",
    "health-start-period": "health:healthcheck",
    "health-timeout": "health:healthcheck",
    "ip": "network:networks",
    "ip6": "network:networks",
    "ipc": "namespaces:namespaces",
    "isolation": "absent:refuse",
    "label": "metadata:labels",
    "label-file": "metadata:labels",
    "link": "network:networks",
    "link-local-ip": "network:networks",
    "log-driver": "metadata:log",
    "log-opt": "metadata:log",
    "mac-address": "network:networks",
    "memory-swappiness": "limits:swappiness",
    "mount": "mounts:mounts",
    "network": "network:networks",
    "network-alias": "network:networks",
    "no-healthcheck": "health:healthcheck",
    "pid": "namespaces:namespaces",
    "publish": "network:published",
    "publish-all": "network:published",
    "restart": "limits:restart",
    "security-opt": "security:options",
    "storage-opt": "metadata:storage",
    "sysctl": "metadata:sysctls",
    "tmpfs": "mounts:mounts",
    "ulimit": "limits:ulimits",
    "use-api-socket": "absent:refuse",
    "userns": "namespaces:namespaces",
    "uts": "namespaces:namespaces",
    "volume": "mounts:mounts",
    "volume-driver": "mounts:mounts",
    "cpu-count": "absent:refuse",
    "cpu-percent": "absent:refuse",
    "io-maxbandwidth": "absent:refuse",
    "io-maxiops": "absent:refuse",
}
"""Flags with a function of their own: `module:function`, which gives fields and their values."""

_ELSEWHERE = frozenset(
    ("attach", "cidfile", "detach", "detach-keys", "entrypoint", "pull", "quiet", "sig-proxy")
)
"""Flags that `build_config` and the commands read themselves."""

_PULL = ("always", "missing", "never")
_STREAMS = ("stdin", "stdout", "stderr")


def build_config(
    values: Values, arguments: Sequence[str], *, detach: bool = False
) -> ContainerConfig:
    """What `run` and `create` were asked for.

    `arguments`: the image, and the command where there is one.
    Raises UsageError, Unsupported, OSError (for files that flags name).
    """
    given: dict[str, Any] = {"image": arguments[0]}
    if len(arguments) > 1:
        given["command"] = tuple(arguments[1:])
    parts: dict[str, None] = {}
    for name, value in values.given.items():
        if field := FIELDS.get(name):
            given[field] = value
        elif field := _TUPLES.get(name):
            given[field] = tuple(value)
        elif part := _PARTS.get(name):
            parts[part] = None
        elif name not in _ELSEWHERE:
            raise AssertionError(f"nothing reads --{name}")
    if "devices:devices" in parts:
        parts["gpus:requests"] = None
    for part in parts:
        given.update(_function(part)(values))
    if "entrypoint" in values:
        entrypoint = values.text("entrypoint")
        given["entrypoint"] = (entrypoint,) if entrypoint else ()
    _attach(given, values, detach=detach)
    _agree(given)
    if given.get("oom_kill_disable") and not given.get("memory"):
        warn(
            "WARNING: OOM killer is disabled for the container, but no memory limit is set,"
            " this can result in the system running out of resources."
        )
    return ContainerConfig(**given)


def with_image(
    session: Session, values: Values, config: ContainerConfig, start: Callable[[], T]
) -> T:
    """Do `start`, with the image pulled before or after as `--pull` says.

    always: before; missing: where it turns out that the image is not here; never. Raises
    UsageError, and what pulling or `start` raises.
    """
    policy = values.text("pull", "missing")
    if policy not in _PULL:
        raise UsageError(
            f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"'
        )
    if policy == "always":
        from proa.cli.image.pull import pull_for_container

        pull_for_container(session, config, quiet=values.flag("quiet"))
    try:
        return start()
    except ImageNotFound:
        if policy != "missing":
            raise
    from proa.cli.image.pull import pull_for_container

    pull_for_container(session, config, quiet=values.flag("quiet"), is_missing=True)
    return start()


def _function(part: str) -> Callable[[Values], dict[str, Any]]:
    import sys

    module, _, name = part.partition(":")
    full = f"proa.cli.container.{module}"
    __import__(full)
    function: Callable[[Values], dict[str, Any]] = getattr(sys.modules[full], name)
    return function


def _attach(given: dict[str, Any], values: Values, *, detach: bool) -> None:
    """Which of the container's streams the command is connected to."""
    streams = {stream.lower() for stream in values.texts("attach")}
    if unknown := streams.difference(_STREAMS):
        raise UsageError(
            f'invalid argument "{min(unknown)}" for "-a, --attach" flag: '
            "valid streams are stdin, stdout and stderr"
        )
    if detach:
        if streams:
            raise WrongArguments("conflicting options: cannot specify both --attach and --detach")
        return
    if not streams:
        given["attach_stdout"] = given["attach_stderr"] = True
        given["attach_stdin"] = values.flag("interactive")
        return
    for stream in streams:
        given[f"attach_{stream}"] = True
    if "stdin" in streams:
        given["open_stdin"] = True


def _agree(given: dict[str, Any]) -> None:
    """Refuse what contradicts itself."""
    if given.get("auto_remove") and "restart" in given and given["restart"].name != "no":
        raise UsageError("conflicting options: cannot specify both --restart and --rm")
    if given.get("nano_cpus") and (given.get("cpu_period") or given.get("cpu_quota")):
        raise UsageError(
            "conflicting options: --cpus cannot be combined with --cpu-period or --cpu-quota"
        )
    if given.get("hostname") and given.get("uts_mode") == "host":
        raise UsageError("conflicting options: --hostname and --uts=host")
    if given.get("hostname") and str(given.get("network_mode", "")).startswith("container:"):
        raise UsageError("conflicting options: --hostname and --network container:NAME")
