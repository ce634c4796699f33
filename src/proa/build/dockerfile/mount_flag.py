"""`RUN --mount=type=…,…`: what it says, once variables are filled in."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

from proa.build.dockerfile.instructions import Mount
from proa.build.dockerfile.source import did_you_mean
from proa.errors import InvalidArgument
from proa.lean.record import replace

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_FIELDS = {
    "type": (KINDS, ""),
    "target": (KINDS, "target"),
    "dst": (KINDS, "target"),
    "destination": (KINDS, "target"),
    "source": (("bind", "cache"), "source"),
    "src": (("bind", "cache"), "source"),
    "from": (("bind", "cache"), "from_"),
    "id": (("cache", "secret", "ssh"), "id"),
    "readonly": (("bind", "cache"), "read_only"),
    "ro": (("bind", "cache"), "read_only"),
    "readwrite": (("bind", "cache"), "read_only"),
    "rw": (("bind", "cache"), "read_only"),
    "sharing": (("cache",), "sharing"),
    "size": (("tmpfs",), "size"),
    "required": (("secret", "ssh"), "required"),
    "mode": (("cache", "secret", "ssh"), "mode"),
    "uid": (("cache", "secret", "ssh"), "uid"),
    "gid": (("cache", "secret", "ssh"), "gid"),
    "env": (("secret",), "variable"),
}
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)i?b?", re.IGNORECASE)


def parse_mount(text: str, expand: Callable[[str], str] = lambda word: word) -> Mount:
    """The mount that `text` says. Raises InvalidArgument.

    `expand` fills in variables; only `from` cannot have any.
    """
    pairs = [field.partition("=") for field in _fields(text)]
    kind = "bind"
    for key, _, value in pairs:
        if key.lower() == "type":
            kind = value.lower()
            if kind not in KINDS:
                raise InvalidArgument(
                    f"unsupported mount type {value!r}{did_you_mean(value, KINDS)}"
                )
    found: dict[str, Any] = {}
    for key, equals, raw in pairs:
        name = key.lower()
        known = _FIELDS.get(name)
        if known is None:
            names = [word for word, (kinds, _) in _FIELDS.items() if kind in kinds]
            raise InvalidArgument(f"unexpected key '{key}' in '{text}'{did_you_mean(name, names)}")
        if kind not in known[0]:
            raise InvalidArgument(f"unexpected key '{key}' for mount type '{kind}'")
        if name == "type":
            continue
        if name == "from":
            if "$" in raw:
                raise _variable_in_from()
            found["from_"] = raw
            continue
        if not equals and name in ("readonly", "ro", "readwrite", "rw", "required"):
            value = "true"
        elif not equals or (raw == "" and name not in ("id",)):
            raise InvalidArgument(f"invalid field '{key}': it must be {key}=VALUE")
        else:
            value = expand(raw)
        found[known[1]] = _value(name, value)
    return _checked(Mount(kind=kind, **_defaults(kind, found)), text)


def check_mount(text: str) -> None:
    """Raises InvalidArgument for what is wrong in `text` whatever its variables are."""
    if "$" not in text:
        parse_mount(text)
        return
    for field in _fields(text):
        key, _, value = field.partition("=")
        if key.lower() == "from" and "$" in value:
            raise _variable_in_from()


def _variable_in_from() -> InvalidArgument:
    return InvalidArgument("'from' doesn't support variable expansion, define alias stage instead")


def _fields(text: str) -> list[str]:
    try:
        return next(iter(csv.reader([text], strict=True)), [])
    except csv.Error:
        raise InvalidArgument(f"failed to parse the mount {text[:100]!r}") from None


def _defaults(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    if kind == "bind":
        # what is written there goes nowhere: it is the mount that is writable, not the source
        found.setdefault("read_only", True)
    return found


def _value(name: str, value: str) -> object:
    if name in ("readonly", "ro", "readwrite", "rw", "required"):
        if value.lower() not in ("true", "false", "1", "0", "t", "f"):
            raise InvalidArgument(f"invalid value for {name}: {value}")
        on = value.lower() in ("true", "1", "t")
        return not on if name in ("readwrite", "rw") else on
    if name == "sharing":
        if value.lower() not in _SHARING:
            raise InvalidArgument(
                f"unsupported sharing value {value!r}: it is {', '.join(_SHARING)}"
            )
        return value.lower()
    if name == "size":
        match = _SIZE.fullmatch(value)
        if match is None:
            raise InvalidArgument(f"invalid value for size: {value}")
        return int(float(match[1]) * _UNITS[match[2].lower()])
    if name in ("uid", "gid", "mode"):
        try:
            number = int(value, 8 if name == "mode" else 10)
        except ValueError:
            number = -1
        if not 0 <= number < 2**32 - 1 or not value.isdecimal():
            raise InvalidArgument(f"invalid value {value!r} for {name}")
        return number
    return value


def _checked(mount: Mount, text: str) -> Mount:
    if mount.kind in ("bind", "cache", "tmpfs") and not mount.target:
        raise InvalidArgument(f"the mount {text!r} has no target")
    if mount.kind == "secret" and not (mount.id or mount.target or mount.source or mount.variable):
        raise InvalidArgument("a secret mount needs an id, a target or an env")
    if mount.kind == "secret" and not mount.id:
        return replace(mount, id=mount.target.rpartition("/")[2] or mount.variable)
    return mount
