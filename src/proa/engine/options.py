"""The library's keyword arguments, named as docker-py's users know them, as a ContainerConfig."""

from __future__ import annotations

import shlex

from proa.engine.binds import parse as parse_bind
from proa.engine.config import (
    ContainerConfig,
    Device,
    DeviceRate,
    DeviceRequest,
    EndpointConfig,
    Healthcheck,
    Mount,
    PortBinding,
    RestartPolicy,
    Ulimit,
)
from proa.errors import InvalidArgument, Unsupported
from proa.lean.record import record, replace
from proa.monitor.restart import POLICIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


@record
class Wanted:
    """A container, and which of its output the caller wants."""

    config: ContainerConfig
    stdout: bool = True
    stderr: bool = False
    stream: bool = False
    """an iterator instead of all at once"""


_SAME = frozenset(
    (
        "name hostname domainname working_dir user tty annotations privileged read_only"
        " network_mode stop_signal init runtime platform oom_score_adj cpu_shares cpu_period"
        " cpu_quota cpuset_cpus cpuset_mems pids_limit nano_cpus cgroup_parent userns_mode"
        " pid_mode ipc_mode uts_mode sysctls storage_options stop_timeout blkio_weight"
        " cpu_rt_period cpu_rt_runtime mac_address"
    ).split()
)
_SIZES = {
    "mem_limit": "memory",
    "mem_reservation": "memory_reservation",
    "memswap_limit": "memory_swap",
    "shm_size": "shm_size",
}
_LISTS = {
    "cap_add": "capabilities_add",
    "cap_drop": "capabilities_drop",
    "security_opt": "security_options",
    "group_add": "groups_add",
    "device_cgroup_rules": "device_cgroup_rules",
    "dns": "dns",
    "dns_search": "dns_search",
    "dns_opt": "dns_options",
    "volumes_from": "volumes_from",
}


def to_config(
    image: str, command: str | Sequence[str] | None, options: Mapping[str, Any]
) -> Wanted:
    """The config of `containers.run(image, command, **options)`. Raises InvalidArgument."""
    values: dict[str, Any] = {"command": words(command)}
    shown: dict[str, bool] = {}
    mounts: list[Mount] = []
    driver = ""
    for name, value in options.items():
        if name in ("stdout", "stderr", "stream"):
            shown[name] = bool(value)
        elif name in _SAME:
            if value is not None:
                values[name] = value
        elif name in _SIZES:
            if value is not None:
                values[_SIZES[name]] = size(value)
        elif name in _LISTS:
            values[_LISTS[name]] = tuple(str(item) for item in value or ())
        elif name in _CONVERTERS:
            if value is not None:
                converted = _CONVERTERS[name](value)
                # volumes, tmpfs and mounts are one list in the end
                mounts += converted.pop("mounts", ())
                values.update(converted)
        elif name == "volume_driver":
            driver = value or ""
        elif name in _ABSENT:
            if value:
                raise Unsupported(f"run(): {name} {_ABSENT[name]}")
        else:
            raise InvalidArgument(f"run() has no option {name}; see proa.engine.options")
    if mounts:
        values["mounts"] = tuple(
            replace(mount, driver=driver) if driver and mount.kind == "volume" else mount
            for mount in mounts
        )
    # what docker-py calls remove is an end without traces; a failed one's output was taken before
    values.setdefault("auto_remove", False)
    return Wanted(ContainerConfig(image, **values), **shown)


def words(command: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """A command line as words: text is split as a shell would."""
    if command is None:
        return None
    return tuple(shlex.split(command)) if isinstance(command, str) else tuple(command)


def size(value: int | str) -> int:
    """Bytes: a number, or text such as `512m` or `1.5g` (powers of 1024).

    Raises InvalidArgument.
    """
    if isinstance(value, int):
        return value
    text = value.strip().lower().removesuffix("b").removesuffix("i")
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}.get(text[-1:], 1)
    try:
        return int(float(text[:-1] if factor > 1 else text) * factor)
    except ValueError:
        raise InvalidArgument(f"{value!r} is not a size such as 512m") from None


