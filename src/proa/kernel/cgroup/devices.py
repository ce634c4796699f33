"""Which devices a cgroup may open and make: OCI's linux.resources.devices.

The rules are a list; the last one that speaks of a device and a kind of access decides on it.
"""

from __future__ import annotations

from proa.errors import InvalidArgument
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

MKNOD, READ, WRITE = 1, 2, 4  # BPF_DEVCG_ACC_*, include/uapi/linux/bpf.h
_ACCESS = {"m": MKNOD, "r": READ, "w": WRITE}


@record
class Rule:
    """One rule, checked."""

    allow: bool
    kinds: str
    """`c`, `b`, or `cb` for both"""
    major: int | None
    """None: any"""
    minor: int | None
    access: int
    """MKNOD, READ and WRITE, or'ed"""


def parse(rules: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """OCI's form of the rules, checked. Raises InvalidArgument."""
    found = []
    for rule in rules:
        kind = rule.get("type") or "a"
        if kind not in ("a", "b", "c", "u"):
            raise InvalidArgument(f"no type of device: {kind!r}; say a, b or c")
        letters = rule.get("access") or "rwm"
        access = 0
        for letter in letters:
            if letter not in _ACCESS:
                raise InvalidArgument(f"no access to a device: {letters!r}; say some of r, w, m")
            access |= _ACCESS[letter]
        found.append(
            Rule(
                bool(rule.get("allow")),
                {"a": "cb", "u": "c"}.get(kind, kind),
                _number(rule.get("major")),
                _number(rule.get("minor")),
                access,
            )
        )
    return found


def _number(value: Any) -> int | None:
    if value is None or value == -1:
        return None
    if not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
        raise InvalidArgument(f"no device number: {value!r}")
    return value


def lines_v1(rules: Iterable[Mapping[str, Any]]) -> list[tuple[str, bytes]]:
    """What to write, in order, for version 1: (`devices.allow` or `devices.deny`, line).

    The kernel's `a` stands for every device and every access, whatever else is on the line
    (devices.rst), so a narrower rule for all types is written as two.
    """
    lines = []
    for rule in parse(rules):
        name = "devices.allow" if rule.allow else "devices.deny"
        if len(rule.kinds) == 2 and rule.major is None and rule.minor is None and rule.access == 7:
            lines.append((name, b"a"))
            continue
        major = "*" if rule.major is None else rule.major
        minor = "*" if rule.minor is None else rule.minor
        letters = "".join(letter for letter, bit in _ACCESS.items() if rule.access & bit)
        for kind in rule.kinds:
            lines.append((name, f"{kind} {major}:{minor} {letters}".encode()))
    return lines
