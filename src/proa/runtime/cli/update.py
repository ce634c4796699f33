"""`update`: other limits for a running container."""

from __future__ import annotations

import posix

from proa.errors import CorruptData, InvalidArgument
from proa.lean import json
from proa.runtime.cli.arguments import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.runtime.cli.arguments import Arguments
    from proa.runtime.cli.session import Session

# flag → where it goes in linux.resources
NUMBERS = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-idle": ("cpu", "idle"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-share": ("cpu", "shares"),
    "pids-limit": ("pids", "limit"),
}
TEXTS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
SIZES = {
    "kernel-memory": ("memory", "kernel"),
    "kernel-memory-tcp": ("memory", "kernelTCP"),
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
}
FLAGS = dict.fromkeys((*NUMBERS, *TEXTS, *SIZES), "value") | {"resources": "value,r"}
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def update(session: Session, arguments: Sequence[str]) -> int:
    """Change limits."""
    options = parse(FLAGS, arguments, what="update")
    if len(options.rest) != 1:
        raise InvalidArgument("update takes the id of one container")
    container = session.load(options.rest[0])
    for warning in container.update(resources(options)):
        posix.write(2, f"proa-runtime: {warning}\n".encode())
    return 0


def resources(options: Arguments) -> dict[str, Any]:
    """OCI's linux.resources of a file, or of the flags. Raises InvalidArgument, CorruptData."""
    if path := options.text("resources"):
        return _read(path)
    found: dict[str, Any] = {}
    for name, (section, key) in NUMBERS.items():
        value = options.number(name)
        if value is not None:
            found.setdefault(section, {})[key] = value
    for name, (section, key) in TEXTS.items():
        if text := options.text(name):
            found.setdefault(section, {})[key] = text
    for name, (section, key) in SIZES.items():
        if text := options.text(name):
            found.setdefault(section, {})[key] = _size(name, text)
    return found


def _read(path: str) -> dict[str, Any]:
    descriptor = 0 if path == "-" else posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    data = b""
    while part := posix.read(descriptor, 1 << 16):
        data += part
    if descriptor:
        posix.close(descriptor)
    try:
        found = json.loads(data)
    except ValueError as error:
        raise CorruptData(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise CorruptData(f"{path} holds no resources object")
    return found


def _size(name: str, text: str) -> int:
    plain = text.lower().removesuffix("b") if text[-1:].isalpha() else text
    unit = plain[-1:] if plain[-1:].isalpha() else ""
    number = plain.removesuffix(unit)
    try:
        return int(number) * _UNITS[unit]
    except (KeyError, ValueError):
        raise InvalidArgument(f"--{name} takes a size such as 64m, not {text!r}") from None
