"""A container in the form of `docker inspect`: the shape that scripts and tools rely on."""

from __future__ import annotations

from proa.engine import config as configs
from proa.engine import process as processes
from proa.engine import security
from proa.engine.inspect_network import network_settings, port_bindings
from proa.engine.rootless import snapshots as snapshots_of
from proa.lean import clock
from proa.runtime import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.engine.config import ContainerConfig
    from proa.engine.process import Process
    from proa.engine.rootless import Outside
    from proa.snapshot.protocol import Snapshots
    from proa.store.containers import ContainerRow
    from proa.store.store import Store


def describe(store: Store, row: ContainerRow) -> dict[str, Any]:
    """All that is known about a container."""
    config = configs.from_json(row.config["request"])
    process = processes.from_json(row.config["process"])
    directory = store.path("containers", row.id)
    arguments = process.arguments
    log = {
        "json-file": f"{directory}/{row.id}-json.log",
        "local": f"{directory}/local-logs/container.log",
    }.get(config.log_driver, "")
    snapshots = snapshots_of(store.root)
    return {
        "Id": row.id,
        "Created": clock.from_nanoseconds(row.created),
        "Path": arguments[0],
        "Args": list(arguments[1:]),
        "State": _state(row, directory),
        "Image": row.image,
        "ResolvConfPath": f"{directory}/resolv.conf",
        "HostnamePath": f"{directory}/hostname",
        "HostsPath": f"{directory}/hosts",
        "LogPath": log,
        "Name": f"/{row.name}",
        "RestartCount": row.state.get("restart_count", 0),
        "Driver": snapshots.kind,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": security.parse_options(config).apparmor,
        "ExecIDs": None,
        "HostConfig": _host_config(config),
        "GraphDriver": {
            "Name": snapshots.kind,
            "Data": _directories(snapshots, row, f"{directory}/snapshot"),
        },
        "Mounts": [
            _mount(mount, store)
            for mount in config.mounts
            if mount.kind != "tmpfs" or not mount.short
        ],
        "Config": _config(config, process, str(row.config["hostname"])),
        "NetworkSettings": network_settings(store, config, row),
    }


def _directories(snapshots: Snapshots | Outside, row: ContainerRow, place: str) -> dict[str, Any]:
    """Where its files lie.

    The whole of them is mounted nowhere on the host: what a running container has is reached by
    way of its first process.
    """
    found: dict[str, Any] = {
        "LowerDir": ":".join(snapshots.lower([str(layer) for layer in row.layers])),
        "UpperDir": snapshots.changed(place),
        "MergedDir": "",
    }
    if snapshots.kind == "overlay":
        found["WorkDir"] = f"{place}/work"
    if pid := row.state.get("pid"):
        found["MergedDir"] = f"/proc/{pid}/root"
    return found


def _state(row: ContainerRow, directory: str) -> dict[str, Any]:
    state = row.state
    status = state["status"]
    found = {
        "Status": status,
        "Running": status in ("running", "paused", "restarting"),
        "Paused": status == "paused",
        "Restarting": status == "restarting",
        "OOMKilled": bool(state.get("oom_killed")),
        "Dead": status == "dead",
        "Pid": state.get("pid", 0),
        "ExitCode": state.get("exit_code", 0),
        "Error": state.get("error", ""),
        "StartedAt": state.get("started_at") or clock.NEVER,
        "FinishedAt": state.get("finished_at") or clock.NEVER,
    }
    if health := state.get("health"):
        from proa.monitor import results

        found["Health"] = {"Status": health, **results.load(directory)}
    if error := state.get("log_error"):
        # not Docker's: it tells only its own log of that
        found["LogError"] = error
    return found


def _config(config: ContainerConfig, process: Process, hostname: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Hostname": hostname,
        "Domainname": config.domainname,
        "User": process.user,
        "AttachStdin": config.attach_stdin,
        "AttachStdout": config.attach_stdout,
        "AttachStderr": config.attach_stderr,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.open_stdin and config.attach_stdin,
        "Env": list(process.environment),
        "Cmd": list(process.command) or None,
        "Image": config.image,
        "Volumes": {volume: {} for volume in (*process.volumes, *_anonymous(config))} or None,
        "WorkingDir": "" if process.working_dir == "/" else process.working_dir,
        "Entrypoint": list(process.entrypoint) or None,
        "OnBuild": None,
        "Labels": dict(process.labels),
    }
    if process.exposed_ports:
        found["ExposedPorts"] = {port: {} for port in process.exposed_ports}
    if process.stop_signal != "SIGTERM":
        found["StopSignal"] = process.stop_signal
    if config.stop_timeout is not None:
        found["StopTimeout"] = config.stop_timeout
    if process.healthcheck:
        found["Healthcheck"] = dict(process.healthcheck)
    if process.shell:
        found["Shell"] = list(process.shell)
    return found


