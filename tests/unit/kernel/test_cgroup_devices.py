from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from proa.errors import InvalidArgument
from proa.kernel.cgroup.device_program import assemble
from proa.kernel.cgroup.devices import lines_v1, parse

BLOCK, CHARACTER = 1, 2
MKNOD, READ, WRITE = 1, 2, 4


def run(program: bytes, kind: int, access: int, major: int, minor: int) -> bool:
    """What the kernel's interpreter would answer, for the instructions that are used."""
    context = struct.pack("<III", access << 16 | kind, major, minor)
    registers = [0] * 11
    at = steps = 0
    while True:
        code, both, offset, value = struct.unpack_from("<BBhi", program, at * 8)
        target, source = both & 15, both >> 4
        unsigned = value & 0xFFFFFFFF
        at += 1
        steps += 1
        assert steps <= len(program) // 8, "it goes backwards"
        low = registers[target] & 0xFFFFFFFF
        if code == 0x61:
            assert source == 1
            (registers[target],) = struct.unpack_from("<I", context, offset)
        elif code == 0xBF:
            registers[target] = registers[source]
        elif code == 0xB7:
            registers[target] = value
        elif code == 0x54:
            registers[target] = low & unsigned
        elif code == 0x74:
            registers[target] = low >> value
        elif code in (0x16, 0x56, 0x26, 0x36, 0x46):
            outcome = {
                0x16: low == unsigned,
                0x56: low != unsigned,
                0x26: low > unsigned,
                0x36: low >= unsigned,
                0x46: bool(low & unsigned),
            }[code]
            at += offset if outcome else 0
        elif code == 0x95:
            return bool(registers[0])
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def decide(rules: list[dict[str, Any]], kind: int, access: int, major: int, minor: int) -> bool:
    """The same by the words of the specification: the last rule on each kind of access."""
    for bit in (MKNOD, READ, WRITE):
        if not access & bit:
            continue
        allowed = False
        for rule in rules:
            letters = rule.get("access") or "rwm"
            if (
                rule.get("type", "a") in ("a", {BLOCK: "b", CHARACTER: "c"}[kind])
                and rule.get("major", major) in (-1, None, major)
                and rule.get("minor", minor) in (-1, None, minor)
                and {MKNOD: "m", READ: "r", WRITE: "w"}[bit] in letters
            ):
                allowed = rule["allow"]
        if not allowed:
            return False
    return True


def test_the_program_decides_as_the_rules_say() -> None:
    chance = random.Random(7)
    for _ in range(300):
        rules: list[dict[str, Any]] = []
        for _ in range(chance.randrange(6)):
            rule: dict[str, Any] = {"allow": chance.random() < 0.5}
            if chance.random() < 0.8:
                rule["type"] = chance.choice("abc")
            if chance.random() < 0.6:
                rule["major"] = chance.choice([-1, 1, 0xFFFFFFFF])
            if chance.random() < 0.6:
                rule["minor"] = chance.choice([-1, 3, 4])
            if chance.random() < 0.8:
                rule["access"] = "".join(chance.sample("rwm", chance.randrange(1, 4)))
            rules.append(rule)
        program = assemble(rules)
        for kind in (BLOCK, CHARACTER):
            for access in range(1, 8):
                for major in (1, 2, 0xFFFFFFFF):
                    for minor in (3, 5):
                        wanted = decide(rules, kind, access, major, minor)
                        assert run(program, kind, access, major, minor) == wanted, rules


def test_no_rule_allows_nothing() -> None:
    assert not run(assemble([]), CHARACTER, READ, 1, 3)


def test_rules_before_one_on_everything_make_no_code() -> None:
    last = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1}]
    before = [{"allow": True, "type": "b", "major": number} for number in range(50)]
    assert assemble(before + last) == assemble(last)


def test_lines_of_version_1() -> None:
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": True, "type": "a", "major": 7, "access": "r"},
        {"allow": False, "type": "b", "major": 7, "minor": -1},
    ]
    assert lines_v1(rules) == [
        ("devices.deny", b"a"),
        ("devices.allow", b"c *:* m"),
        ("devices.allow", b"c 1:3 mrw"),
        ("devices.allow", b"c 7:* r"),
        ("devices.allow", b"b 7:* r"),
        ("devices.deny", b"b 7:* mrw"),
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"allow": True, "type": "x"}, "no type of device: 'x'"),
        ({"allow": True, "access": "rx"}, "no access to a device: 'rx'"),
        ({"allow": True, "major": -2}, "no device number: -2"),
        ({"allow": True, "minor": "3"}, "no device number: '3'"),
        ({"allow": True, "minor": 1 << 32}, "no device number"),
    ],
)
def test_a_rule_that_says_nothing_sensible(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse([rule])
