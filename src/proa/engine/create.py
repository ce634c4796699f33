"""Makes a container: its row, its directory, its bundle."""

from __future__ import annotations

import fcntl
import posix

from proa.engine import config as configs
from proa.engine import hosts, names, process, spec
from proa.engine.rootless import is_rootless
from proa.engine.rootless import snapshots as snapshots_of
from proa.errors import AlreadyExists, ImageNotFound, InvalidArgument, Unsupported
from proa.kernel import signals
from proa.lean import bundle, json
from proa.lean.record import replace
from proa.store.containers import ContainerRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.engine.config import ContainerConfig
    from proa.engine.mounted import Mounted
    from proa.store.store import Store

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_LOOPBACK = ("127.", "::1")


def create(store: Store, config: ContainerConfig, *, owner: int = 0) -> ContainerRow:
    """Make the container that `config` describes; nothing of it runs yet.

    `owner`: the process that is about to start it. Should that die before, the container is
    put in order by whoever sees it next; 0: it waits for whoever starts it.
    Raises ImageNotFound, InvalidArgument, AlreadyExists for a name that is taken, NoSpace.
    """
    spec.check_modes(config)
    if config.log_driver != "json-file" or config.log_options:
        _check_log(config)
    if config.device_requests:
        _check_devices(config)
    if config.auto_remove and config.restart.name != "no":
        raise InvalidArgument("conflicting options: --restart and --rm")
    if config.name is not None:
        check_name(config.name)
    image = store.images.resolve(config.image)
    if config.platform is not None:
        _check_platform(config.image, config.platform, image.config)
    resolved = process.resolve(config, image.config)
    signals.parse(resolved.stop_signal)
    if resolved.healthcheck is not None or config.restart.name == "on-unhealthy":
        from proa.engine.health import check

        check(resolved, config.restart)
    config = _resolve_network(store, _resolve_joined(store, config))
    if config.volumes_from:
        from proa.engine.inherit import inherited

        config = replace(config, mounts=(*config.mounts, *inherited(store, config)))
    mounted: Mounted | None = None
    if resolved.volumes or any(mount.kind in ("volume", "image") for mount in config.mounts):
        from proa.engine.mounted import resolve

        mounted = resolve(store, config, resolved.volumes)
        config = mounted.config
    id = posix.urandom(32).hex()
    directory = store.path("containers", id)
    try:
        posix.mkdir(directory, 0o710)
    except FileNotFoundError:
        store.mend()
        posix.mkdir(directory, 0o710)
    # as long as this is locked, nobody takes it for what a killed process has left
    lock = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        snapshots_of(store.root).prepare(f"{directory}/snapshot")
        identity = spec.Identity(id, _hostname(store, config, id), directory)
        write_files(store, config, identity)
        _write(
            f"{directory}/config.json", json.dumps(spec.build(config, resolved, identity)), 0o600
        )
        row = ContainerRow(
            id=id,
            name=config.name or "",
            image=str(image.id),
            layers=image.layers,
            config={
                "request": configs.to_json(config),
                "process": process.to_json(resolved),
                "hostname": identity.hostname,
            },
            state={"status": "created", "owner": owner},
        )
        if mounted is not None:
            return mounted.insert(store, id, lambda: _insert(store, row))
        return _insert(store, row)
    except BaseException:
        snapshots_of(store.root).remove(directory)
        raise
    finally:
        posix.close(lock)


def write_bundle(store: Store, row: ContainerRow) -> None:
    """Make the bundle's config.json of a container anew, from its row."""
    directory = store.path("containers", row.id)
    identity = spec.Identity(row.id, str(row.config["hostname"]), directory)
    config = configs.from_json(row.config["request"])
    resolved = process.from_json(row.config["process"])
    text = json.dumps(spec.build(config, resolved, identity))
    temporary = f"{directory}/config.json.{posix.urandom(8).hex()}"
    _write(temporary, text, 0o600)
    posix.rename(temporary, f"{directory}/config.json")


def _check_devices(config: ContainerConfig) -> None:
    """Refuse devices that cannot be had. Raises NotFound, Conflict, InvalidArgument."""
    from proa.engine.cdi.requests import plan

    plan(config.device_requests)


def _check_log(config: ContainerConfig) -> None:
    """Refuse what cannot be logged so. Raises InvalidArgument, Unsupported."""
    from proa.engine.log_info import check
    from proa.monitor.drivers.options import parse

    options = config.log_options or {}
    parse(config.log_driver, options)
    check(options)


def _check_platform(name: str, wanted: str, image: Mapping[str, Any]) -> None:
    """Refuse an image of another platform. Raises InvalidArgument, ImageNotFound."""
    from proa.oci.platform import Platform

    asked = Platform.parse(wanted)
    actual = Platform.of(
        str(image.get("os") or ""),
        str(image.get("architecture") or ""),
        str(image.get("variant") or ""),
    )
    if asked.choose((actual,)) is None:
        raise ImageNotFound(
            f"image {name} was found but does not provide the specified platform:"
            f" wanted {asked}, actual {actual}; load it for that platform"
        )


