"""Which devices a cgroup may open and make: OCI's linux.resources.devices.

The rules are a list; the last one that speaks of a device and a kind of access decides on it.
"""

from __future__ import annotations

from proa.errors import InvalidArgument
from proa.kernel import bpf
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


def program_v2(rules: Iterable[Mapping[str, Any]]) -> bytes:
    """The rules as an eBPF program of type CGROUP_DEVICE, for version 2.

    It asks the rules from the last to the first. Register 2 has the kind of device, 3 the kinds
    of access not decided upon yet, 4 and 5 major and minor. A rule that denies one of those ends
    it; one that allows takes its kinds away, and the last of them to go ends it too. What no rule
    speaks of is denied, as version 1 does once `a` was denied.
    """
    # struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }
    code = [
        bpf.load_word(3, 1, 0),
        bpf.move(2, 3),
        bpf.bitwise_and(2, 0xFFFF),
        bpf.shift_right(3, 16),
        bpf.load_word(4, 1, 4),
        bpf.load_word(5, 1, 8),
    ]
    for rule in reversed(parse(rules)):
        tests: list[tuple[int, int]] = []
        if len(rule.kinds) == 1:
            tests.append((2, _KINDS[rule.kinds]))
        if rule.major is not None:
            tests.append((4, rule.major))
        if rule.minor is not None:
            tests.append((5, rule.minor))
        decision = _decision(rule)
        for index, (register, value) in enumerate(tests):
            code.append(bpf.jump_if(register, "!=", value, len(tests) - index - 1 + len(decision)))
        code += decision
        if not tests and rule.access == MKNOD | READ | WRITE:
            break  # decides on everything: what comes after could not be reached
    else:
        code += [bpf.set_to(0, 0), bpf.leave()]
    return b"".join(code)


_KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, _CHAR


def _decision(rule: Rule) -> list[bytes]:
    everything = rule.access == MKNOD | READ | WRITE
    verdict = [bpf.set_to(0, int(rule.allow)), bpf.leave()]
    if everything:
        return verdict
    if rule.allow:
        left = ~rule.access & (MKNOD | READ | WRITE)
        return [bpf.bitwise_and(3, left), bpf.jump_if(3, "!=", 0, 2), *verdict]
    return [bpf.jump_if(3, "&", rule.access, 1), bpf.jump_if(3, ">=", 0, 2), *verdict]
