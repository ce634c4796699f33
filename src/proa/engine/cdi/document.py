"""A CDI specification, read from a file and checked: what is not as it must be is refused.

Whoever writes such a file decides what containers see of the host, and hooks run as whoever starts
a container: a file that others can write is refused too.
"""

from __future__ import annotations

import os
import re
import stat

from proa.errors import HostileData, InvalidArgument, LimitExceeded, ProaError, Unsupported
from proa.lean.record import record
from proa.runtime.hooks import KINDS as HOOKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

LARGEST = 1 << 20
"""Bytes of a file; those for the largest machines have some ten thousand."""
VERSIONS = "0.1.0 0.2.0 0.3.0 0.4.0 0.5.0 0.6.0 0.7.0 0.8.0 1.0.0".split()
_VENDOR = re.compile(r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_CLASS = re.compile(r"[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?")
_DEVICE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")


@record
class Edits:
    """What a container gets, as the file says it; every entry has been checked."""

    environment: tuple[str, ...] = ()
    nodes: tuple[Mapping[str, Any], ...] = ()
    mounts: tuple[Mapping[str, Any], ...] = ()
    hooks: tuple[Mapping[str, Any], ...] = ()
    groups: tuple[int, ...] = ()


@record
class Document:
    """A file: devices of one kind, and what all of them need."""

    path: str
    kind: str
    """vendor/class"""
    edits: Edits
    devices: Mapping[str, Edits]


def split_name(text: str) -> tuple[str, str] | None:
    """`vendor/class=device` as kind and device; None for what is no such name."""
    kind, equals, device = text.partition("=")
    vendor, slash, name = kind.partition("/")
    if (
        equals
        and slash
        and _VENDOR.fullmatch(vendor)
        and _CLASS.fullmatch(name)
        and _DEVICE.fullmatch(device)
    ):
        return kind, device
    return None


def read(path: str) -> Document:
    """Raises InvalidArgument, HostileData, LimitExceeded, Unsupported; each names the file."""
    try:
        return _document(path, _load(path, _content(path)))
    except _Wrong as error:
        raise InvalidArgument(f"CDI spec {path}: {error}") from None


class _Wrong(ProaError):
    """What is wrong in a file, without its name."""


def _content(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise _Wrong((error.strerror or "cannot be opened").lower()) from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise HostileData(f"CDI spec {path} is not a file")
        if status.st_mode & stat.S_IWOTH or status.st_uid not in (0, os.geteuid()):
            raise HostileData(
                f"CDI spec {path} can be written by others than root: its hooks run as you; take"
                " that away with chown and chmod"
            )
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise LimitExceeded(f"CDI spec {path} is larger than {LARGEST >> 20} MB")
    return data


def _load(path: str, data: bytes) -> Any:
    if path.endswith(".json"):
        import json

        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise _Wrong(f"not JSON: {error}") from None
    return _load_yaml(path, data)


def _load_yaml(path: str, data: bytes) -> Any:
    try:
        import yaml
    except ImportError:
        raise Unsupported(
            f"CDI spec {path} is YAML, which takes PyYAML to read: pip install 'proa[cdi]', or have"
            " it generated as JSON"
        ) from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # an alias stands for as much as its anchor: nested ones for more than there is memory
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, loader)):
            raise HostileData(f"CDI spec {path} has YAML aliases: write out what they stand for")
        return yaml.load(data, loader)  # noqa: S506 - a safe one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise _Wrong(f"not YAML: {text}") from None


def _document(path: str, data: Any) -> Document:
    top = _object(data, "", "cdiVersion kind annotations devices containerEdits")
    version = _text(top, "cdiVersion", "", needed=True)
    if version not in VERSIONS:
        raise _Wrong(f"its version {version!r} is not known; there are {', '.join(VERSIONS)}")
    kind = _text(top, "kind", "", needed=True)
    vendor, slash, name = kind.partition("/")
    if not (slash and _VENDOR.fullmatch(vendor) and _CLASS.fullmatch(name)):
        raise _Wrong(f"its kind {kind!r} is not of the form vendor/class")
    devices: dict[str, Edits] = {}
    for number, entry in enumerate(_list(top, "devices", "")):
        where = f"devices[{number}]"
        device = _object(entry, where, "name annotations containerEdits")
        own = _text(device, "name", where, needed=True)
        if not _DEVICE.fullmatch(own):
            raise _Wrong(f"{where}: {own!r} cannot be the name of a device")
        if own in devices:
            raise _Wrong(f"{where}: there are two devices {own!r}")
        devices[own] = _edits(device.get("containerEdits"), f"{where}.containerEdits")
    if not devices:
        raise _Wrong("it describes no device")
    return Document(path, kind, _edits(top.get("containerEdits"), "containerEdits"), devices)