def _insert(store: Store, row: ContainerRow) -> ContainerRow:
    if row.name:
        return replace(row, row=store.containers.insert(row))
    for attempt in range(8):
        named = replace(row, name=names.generate(attempt))
        try:
            return replace(named, row=store.containers.insert(named))
        except AlreadyExists:
            continue
    named = replace(row, name=row.id[:12])
    return replace(named, row=store.containers.insert(named))


def check_name(name: str) -> None:
    """Refuse a name that Docker would. Raises InvalidArgument."""
    plain = name.removeprefix("/")
    if len(plain) < 2 or not set(plain) <= _NAME or plain[0] in "_.-":
        raise InvalidArgument(
            f"invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )


def _resolve_joined(store: Store, config: ContainerConfig) -> ContainerConfig:
    """Names of containers in modes such as `container:db` become ids: names can change."""
    changes = {}
    for field in ("network_mode", "pid_mode", "ipc_mode"):
        mode: str = getattr(config, field)
        if mode.startswith("container:"):
            _check_joinable(store, field, mode)
            changes[field] = f"container:{store.containers.find(mode.partition(':')[2]).id}"
    return replace(config, **changes) if changes else config


def _resolve_network(store: Store, config: ContainerConfig) -> ContainerConfig:
    """The default network by its name; refuse what cannot be connected."""
    if config.network_mode == "default":
        # of an ordinary user's namespace nothing leads out yet
        mode = "none" if is_rootless() else "bridge"
        config = replace(config, network_mode=mode)
    mode = config.network_mode
    if mode not in ("none", "host") or config.networks or config.links or config.mac_address:
        with bundle.Part("networks"):
            from proa.engine.endpoints import check

            config = replace(config, networks=check(store, config))
        if config.networks:
            config = replace(config, network_mode=config.networks[0].network)
    if config.published and mode == "none" and is_rootless():
        raise Unsupported(
            "ports of an ordinary user's container cannot be published yet; use --network host"
        )
    return config


def _check_joinable(store: Store, field: str, mode: str) -> None:
    """Refuse the IPC namespace of a container that was not made to share it (InvalidArgument)."""
    if field != "ipc_mode":
        return
    name = mode.partition(":")[2]
    request = store.containers.find(name).config["request"]
    if request.get("ipc_mode", "") in ("", "private", "none"):
        raise InvalidArgument(
            f"can't join IPC of container {name}: non-shareable IPC;"
            " make that container with --ipc shareable"
        )


def _hostname(store: Store, config: ContainerConfig, id: str) -> str:
    if config.hostname:
        return config.hostname
    if config.network_mode == "host" or config.uts_mode == "host":
        return posix.uname().nodename
    if config.network_mode.startswith("container:"):
        other = store.containers.find(config.network_mode.partition(":")[2])
        return str(other.config["hostname"])
    return id[:12]


def write_files(store: Store, config: ContainerConfig, identity: spec.Identity) -> None:
    """The files in /etc that are the container's own."""
    directory = identity.directory
    if config.network_mode.startswith("container:"):
        other = store.path("containers", config.network_mode.partition(":")[2])
        for name in ("hostname", "hosts", "resolv.conf"):
            posix.link(f"{other}/{name}", f"{directory}/{name}")
        return
    _write(f"{directory}/hostname", f"{identity.hostname}\n")
    _write(f"{directory}/hosts", _hosts(config))
    _write(f"{directory}/resolv.conf", _resolv_conf(config))


def _hosts(config: ContainerConfig) -> str:
    """The file as it is until a start knows the addresses."""
    if config.network_mode == "host":
        return hosts.text(config.extra_hosts, base=_read("/etc/hosts"), gateways=("127.0.0.1",))
    return hosts.text(config.extra_hosts)


def _resolv_conf(config: ContainerConfig) -> str:
    text = _read("/etc/resolv.conf")
    if config.networks and any(item.network != "bridge" for item in config.networks):
        from proa.engine.resolv_conf import named

        return named(text, config.dns_search, config.dns_options)
    plain = not (config.dns or config.dns_search or config.dns_options)
    if plain and (config.network_mode == "host" or not any(mark in text for mark in _LOOPBACK)):
        return text
    from proa.engine.resolv_conf import reachable, rewritten

    if plain:
        return reachable(text, resolved=lambda: _read("/run/systemd/resolve/resolv.conf"))
    return rewritten(text, config.dns, config.dns_search, config.dns_options)


def write_resolv_conf(store: Store, id: str, config: ContainerConfig) -> None:
    """Write the container's resolv.conf anew, in place: it may be mounted."""
    path = store.path("containers", id, "resolv.conf")
    flags = posix.O_WRONLY | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW
    descriptor = posix.open(path, flags)
    try:
        posix.write(descriptor, _resolv_conf(config).encode("utf-8", "surrogateescape"))
    finally:
        posix.close(descriptor)


def _read(path: str) -> str:
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return posix.read(descriptor, 1024 * 1024).decode("utf-8", "replace")
    finally:
        posix.close(descriptor)


def _write(path: str, text: str, mode: int = 0o644) -> None:
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
    descriptor = posix.open(path, flags, mode)
    try:
        data = memoryview(text.encode("utf-8", "surrogateescape"))
        while data:
            data = data[posix.write(descriptor, data) :]
    finally:
        posix.close(descriptor)