def environment(value: Mapping[str, Any] | Sequence[str] | None) -> tuple[str, ...]:
    """Environment variables, given by name or as KEY=VALUE items."""
    if not value:
        return ()
    if isinstance(value, list | tuple):
        return tuple(value)
    return tuple(f"{name}={content}" for name, content in dict(value).items())  # type: ignore[arg-type]


def _volumes(value: Mapping[str, Mapping[str, str]] | Sequence[str]) -> dict[str, Any]:
    """`{"/host": {"bind": "/there", "mode": "ro"}}` or `["name:/there:ro", "/anonymous"]`."""
    if isinstance(value, list | tuple):
        texts = [str(text) for text in value]
    else:
        texts = [
            ":".join(filter(None, (source, entry["bind"], entry.get("mode", ""))))
            for source, entry in dict(value).items()  # type: ignore[arg-type]
        ]
    return {"mounts": tuple(map(parse_bind, texts))}


def _given_mounts(value: Sequence[Mount | Mapping[str, Any]]) -> dict[str, Any]:
    return {"mounts": tuple(map(_mount, value))}


def _mount(value: Mount | Mapping[str, Any]) -> Mount:
    """A Mount, or what docker-py's `types.Mount` is: an object of Docker's API."""
    if isinstance(value, Mount):
        return value
    if not isinstance(value, dict) or "Target" not in value:
        raise InvalidArgument(f"mounts: {value!r} is neither a proa.Mount nor one of docker-py's")
    kind = value.get("Type") or "volume"
    if kind not in ("bind", "tmpfs", "volume", "image"):
        raise Unsupported(f"mounts: type {kind} is not available; use bind, volume, tmpfs or image")
    bind: Mapping[str, Any] = value.get("BindOptions") or {}
    tmpfs: Mapping[str, Any] = value.get("TmpfsOptions") or {}
    volume: Mapping[str, Any] = value.get("VolumeOptions") or {}
    driver: Mapping[str, Any] = volume.get("DriverConfig") or {}
    image: Mapping[str, Any] = value.get("ImageOptions") or {}
    read_only = bool(value.get("ReadOnly")) or kind == "image"
    return Mount(
        kind,
        value["Target"],
        value.get("Source") or "",
        read_only=read_only,
        recursive_read_only=read_only and not bind.get("ReadOnlyNonRecursive"),
        create_source=bool(bind.get("CreateMountpoint")),
        propagation=bind.get("Propagation") or "rprivate",
        recursive=not bind.get("NonRecursive"),
        size=tmpfs.get("SizeBytes"),
        mode=tmpfs.get("Mode"),
        no_copy=bool(volume.get("NoCopy")),
        volume_labels=volume.get("Labels"),
        driver=driver.get("Name") or "",
        volume_options=driver.get("Options"),
        subpath=volume.get("Subpath") or image.get("Subpath") or "",
    )


def _labels(value: Mapping[str, str] | Sequence[str]) -> dict[str, Any]:
    if isinstance(value, list | tuple):
        return {"labels": dict(item.partition("=")[::2] for item in value)}
    return {"labels": dict(value)}  # type: ignore[arg-type]


def _rates(name: str) -> Callable[[Sequence[Any]], dict[str, Any]]:
    def convert(value: Sequence[Any]) -> dict[str, Any]:
        return {
            name: tuple(
                item
                if isinstance(item, DeviceRate)
                else DeviceRate(item["Path"], item.get("Rate", item.get("Weight", 0)))
                for item in value
            )
        }

    return convert


def _healthcheck(value: Mapping[str, Any] | Healthcheck) -> dict[str, Any]:
    """docker-py's names or Docker's: test, interval, timeout, retries, start_period (ns)."""
    if isinstance(value, Healthcheck):
        return {"healthcheck": value}
    lower = {key.lower().replace("_", ""): item for key, item in value.items()}
    test = lower.get("test") or ()
    return {
        "healthcheck": Healthcheck(
            test=("CMD-SHELL", test) if isinstance(test, str) else tuple(test),
            interval=lower.get("interval") or 0,
            timeout=lower.get("timeout") or 0,
            start_period=lower.get("startperiod") or 0,
            start_interval=lower.get("startinterval") or 0,
            retries=lower.get("retries") or 0,
        )
    }