def _host_config(config: ContainerConfig) -> dict[str, Any]:
    unconfined = security.parse_options(config).system_paths == "unconfined"
    found: dict[str, Any] = {
        "Binds": [
            _bind(mount)
            for mount in config.mounts
            if mount.kind in ("bind", "volume") and mount.short
            if not mount.inherited and not mount.anonymous
        ]
        or None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": config.log_driver, "Config": dict(config.log_options or {})},
        "NetworkMode": config.network_mode,
        "PortBindings": port_bindings(config),
        "RestartPolicy": {
            "Name": config.restart.name,
            "MaximumRetryCount": config.restart.maximum_retry_count,
        },
        "AutoRemove": config.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": list(config.volumes_from) or None,
        "ConsoleSize": [0, 0],
        "CapAdd": _capabilities(config.capabilities_add),
        "CapDrop": _capabilities(config.capabilities_drop),
        "CgroupnsMode": config.cgroupns_mode or "private",
        "Dns": list(config.dns),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.extra_hosts) or None,
        "GroupAdd": list(config.groups_add) or None,
        "IpcMode": config.ipc_mode or "private",
        "Cgroup": "",
        "Links": [f"/{name}" for name in config.links] or None,
        "OomScoreAdj": config.oom_score_adj or 0,
        "PidMode": config.pid_mode,
        "Privileged": config.privileged,
        "PublishAllPorts": config.publish_all,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": list(config.security_options) or None,
        "UTSMode": config.uts_mode,
        "UsernsMode": config.userns_mode,
        "ShmSize": config.shm_size or 64 * 1024 * 1024,
        "Runtime": config.runtime or "proa-runtime",
        "Isolation": "",
        "CpuShares": config.cpu_shares or 0,
        "Memory": config.memory or 0,
        "NanoCpus": config.nano_cpus or 0,
        "CgroupParent": config.cgroup_parent,
        "BlkioWeight": config.blkio_weight or 0,
        "BlkioWeightDevice": _rates(config.blkio_weight_device, "Weight"),
        "BlkioDeviceReadBps": _rates(config.device_read_bps),
        "BlkioDeviceWriteBps": _rates(config.device_write_bps),
        "BlkioDeviceReadIOps": _rates(config.device_read_iops),
        "BlkioDeviceWriteIOps": _rates(config.device_write_iops),
        "CpuPeriod": config.cpu_period or 0,
        "CpuQuota": config.cpu_quota or 0,
        "CpuRealtimePeriod": config.cpu_rt_period or 0,
        "CpuRealtimeRuntime": config.cpu_rt_runtime or 0,
        "CpusetCpus": config.cpuset_cpus,
        "CpusetMems": config.cpuset_mems,
        "Devices": [
            {
                "PathOnHost": device.source,
                "PathInContainer": device.target,
                "CgroupPermissions": device.permissions,
            }
            for device in config.devices
        ],
        "DeviceCgroupRules": list(config.device_cgroup_rules) or None,
        "DeviceRequests": [
            {
                "Driver": request.driver,
                "Count": request.count,
                "DeviceIDs": list(request.device_ids) or None,
                "Capabilities": [list(words) for words in request.capabilities] or None,
                "Options": dict(request.options or {}) or None,
            }
            for request in config.device_requests
        ]
        or None,
        "KernelMemory": config.kernel_memory or 0,
        "KernelMemoryTCP": 0,
        "MemoryReservation": config.memory_reservation or 0,
        "MemorySwap": config.memory_swap or (config.memory or 0) * 2,
        "MemorySwappiness": config.memory_swappiness,
        "OomKillDisable": config.oom_kill_disable,
        "PidsLimit": config.pids_limit,
        "Ulimits": [
            {"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft} for limit in config.ulimits
        ],
        # of Windows; scripts that know the shape find them
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "MaskedPaths": [] if unconfined else defaults.masked_paths(),
        "ReadonlyPaths": [] if unconfined else list(defaults.READ_ONLY_PATHS),
    }
    # as in Docker's, these are there where there is something in them
    further = {
        "Annotations": dict(config.annotations or {}),
        "Init": config.init,
        "Mounts": [
            _wanted_mount(mount)
            for mount in config.mounts
            if not mount.short and not mount.inherited
        ],
        "StorageOpt": dict(config.storage_options or {}),
        "Sysctls": dict(config.sysctls or {}),
        "Tmpfs": {
            mount.target: ",".join(mount.options)
            for mount in config.mounts
            if mount.kind == "tmpfs" and mount.short
        },
    }
    found.update((name, value) for name, value in further.items() if value)
    return found


