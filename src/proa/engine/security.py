"""What a container may do: capabilities, seccomp, labels, masked paths, by the user's flags."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument
from proa.kernel.capability import NAMES, bounding, to_names
from proa.lean import json
from proa.lean.record import record
from proa.runtime import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.engine.config import ContainerConfig


@record
class SecurityOptions:
    """`--security-opt`, taken apart."""

    no_new_privileges: bool = False
    seccomp: str = "default"
    """default, unconfined, or a profile's JSON"""
    apparmor: str = ""
    selinux: str = ""
    system_paths: str = "masked"


def parse_options(config: ContainerConfig) -> SecurityOptions:
    """Take `config.security_options` apart. Raises InvalidArgument."""
    values: dict[str, Any] = {}
    labels: list[str] = []
    for option in config.security_options:
        name, separator, value = option.partition("=" if "=" in option.split(":")[0] else ":")
        if name == "no-new-privileges":
            if value not in ("", "true", "false"):
                raise InvalidArgument(f"invalid --security-opt {option}: say true or false")
            values["no_new_privileges"] = value != "false"
        elif name == "seccomp" and separator:
            values["seccomp"] = "default" if value == "builtin" else value
        elif name == "apparmor" and separator:
            values["apparmor"] = value
        elif name == "label" and separator:
            labels.append(value)
        elif name == "systempaths" and value == "unconfined":
            values["system_paths"] = "unconfined"
        else:
            raise InvalidArgument(
                f"invalid --security-opt: {option}; there are no-new-privileges, seccomp=,"
                " apparmor=, label=, systempaths=unconfined"
            )
    if labels:
        values["selinux"] = _selinux(labels)
    if config.privileged:
        values.setdefault("seccomp", "unconfined")
        values["system_paths"] = "unconfined"
    return SecurityOptions(**values)


def capabilities(config: ContainerConfig) -> tuple[str, ...]:
    """The capabilities of the container's processes, as CAP_…, sorted.

    Raises InvalidArgument for an unknown name.
    """
    add = {_capability(name) for name in config.capabilities_add}
    drop = {_capability(name) for name in config.capabilities_drop}
    if config.privileged:
        return tuple(sorted(to_names(bounding())))
    chosen = set(defaults.CAPABILITIES)
    if "ALL" in drop:
        chosen.clear()
    if "ALL" in add:
        # what this engine has lost itself, it cannot give
        chosen = set(to_names(bounding()))
    chosen |= add - {"ALL"}
    chosen -= drop - add
    return tuple(sorted(chosen))


def seccomp_profile(options: SecurityOptions) -> dict[str, Any] | None:
    """The profile that the user gave, as JSON; None for the default and for none at all.

    Raises InvalidArgument.
    """
    if options.seccomp in ("default", "unconfined"):
        return None
    try:
        profile = json.loads(options.seccomp)
    except ValueError as error:
        raise InvalidArgument(f"the seccomp profile is not JSON: {error}") from None
    if not isinstance(profile, dict):
        raise InvalidArgument("the seccomp profile is not a JSON object")
    return profile


def _capability(name: str) -> str:
    upper = name.upper()
    if upper == "ALL":
        return upper
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in NAMES:
        raise InvalidArgument(f'unknown capability: "{name}"; see capabilities(7)')
    return full


def has_apparmor() -> bool:
    """Whether the kernel runs AppArmor."""
    try:
        descriptor = posix.open(
            "/sys/module/apparmor/parameters/enabled", posix.O_RDONLY | posix.O_CLOEXEC
        )
    except OSError:
        return False
    try:
        return posix.read(descriptor, 1) == b"Y"
    finally:
        posix.close(descriptor)


def has_selinux() -> bool:
    """Whether the kernel runs SELinux."""
    return posix.access("/sys/fs/selinux/enforce", posix.F_OK)


def _selinux(labels: list[str]) -> str:
    """A label such as `system_u:system_r:container_t:s0` of `label=type:…` and its like."""
    parts = {"user": "system_u", "role": "system_r", "type": "container_t", "level": "s0"}
    for label in labels:
        name, _, value = label.partition(":")
        if label == "disable":
            return ""
        if name not in parts or not value:
            raise InvalidArgument(
                f"invalid --security-opt label={label}: there are user:, role:, type:, level: and"
                " disable"
            )
        parts[name] = value
    return ":".join(parts.values())