def _tmpfs(value: Mapping[str, str]) -> dict[str, Any]:
    return {
        "mounts": tuple(
            Mount(
                "tmpfs",
                target,
                short=True,
                options=tuple(item for item in options.split(",") if item),
            )
            for target, options in value.items()
        )
    }


def _devices(value: Sequence[str]) -> dict[str, Any]:
    devices = []
    named = tuple(text for text in value if not text.startswith("/") and "=" in text)
    for text in value:
        if text in named:
            continue
        source, _, rest = text.partition(":")
        target, _, permissions = rest.partition(":")
        devices.append(Device(source, target or source, permissions or "rwm"))
    if named:
        request = DeviceRequest(driver="cdi", device_ids=named)
        return {"devices": tuple(devices), "device_requests": (request,)}
    return {"devices": tuple(devices)}


def _device_requests(value: Sequence[DeviceRequest | Mapping[str, Any]]) -> dict[str, Any]:
    """Of docker-py's `types.DeviceRequest`, which is an object of Docker's API, or ours."""
    found = []
    for item in value:
        if isinstance(item, DeviceRequest):
            found.append(item)
            continue
        lower = {str(name).lower().replace("_", ""): entry for name, entry in item.items()}
        found.append(
            DeviceRequest(
                driver=lower.get("driver") or "",
                count=lower.get("count") or 0,
                device_ids=tuple(lower.get("deviceids") or ()),
                capabilities=tuple(map(tuple, lower.get("capabilities") or ())),
                options=lower.get("options") or None,
            )
        )
    return {"device_requests": tuple(found)}


def _restart(value: Mapping[str, Any]) -> dict[str, Any]:
    name = value.get("Name") or "no"
    if name not in POLICIES:
        raise InvalidArgument(f"invalid restart policy: {name}; there are {', '.join(POLICIES)}")
    return {"restart": RestartPolicy(name, value.get("MaximumRetryCount") or 0)}


def _ulimits(value: Sequence[Mapping[str, Any] | Ulimit]) -> dict[str, Any]:
    limits = []
    for item in value:
        if isinstance(item, Ulimit):
            limits.append(item)
            continue
        lower = {str(key).lower(): number for key, number in item.items()}
        soft = lower.get("soft", lower.get("hard", 0))
        limits.append(Ulimit(lower["name"], soft, lower.get("hard", soft)))
    return {"ulimits": tuple(limits)}


def _extra_hosts(value: Mapping[str, str] | Sequence[str]) -> dict[str, Any]:
    if isinstance(value, list | tuple):
        return {"extra_hosts": tuple(value)}
    return {"extra_hosts": tuple(f"{name}:{address}" for name, address in dict(value).items())}  # type: ignore[arg-type]


def _published(value: Any) -> dict[str, Any]:
    """`{"80/tcp": 8080}`, of docker-py's values: a port, None for a free one, (address, port), or
    a list of these; also items such as `127.0.0.1:8080:80`.
    """
    from proa.engine.publish import parse

    found: list[PortBinding] = []
    if isinstance(value, list | tuple):
        for item in value:
            found += [item] if isinstance(item, PortBinding) else parse(str(item))
    else:
        for port, bindings in dict(value).items():
            for binding in bindings if isinstance(bindings, list) else [bindings]:
                found += parse(_port_text(port, binding))
    exposed = tuple(dict.fromkeys(f"{item.port}/{item.protocol}" for item in found))
    return {"published": tuple(found), "exposed_ports": exposed}


def _port_text(port: Any, binding: Any) -> str:
    """As `-p` has it."""
    inside = str(port)
    if binding is None:
        return inside
    if isinstance(binding, tuple):
        address, *number = binding
        shown = f"[{address}]" if ":" in str(address) else address
        return f"{shown}:{number[0] if number and number[0] is not None else ''}:{inside}"
    if isinstance(binding, dict):
        return _port_text(port, (binding.get("HostIp", ""), binding.get("HostPort")))
    return f"{binding}:{inside}"