def _edits(data: Any, where: str) -> Edits:
    if data is None:
        return Edits()
    known = "env deviceNodes mounts hooks intelRdt additionalGids"
    entry = _object(data, where, known)
    if entry.get("intelRdt"):
        raise _Wrong(f"{where}.intelRdt: Intel's Resource Director is not available")
    environment = tuple(
        _checked(item, _is_variable, f"{where}.env[{number}]", "NAME=VALUE")
        for number, item in enumerate(_list(entry, "env", where))
    )
    return Edits(
        environment,
        _each(entry, "deviceNodes", where, _node),
        _each(entry, "mounts", where, _mount),
        _each(entry, "hooks", where, _hook),
        tuple(
            _checked(item, _is_id, f"{where}.additionalGids[{number}]", "the number of a group")
            for number, item in enumerate(_list(entry, "additionalGids", where))
        ),
    )


def _node(data: Any, where: str) -> Mapping[str, Any]:
    known = "path hostPath type major minor fileMode permissions uid gid"
    node = _object(data, where, known)
    _path(node, "path", where, needed=True)
    _path(node, "hostPath", where)
    if node.get("type") not in (None, "", "b", "c", "u", "p"):
        raise _Wrong(f"{where}.type: {node['type']!r} is none of b, c, u, p")
    permissions = _text(node, "permissions", where)
    if not set(permissions) <= set("rwm"):
        raise _Wrong(f"{where}.permissions: {permissions!r} is not made of r, w and m")
    for name in ("major", "minor", "fileMode", "uid", "gid"):
        if node.get(name) is not None:
            _checked(node[name], _is_id, f"{where}.{name}", "a number")
    return node


def _mount(data: Any, where: str) -> Mapping[str, Any]:
    mount = _object(data, where, "hostPath containerPath options type")
    _path(mount, "containerPath", where, needed=True)
    if _text(mount, "type", where) in ("", "bind", "none"):
        _path(mount, "hostPath", where, needed=True)
    else:
        source = _text(mount, "hostPath", where, needed=True)
        _checked(source, _is_plain, f"{where}.hostPath", "a text without NUL bytes")
    for number, option in enumerate(_list(mount, "options", where)):
        _checked(option, _is_plain, f"{where}.options[{number}]", "a mount option")
    return mount


def _hook(data: Any, where: str) -> Mapping[str, Any]:
    hook = _object(data, where, "hookName path args env timeout")
    name = _text(hook, "hookName", where, needed=True)
    if name not in HOOKS:
        raise _Wrong(f"{where}.hookName: {name!r} is none of {', '.join(HOOKS)}")
    _path(hook, "path", where, needed=True)
    for field in ("args", "env"):
        for number, item in enumerate(_list(hook, field, where)):
            test = _is_variable if field == "env" else _is_plain
            _checked(item, test, f"{where}.{field}[{number}]", "a text")
    timeout = hook.get("timeout")
    if timeout is not None and not (_is_id(timeout) and timeout > 0):
        raise _Wrong(f"{where}.timeout: {timeout!r} is no number of seconds")
    return hook


# -- what values are


def _object(data: Any, where: str, known: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _Wrong(f"{where or 'the whole'} is no object")
    names = known.split()
    for name in data:
        if name not in names:
            place = f"{where}: " if where else ""
            raise _Wrong(f"{place}field {name!r} is not known; there are {', '.join(names)}")
    return data


def _list(data: Mapping[str, Any], name: str, where: str) -> list[Any]:
    found = data.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _Wrong(f"{_place(where, name)} is no list")
    return found


def _each(
    data: Mapping[str, Any],
    name: str,
    where: str,
    parse: Callable[[Any, str], Mapping[str, Any]],
) -> tuple[Mapping[str, Any], ...]:
    place = _place(where, name)
    return tuple(
        parse(item, f"{place}[{number}]") for number, item in enumerate(_list(data, name, where))
    )


def _text(data: Mapping[str, Any], name: str, where: str, *, needed: bool = False) -> str:
    found = data.get(name)
    if found is None and not needed:
        return ""
    if not isinstance(found, str) or (needed and not found):
        raise _Wrong(f"{_place(where, name)} must be a text, not {found!r}")
    return found


def _path(data: Mapping[str, Any], name: str, where: str, *, needed: bool = False) -> None:
    found = _text(data, name, where, needed=needed)
    if found and (not found.startswith("/") or "\0" in found):
        raise _Wrong(f"{_place(where, name)}: {found!r} is no absolute path")


def _checked(value: Any, test: Callable[[Any], bool], where: str, what: str) -> Any:
    if not test(value):
        raise _Wrong(f"{where}: {value!r} is not {what}")
    return value


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_variable(value: Any) -> bool:
    return _is_plain(value) and value.partition("=")[0] not in ("", value)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32


def _place(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
