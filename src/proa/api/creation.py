"""The body of `POST /containers/create`, as a ContainerConfig."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.api.parameters import Fields
from proa.engine.config import Device, PortBinding
from proa.engine.options import to_config
from proa.errors import InvalidArgument
from proa.lean.record import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.engine.config import ContainerConfig

_TEXTS = {
    "CgroupParent": "cgroup_parent",
    "CgroupnsMode": "cgroupns",
    "CpusetCpus": "cpuset_cpus",
    "CpusetMems": "cpuset_mems",
    "IpcMode": "ipc_mode",
    "Isolation": "isolation",
    "PidMode": "pid_mode",
    "Runtime": "runtime",
    "UTSMode": "uts_mode",
    "UsernsMode": "userns_mode",
    "VolumeDriver": "volume_driver",
}
_FLAGS = {
    "AutoRemove": "auto_remove",
    "Init": "init",
    "OomKillDisable": "oom_kill_disable",
    "Privileged": "privileged",
    "PublishAllPorts": "publish_all_ports",
    "ReadonlyRootfs": "read_only",
}
_NUMBERS = {
    "BlkioWeight": "blkio_weight",
    "CpuPeriod": "cpu_period",
    "CpuQuota": "cpu_quota",
    "CpuRealtimePeriod": "cpu_rt_period",
    "CpuRealtimeRuntime": "cpu_rt_runtime",
    "CpuShares": "cpu_shares",
    "KernelMemory": "kernel_memory",
    "Memory": "mem_limit",
    "MemoryReservation": "mem_reservation",
    "MemorySwap": "memswap_limit",
    "NanoCpus": "nano_cpus",
    "OomScoreAdj": "oom_score_adj",
    "PidsLimit": "pids_limit",
    "ShmSize": "shm_size",
}
_LISTS = {
    "CapAdd": "cap_add",
    "CapDrop": "cap_drop",
    "DeviceCgroupRules": "device_cgroup_rules",
    "Dns": "dns",
    "DnsOptions": "dns_opt",
    "DnsSearch": "dns_search",
    "ExtraHosts": "extra_hosts",
    "GroupAdd": "group_add",
    "Links": "links",
    "SecurityOpt": "security_opt",
    "VolumesFrom": "volumes_from",
}
_PAIRS = {
    "Annotations": "annotations",
    "StorageOpt": "storage_opt",
    "Sysctls": "sysctls",
    "Tmpfs": "tmpfs",
}
_OBJECTS = {
    "BlkioDeviceReadBps": "device_read_bps",
    "BlkioDeviceReadIOps": "device_read_iops",
    "BlkioDeviceWriteBps": "device_write_bps",
    "BlkioDeviceWriteIOps": "device_write_iops",
    "BlkioWeightDevice": "blkio_weight_device",
    "DeviceRequests": "device_requests",
    "Mounts": "mounts",
    "Ulimits": "ulimits",
}
_HIGHEST_PORT = 65535


def to_container(data: Mapping[str, Any], *, name: str, platform: str) -> ContainerConfig:
    """What is to be made. Raises InvalidArgument, Unsupported."""
    own = Fields(data)
    host = own.object("HostConfig")
    image = own.text("Image")
    if not image:
        raise InvalidArgument("no image is named: Image must not be empty")
    options = _own_options(own)
    for table, get in (
        (_TEXTS, host.text),
        (_FLAGS, host.flag),
        (_LISTS, host.texts),
        (_PAIRS, host.pairs),
        (_OBJECTS, host.objects),
    ):
        for field, option in table.items():
            if value := get(field):
                options[option] = value
    for field, option in _NUMBERS.items():
        # 0 is what Docker's clients send where nothing was said
        if count := host.number(field):
            options[option] = count
    swappiness = host.number("MemorySwappiness")
    if swappiness is not None and swappiness >= 0:
        options["mem_swappiness"] = swappiness
    options["volumes"] = [*(host.texts("Binds") or ()), *_volumes(own, host)]
    restart = host.mapping("RestartPolicy")
    if restart.get("Name"):
        options["restart_policy"] = restart
    log = host.object("LogConfig")
    if log.text("Type"):
        options["log_config"] = {"Type": log.text("Type"), "Config": log.pairs("Config")}
    options["network_mode"] = host.text("NetworkMode") or "default"
    if own.flag("NetworkDisabled"):
        options["network_mode"] = "none"
    if networks := own.object("NetworkingConfig").mapping("EndpointsConfig"):
        options["networking_config"] = {
            "bridge" if name == "default" else name: item for name, item in networks.items()
        }
    if platform:
        options["platform"] = platform
    config = to_config(image, own.texts("Cmd"), options).config
    published = _published(host.mapping("PortBindings"))
    exposed = dict.fromkeys(_port(text) for text in own.mapping("ExposedPorts"))
    exposed.update(dict.fromkeys((item.port, item.protocol) for item in published))
    return replace(
        config,
        name=name or None,
        devices=tuple(map(_device, host.objects("Devices"))),
        published=published,
        exposed_ports=tuple(f"{port}/{protocol}" for port, protocol in exposed),
        attach_stdin=own.flag("AttachStdin"),
        attach_stdout=own.flag("AttachStdout"),
        attach_stderr=own.flag("AttachStderr"),
    )


def _own_options(own: Fields) -> dict[str, Any]:
    """The options that the container itself has, apart from its host's."""
    options: dict[str, Any] = {
        "environment": own.texts("Env") or [],
        "labels": own.pairs("Labels"),
        "tty": own.flag("Tty"),
        "stdin_open": own.flag("OpenStdin"),
        "domainname": own.text("Domainname"),
        "mac_address": own.text("MacAddress"),
    }
    for field, option in (
        ("Hostname", "hostname"),
        ("User", "user"),
        ("WorkingDir", "working_dir"),
        ("StopSignal", "stop_signal"),
    ):
        options[option] = own.text(field) or None
    options["stop_timeout"] = own.number("StopTimeout")
    entrypoint = own.texts("Entrypoint")
    if entrypoint is not None and (entrypoint or own.has("Cmd")):
        # one empty word takes the image's away
        options["entrypoint"] = [word for word in entrypoint if entrypoint != [""]]
    if health := own.mapping("Healthcheck"):
        options["healthcheck"] = health
    return options


