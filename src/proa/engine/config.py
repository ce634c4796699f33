"""What a container is to be: everything `run` and `create` can say, as one value.

Names and meanings are those of Docker's flags. Sizes are bytes, times seconds. None means: not
said, the image's or the engine's default applies.
"""

from __future__ import annotations

from proa.lean.record import as_dict, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@record
class Mount:
    """A file system of the container beyond its image's."""

    kind: str
    """bind, tmpfs, volume, image"""
    target: str
    source: str = ""
    """bind: an absolute path of the host; volume: its name ('' in what is asked for: an anonymous
    one); image: its reference"""
    read_only: bool = False
    recursive_read_only: bool = False
    """also every mount below the source"""
    create_source: bool = False
    """bind: make a missing source directory, as `-v` does and `--mount` does not"""
    propagation: str = "rprivate"
    recursive: bool = True
    size: int | None = None
    mode: int | None = None
    inherited: bool = False
    """another container's, by `--volumes-from`"""
    short: bool = False
    """said by `-v` or `--tmpfs` rather than by `--mount`: `inspect` shows it in that form"""
    options: tuple[str, ...] = ()
    """tmpfs: further mount options, as in `--tmpfs /run:exec,size=1m`"""
    map_ids: str = ""
    """bind: `me`: what the container's root writes belongs to the user who calls"""
    subpath: str = ""
    """volume, image: only this directory or file of it"""
    no_copy: bool = False
    """volume: an empty one is not filled with what the image has there"""
    driver: str = ""
    """volume: '' or local"""
    volume_options: Mapping[str, str] | None = None
    """volume: of its driver, where it is made for the container"""
    volume_labels: Mapping[str, str] | None = None
    anonymous: bool = False
    """volume: nobody has named it; it may go with the container"""
    image_id: str = ""
    """image: what the reference meant when the container was made"""
    volume_mode: str = ""
    """volume: the options of `-v` as they were written, which `inspect` shows"""


@record
class Device:
    """A device of the host, in the container."""

    source: str
    target: str
    permissions: str = "rwm"


@record
class DeviceRequest:
    """Devices by name, of which CDI files say what they are; as in Docker's API."""

    driver: str = ""
    """cdi: `device_ids` are full names, `vendor.com/class=name`; else whose GPUs, ''"""
    count: int = 0
    """of GPUs; -1: all"""
    device_ids: tuple[str, ...] = ()
    capabilities: tuple[tuple[str, ...], ...] = ()
    options: Mapping[str, str] | None = None


@record
class Ulimit:
    """A resource limit of setrlimit(2), by its lower-case name without RLIMIT_; -1: unlimited."""

    name: str
    soft: int
    hard: int


@record
class RestartPolicy:
    """What happens when the container ends by itself."""

    name: str = "no"
    """no, always, unless-stopped, on-failure, on-unhealthy"""
    maximum_retry_count: int = 0
    """on-failure, on-unhealthy: how often at most; 0: without end"""


@record
class DeviceRate:
    """A limit of `--device-read-bps` and its like."""

    path: str
    rate: int


@record
class Healthcheck:
    """A command that tells whether the container is well; times in nanoseconds."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@record
class EndpointConfig:
    """How a container is to be connected with a network."""

    network: str
    """name or id"""
    aliases: tuple[str, ...] = ()
    """further names of the container in the network"""
    ipv4_address: str = ""
    ipv6_address: str = ""
    mac_address: str = ""
    links: tuple[str, ...] = ()
    """CONTAINER:ALIAS: names that only this container knows"""
    link_local_ips: tuple[str, ...] = ()
    driver_options: Mapping[str, str] | None = None
    gw_priority: int = 0
    """where several networks have a way out, the one of the highest is taken"""


@record
class PortBinding:
    """A port of the container, published on the host."""

    port: int
    protocol: str = "tcp"
    host_ip: str = ""
    """empty: any address of the host"""
    first: int = 0
    """the host's port, or the first of those to choose from; 0: any free one"""
    last: int = 0
    """the last of those to choose from; 0: there is no choice"""


