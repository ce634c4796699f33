"""The devices of a container: its nodes in /dev, and the cgroup's rules about them."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, NotFound
from proa.runtime import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.engine.config import ContainerConfig, Device

_TYPES = {0o020000: "c", 0o060000: "b"}


def nodes(config: ContainerConfig) -> list[dict[str, Any]]:
    """OCI devices beyond the default ones. Raises NotFound, InvalidArgument."""
    if config.privileged:
        return _all_of_host("/dev", "/dev")
    found = []
    for device in config.devices:
        found.extend(_nodes(device))
    return found


def rules(config: ContainerConfig) -> list[dict[str, Any]]:
    """OCI device cgroup rules. Raises NotFound, InvalidArgument."""
    if config.privileged:
        return list(defaults.ALL_DEVICES)
    found = list(defaults.DEVICE_RULES)
    for device in config.devices:
        found.extend(
            {
                "allow": True,
                "type": node["type"],
                "major": node["major"],
                "minor": node["minor"],
                "access": device.permissions,
            }
            for node in _nodes(device)
        )
    found.extend(_parse_rule(text) for text in config.device_cgroup_rules)
    return found


def _nodes(device: Device) -> list[dict[str, Any]]:
    try:
        status = posix.stat(device.source)
    except OSError:
        raise NotFound(
            f'error gathering device information while adding custom device "{device.source}":'
            " no such file or directory"
        ) from None
    if status.st_mode & 0o170000 == 0o040000:
        found = _all_of_host(device.source, device.target)
        if not found:
            raise InvalidArgument(
                f'error gathering device information while adding custom device "{device.source}":'
                " not a device node, nor a directory with one"
            )
        return found
    node = _node(status, device.target)
    if node is None:
        raise InvalidArgument(f"{device.source} is not a device node")
    return [node]


def _node(status: posix.stat_result, target: str) -> dict[str, Any] | None:
    kind = _TYPES.get(status.st_mode & 0o170000)
    if kind is None:
        return None
    return {
        "path": target,
        "type": kind,
        "major": posix.major(status.st_rdev),
        "minor": posix.minor(status.st_rdev),
        "fileMode": status.st_mode & 0o7777,
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


_OWN = frozenset(("pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", "ptmx", "tty"))
_OWN_NODES = frozenset(("null", "zero", "full", "random", "urandom"))


def _all_of_host(source: str, target: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for entry in posix.scandir(source):
        if source == "/dev" and entry.name in _OWN | _OWN_NODES:
            continue
        place = f"{target}/{entry.name}"
        if entry.is_symlink():
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                found.extend(_all_of_host(entry.path, place))
                continue
            node = _node(entry.stat(follow_symlinks=False), place)
        except OSError:
            continue  # it went away
        if node is not None:
            found.append(node)
    return found


def _parse_rule(text: str) -> dict[str, Any]:
    """`c 13:* rwm` as the kernel's devices cgroup writes it."""
    parts = text.split()
    numbers = parts[1].split(":") if len(parts) == 3 else []
    if (
        len(numbers) != 2
        or parts[0] not in ("a", "b", "c")
        or not all(number == "*" or number.isdecimal() for number in numbers)
        or not set(parts[2]) <= set("rwm")
    ):
        raise InvalidArgument(
            f"invalid device cgroup format '{text}': write TYPE MAJOR:MINOR ACCESS, as c 1:3 rwm"
        )
    rule: dict[str, Any] = {"allow": True, "type": parts[0], "access": parts[2]}
    for name, number in zip(("major", "minor"), numbers, strict=True):
        if number != "*":
            rule[name] = int(number)
    return rule