def _volumes(own: Fields, host: Fields) -> list[str]:
    """The anonymous volumes, but where something else is mounted."""
    taken = {text.split(":")[1] for text in host.texts("Binds") or () if ":" in text}
    taken |= {str(mount.get("Target")) for mount in host.objects("Mounts")}
    return [path for path in own.mapping("Volumes") if path not in taken]


def _device(data: Mapping[str, Any]) -> Device:
    fields = Fields(data, "HostConfig.Devices")
    source = fields.text("PathOnHost")
    if not source:
        raise InvalidArgument("HostConfig.Devices: PathOnHost must not be empty")
    return Device(
        source, fields.text("PathInContainer") or source, fields.text("CgroupPermissions") or "rwm"
    )


def _published(bindings: Mapping[str, Any]) -> tuple[PortBinding, ...]:
    found = []
    for text, places in bindings.items():
        port, protocol = _port(text)
        if places is not None and not isinstance(places, list):
            raise InvalidArgument(f"HostConfig.PortBindings.{text[:40]} must be a list of objects")
        for place in places or [{}]:
            if not isinstance(place, dict):
                raise InvalidArgument(
                    f"HostConfig.PortBindings.{text[:40]} must be a list of objects"
                )
            fields = Fields(place, f"PortBindings.{text}")
            low, _, high = fields.text("HostPort").partition("-")
            first = _number(low) if low else 0
            last = _number(high) if high else 0
            found.append(PortBinding(port, protocol, fields.text("HostIp"), first, last))
    return tuple(found)


def _port(text: str) -> tuple[int, str]:
    port, _, protocol = text.partition("/")
    return _number(port), protocol.lower() or "tcp"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= _HIGHEST_PORT:
        raise InvalidArgument(f"invalid port {text[:40]!r}: it must be 1 to {_HIGHEST_PORT}")
    return int(text)