@record
class ContainerConfig:
    """Everything that is decided about a container before it exists."""

    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    """() takes the image's away"""
    name: str | None = None
    # basics
    environment: tuple[str, ...] = ()
    """KEY=VALUE; the caller has resolved KEY alone from its own environment"""
    working_dir: str | None = None
    user: str | None = None
    hostname: str | None = None
    domainname: str = ""
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    tty: bool = False
    open_stdin: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    stop_signal: str | None = None
    stop_timeout: int | None = None
    init: bool = False
    auto_remove: bool = False
    restart: RestartPolicy = RestartPolicy()
    runtime: str | None = None
    platform: str | None = None
    healthcheck: Healthcheck | None = None
    # storage
    mounts: tuple[Mount, ...] = ()
    volumes_from: tuple[str, ...] = ()
    """CONTAINER[:ro|rw]: all that is mounted there, too"""
    read_only: bool = False
    storage_options: Mapping[str, str] | None = None
    # network
    network_mode: str = "default"
    """default, none, host, container:NAME, or the name of a network"""
    networks: tuple[EndpointConfig, ...] = ()
    """how it is connected with the network of that name, and with further ones"""
    published: tuple[PortBinding, ...] = ()
    publish_all: bool = False
    """publish whatever is exposed on free ports of the host"""
    links: tuple[str, ...] = ()
    """CONTAINER[:ALIAS]"""
    mac_address: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    """NAME:ADDRESS; the address host-gateway stands for the host"""
    exposed_ports: tuple[str, ...] = ()
    """PORT/PROTOCOL: what it listens on, beside what its image says"""
    # limits
    memory: int | None = None
    memory_reservation: int | None = None
    memory_swap: int | None = None
    """memory and swap together; -1: unlimited swap"""
    memory_swappiness: int | None = None
    kernel_memory: int | None = None
    nano_cpus: int | None = None
    """billionths of a CPU"""
    cpu_shares: int | None = None
    cpu_period: int | None = None
    """microseconds"""
    cpu_quota: int | None = None
    """microseconds"""
    cpu_rt_period: int | None = None
    cpu_rt_runtime: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int | None = None
    blkio_weight: int | None = None
    blkio_weight_device: tuple[DeviceRate, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()
    oom_kill_disable: bool = False
    oom_score_adj: int | None = None
    cgroup_parent: str = ""
    # security
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    privileged: bool = False
    security_options: tuple[str, ...] = ()
    """as `--security-opt`: no-new-privileges, seccomp=…, apparmor=…, label=…, systempaths=…;
    of seccomp=FILE the caller has put the file's JSON in place of its name"""
    devices: tuple[Device, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    groups_add: tuple[str, ...] = ()
    userns_mode: str = ""
    pid_mode: str = ""
    """'' (own), host, container:NAME"""
    ipc_mode: str = ""
    """'' (private), private, shareable, host, none, container:NAME"""
    uts_mode: str = ""
    cgroupns_mode: str = ""
    sysctls: Mapping[str, str] | None = None
    # log
    log_driver: str = "json-file"
    """json-file, local, journald, syslog, none"""
    log_options: Mapping[str, str] | None = None


def to_json(value: object) -> Any:
    """A config, whole or a part of it, as what JSON has."""
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if hasattr(value, "__match_args__"):
        return {name: to_json(item) for name, item in as_dict(value).items() if item is not None}
    return value


_PARTS: dict[str, type] = {
    "mounts": Mount,
    "devices": Device,
    "device_requests": DeviceRequest,
    "ulimits": Ulimit,
    "restart": RestartPolicy,
    "blkio_weight_device": DeviceRate,
    "device_read_bps": DeviceRate,
    "device_write_bps": DeviceRate,
    "device_read_iops": DeviceRate,
    "device_write_iops": DeviceRate,
    "healthcheck": Healthcheck,
    "networks": EndpointConfig,
    "published": PortBinding,
}


def from_json(data: Mapping[str, Any]) -> ContainerConfig:
    """The config that `to_json` wrote."""
    return ContainerConfig(**{name: _part(_PARTS.get(name), item) for name, item in data.items()})


def _part(kind: type | None, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_part(kind, item) for item in value)
    if kind is not None and isinstance(value, dict):
        return kind(**{name: _part(None, item) for name, item in value.items()})
    return value


def joined(config: ContainerConfig) -> dict[str, str]:
    """Namespace type → name of the container whose namespace is to be joined."""
    modes = {"network": config.network_mode, "pid": config.pid_mode, "ipc": config.ipc_mode}
    return {
        kind: mode.partition(":")[2]
        for kind, mode in modes.items()
        if mode.startswith("container:")
    }