def _capabilities(names: Sequence[str]) -> list[str] | None:
    """With Docker's prefix; ALL has none."""
    found = [name.upper().removeprefix("CAP_") for name in names]
    return [name if name == "ALL" else f"CAP_{name}" for name in found] or None


def _mode(mount: configs.Mount) -> str:
    """The options as `-v` has them."""
    if mount.kind == "volume":
        return mount.volume_mode
    propagation = "" if mount.propagation == "rprivate" else mount.propagation
    mapped = f"map={mount.map_ids}" if mount.map_ids else ""
    return ",".join(filter(None, ("ro" if mount.read_only else "", propagation, mapped)))


def _bind(mount: configs.Mount) -> str:
    """What `-v` said; for a volume without options Docker shows one only among the mounts."""
    mode = _mode(mount)
    if mount.kind == "volume" and mode == "z":
        mode = ""
    return f"{mount.source}:{mount.target}" + (f":{mode}" if mode else "")


def _anonymous(config: ContainerConfig) -> list[str]:
    """Where `-v` without a source has put something."""
    return [
        mount.target
        for mount in config.mounts
        if mount.anonymous and mount.short and not mount.inherited
    ]


def _wanted_mount(mount: configs.Mount) -> dict[str, Any]:
    """What `--mount` said, as Docker's API has it."""
    found: dict[str, Any] = {"Type": mount.kind, "Target": mount.target}
    if mount.source and not mount.anonymous:
        found["Source"] = mount.source
    if mount.read_only:
        found["ReadOnly"] = True
    if mount.kind == "bind":
        options: dict[str, Any] = {}
        if mount.propagation != "rprivate":
            options["Propagation"] = mount.propagation
        if not mount.recursive:
            options["NonRecursive"] = True
        if mount.read_only and not mount.recursive_read_only:
            options["ReadOnlyNonRecursive"] = True
        if options:
            found["BindOptions"] = options
    elif mount.kind == "volume":
        driver: dict[str, Any] = {}
        if mount.driver:
            driver["Name"] = mount.driver
        if mount.volume_options:
            driver["Options"] = dict(mount.volume_options)
        wanted = {
            "NoCopy": mount.no_copy,
            "Labels": dict(mount.volume_labels or {}),
            "DriverConfig": driver,
            "Subpath": mount.subpath,
        }
        if wanted := {name: value for name, value in wanted.items() if value}:
            found["VolumeOptions"] = wanted
    elif mount.kind == "image":
        if mount.subpath:
            found["ImageOptions"] = {"Subpath": mount.subpath}
    elif mount.size is not None or mount.mode is not None:
        sizes = {"SizeBytes": mount.size, "Mode": mount.mode}
        found["TmpfsOptions"] = {name: size for name, size in sizes.items() if size is not None}
    return found


def _rates(items: Sequence[configs.DeviceRate], name: str = "Rate") -> list[dict[str, Any]]:
    return [{"Path": item.path, name: item.rate} for item in items]


def _mount(mount: configs.Mount, store: Store) -> dict[str, Any]:
    found: dict[str, Any] = {"Type": mount.kind}
    source = mount.source
    if mount.kind == "volume":
        found["Name"] = source
        source = store.path("volumes", source, "_data")
    elif mount.kind == "image":
        found["Name"] = source
        source = mount.image_id
    found.update(Source=source, Destination=mount.target)
    if mount.kind == "volume":
        found["Driver"] = "local"
    return {
        **found,
        "Mode": _mode(mount) if mount.short else "z" if mount.kind == "volume" else "",
        "RW": not mount.read_only,
        "Propagation": mount.propagation if mount.kind == "bind" else "",
    }