def _links(value: Any) -> dict[str, Any]:
    pairs = value if isinstance(value, list | tuple) else dict(value).items()
    return {
        "links": tuple(
            item if isinstance(item, str) else f"{item[0]}:{item[1] or item[0]}" for item in pairs
        )
    }


def _networks(value: Mapping[str, Any]) -> dict[str, Any]:
    """`{"front": EndpointConfig}`: ours, or docker-py's, an object of Docker's API."""
    found = []
    for name, item in dict(value.get("EndpointsConfig") or value).items():
        if isinstance(item, EndpointConfig):
            found.append(replace(item, network=name))
            continue
        given: Mapping[str, Any] = item or {}
        addresses: Mapping[str, Any] = given.get("IPAMConfig") or {}
        found.append(
            EndpointConfig(
                name,
                aliases=tuple(given.get("Aliases") or ()),
                links=tuple(given.get("Links") or ()),
                ipv4_address=addresses.get("IPv4Address") or "",
                ipv6_address=addresses.get("IPv6Address") or "",
                link_local_ips=tuple(addresses.get("LinkLocalIPs") or ()),
                mac_address=given.get("MacAddress") or "",
                driver_options=given.get("DriverOpts"),
                gw_priority=given.get("GwPriority") or 0,
            )
        )
    return {"networks": tuple(found)}


def _log_config(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "log_driver": value.get("type") or value.get("Type") or "json-file",
        "log_options": value.get("config") or value.get("Config"),
    }


def _isolation(value: str) -> dict[str, Any]:
    if value not in ("", "default"):
        raise Unsupported(f"run(): isolation {value} is for Windows containers")
    return {}


_WINDOWS = "is for Windows containers"
_ABSENT = {
    "cpu_count": _WINDOWS,
    "cpu_percent": _WINDOWS,
    "init_path": "is not available: proa finds the host's init program itself",
    "lxc_conf": "is not available",
    "use_config_proxy": "is not available: pass the variables with environment=",
}
_CONVERTERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "cgroupns": lambda value: {"cgroupns_mode": value},
    "storage_opt": lambda value: {"storage_options": dict(value)},
    # of Docker's API
    "version": lambda _value: {},
    "isolation": _isolation,
    "auto_remove": lambda value: {"auto_remove": bool(value)},
    "remove": lambda value: {"auto_remove": bool(value)},
    "network": lambda value: {"network_mode": value},
    "networking_config": _networks,
    "networks": lambda value: {"networks": tuple(value)},
    "ports": _published,
    "publish_all_ports": lambda value: {"publish_all": bool(value)},
    "links": _links,
    "network_disabled": lambda value: {"network_mode": "none"} if value else {},
    "stdin_open": lambda value: {"open_stdin": bool(value)},
    "environment": lambda value: {"environment": environment(value)},
    "entrypoint": lambda value: {"entrypoint": words(value)},
    "volumes": _volumes,
    "mounts": _given_mounts,
    "labels": _labels,
    "healthcheck": _healthcheck,
    "device_read_bps": _rates("device_read_bps"),
    "device_write_bps": _rates("device_write_bps"),
    "device_read_iops": _rates("device_read_iops"),
    "device_write_iops": _rates("device_write_iops"),
    "blkio_weight_device": _rates("blkio_weight_device"),
    "cpus": lambda value: {"nano_cpus": int(float(value) * 1_000_000_000)},
    "kernel_memory": lambda value: {"kernel_memory": size(value)},
    "tmpfs": _tmpfs,
    "devices": _devices,
    "device_requests": _device_requests,
    "restart_policy": _restart,
    "ulimits": _ulimits,
    "extra_hosts": _extra_hosts,
    "log_config": _log_config,
    "oom_kill_disable": lambda value: {"oom_kill_disable": bool(value)},
    "mem_swappiness": lambda value: {"memory_swappiness": int(value)},
}
