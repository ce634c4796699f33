"""From OCI's linux.seccomp to a filter in classic BPF. Off the hot path.

libseccomp compiles. Before its program goes one of our own, of the same effect as runc's: a
system call newer than any that the profile speaks of answers ENOSYS, not what the profile
answers to those it left out on purpose. Programs then fall back to an older call, where EPERM
would make them fail.
"""

from __future__ import annotations

import errno
import struct

from proa.errors import InvalidArgument
from proa.kernel import seccomp
from proa.lean.record import record
from proa.runtime.libseccomp import UNKNOWN, Comparison, Library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

KILL_THREAD, KILL_PROCESS = 0, 0x80000000  # SECCOMP_RET_*, which are libseccomp's actions too
TRAP, ERRNO, USER_NOTIF = 0x00030000, 0x00050000, 0x7FC00000
TRACE, LOG, ALLOW = 0x7FF00000, 0x7FFC0000, 0x7FFF0000
_ACTIONS = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_NOTIFY": USER_NOTIF,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ALLOW": ALLOW,
}
_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": seccomp.TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": seccomp.LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": seccomp.SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": seccomp.WAIT_KILLABLE_RECV,
}
ARCHITECTURES = frozenset(
    f"SCMP_ARCH_{name}"
    for name in (
        "X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 "
        "PPC64LE S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB"
    ).split()
)
_X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64, which x32 shares
_X32_BIT = 0x40000000

# System calls that came after those of the oldest libseccomp in use (2.5.3, Linux 5.15). From 424
# on a call has one number on all architectures (arch/*/kernel/syscalls/syscall*.tbl).
_NEWER = {
    "futex_waitv": 449,
    "set_mempolicy_home_node": 450,
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
}
_NEWER_X86_64 = {"uretprobe": 335}


@record
class _Rule:
    names: tuple[str, ...]
    action: int
    comparisons: tuple[Comparison, ...]


def compile_profile(profile: Mapping[str, Any]) -> tuple[bytes, int]:
    """The filter's program (an array of struct sock_filter) and the flags to install it with.

    `profile`: OCI's linux.seccomp (config-linux.md, "Seccomp"). A name that is no system call
    is passed over, as runc does: profiles name calls of other architectures and kernels.

    Raises InvalidArgument, naming what is wrong; Unsupported where libseccomp is missing.
    """
    default = _action(profile.get("defaultAction"), profile.get("defaultErrnoRet"), "defaultAction")
    rules = [_rule(item) for item in profile.get("syscalls") or ()]
    _check_notify(default, rules, profile)
    library = Library()
    architectures = _architectures(library, profile.get("architectures") or ())
    context = library.context(default)
    try:
        for architecture in architectures:
            context.add_architecture(architecture)
        for rule in rules:
            if rule.action == default:
                continue
            for name in rule.names:
                number = library.number(name, library.native)
                if number == UNKNOWN:
                    continue
                for comparisons in _alternatives(rule.comparisons):
                    context.add_rule(rule.action, number, comparisons)
        program = context.export()
    finally:
        context.close()
    stub = _stub(library, architectures, rules, default)
    program = stub + program
    if len(program) // 8 > 4096:  # BPF_MAXINSNS
        raise InvalidArgument(
            f"the seccomp filter has {len(program) // 8} instructions, the kernel takes 4096; "
            f"name fewer system calls"
        )
    return program, _flags(profile, rules)


def _rule(item: Mapping[str, Any]) -> _Rule:
    names = item.get("names") or ([item["name"]] if item.get("name") else [])
    if not names:
        raise InvalidArgument("a seccomp rule names no system call")
    action = _action(item.get("action"), item.get("errnoRet"), names[0])
    return _Rule(tuple(names), action, tuple(_comparison(arg) for arg in item.get("args") or ()))


def _action(name: Any, value: int | None, where: str) -> int:
    if name not in _ACTIONS:
        raise InvalidArgument(f"no seccomp action: {name!r} ({where}); say one like SCMP_ACT_ERRNO")
    action = _ACTIONS[name]
    if action not in (ERRNO, TRACE):
        return action
    if value is None:
        value = errno.EPERM
    if not 0 <= value <= 0xFFFF:
        raise InvalidArgument(f"no error number: {value} ({where}); say one from 0 to 65535")
    return action | value


def _comparison(argument: Mapping[str, Any]) -> Comparison:
    index, operator = argument.get("index"), argument.get("op")
    if not isinstance(index, int) or not 0 <= index <= 5:
        raise InvalidArgument(f"no argument of a system call: index {index!r}; say 0 to 5")
    if operator not in _OPERATORS:
        raise InvalidArgument(f"no seccomp operator: {operator!r}; say one like SCMP_CMP_EQ")
    values = []
    for key in ("value", "valueTwo"):
        value = argument.get(key) or 0
        if not isinstance(value, int) or not 0 <= value < 1 << 64:
            raise InvalidArgument(f"no value of a seccomp argument: {value!r}; it has 64 bits")
        values.append(value)
    return index, _OPERATORS[operator], values[0], values[1]


def _alternatives(comparisons: tuple[Comparison, ...]) -> list[tuple[Comparison, ...]]:
    """The rules that `comparisons` make: one, all of whose comparisons hold.

    libseccomp takes one comparison an argument. Where a profile has several for the same one,
    each makes a rule of its own, as with runc: old profiles list the values allowed that way.
    """
    indexes = {comparison[0] for comparison in comparisons}
    if len(indexes) == len(comparisons):
        return [comparisons]
    return [(comparison,) for comparison in comparisons]


def _check_notify(default: int, rules: Iterable[_Rule], profile: Mapping[str, Any]) -> None:
    if default == USER_NOTIF:
        raise InvalidArgument(
            "SCMP_ACT_NOTIFY cannot be the default action: the container could not even start"
        )
    notifying = [rule for rule in rules if rule.action == USER_NOTIF]
    if any("write" in rule.names for rule in notifying):
        raise InvalidArgument(
            "SCMP_ACT_NOTIFY cannot be used for write: the container waits for it while starting"
        )
    if notifying and not profile.get("listenerPath"):
        raise InvalidArgument("SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath")


def _architectures(library: Library, names: Iterable[str]) -> list[int]:
    """The tokens of the architectures, the native one first."""
    found = [library.native]
    for name in names:
        if name not in ARCHITECTURES:
            raise InvalidArgument(f"no seccomp architecture: {name!r}; say one like SCMP_ARCH_ARM")
        token = library.architecture(name.removeprefix("SCMP_ARCH_").lower())
        # one that the library does not know cannot be that of this machine
        if token is not None and token not in found:
            found.append(token)
    return found


def _flags(profile: Mapping[str, Any], rules: Iterable[_Rule]) -> int:
    names = profile.get("flags")
    flags = 0
    if names is None:
        # What runc does where a profile says nothing; since Linux 5.16 also the kernel's default.
        flags = seccomp.SPEC_ALLOW
    for name in names or ():
        if name not in _FLAGS:
            raise InvalidArgument(
                f"no seccomp flag: {name!r}; say one like SECCOMP_FILTER_FLAG_LOG"
            )
        flags |= _FLAGS[name]
    if any(rule.action == USER_NOTIF for rule in rules):
        flags |= seccomp.NEW_LISTENER
        if flags & seccomp.TSYNC:
            flags |= seccomp.TSYNC_ESRCH
    elif flags & seccomp.WAIT_KILLABLE_RECV:
        raise InvalidArgument(
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY"
        )
    return flags


# -- the program before libseccomp's ------------------------------------------------------------

_LOAD, _JUMP, _RETURN = 0x20, 0x05, 0x06  # BPF_LD|W|ABS, BPF_JMP|JA, BPF_RET|K
_EQUAL, _GREATER, _AT_LEAST = 0x15, 0x25, 0x35  # BPF_JMP|K
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _stub(
    library: Library, architectures: Iterable[int], rules: Iterable[_Rule], default: int
) -> bytes:
    """Answers to system calls that libseccomp does not know, or that the profile does not."""
    newer = _newer_rules(library, rules)
    # A tracer, or whoever logs, wants to see calls of the future; ALLOW lets them through.
    silent = default & 0xFFFF0000 in (ALLOW, LOG, TRACE) or default == (ERRNO | errno.ENOSYS)
    sections: dict[int, dict[bool, list[bytes]]] = {}
    for architecture in architectures:
        x32 = library.architecture("x32") == architecture
        bit = _X32_BIT if x32 else 0
        token = _X86_64 if x32 else architecture
        answers = {
            number | bit: action
            for name, (number, action) in newer.items()
            if name not in _NEWER_X86_64 or (token == _X86_64 and not x32)
        }
        known = [library.number(name, architecture) for rule in rules for name in rule.names]
        last = max([*(number for number in known if number >= 0), *answers], default=None)
        body = []
        for number, action in sorted(answers.items()):
            body.append(_instruction(_EQUAL, number, 0, 1))
            body.append(_instruction(_RETURN, action))
        if last is not None and not silent:
            body.append(_instruction(_GREATER, last, 0, 1))
            body.append(_instruction(_RETURN, ERRNO | errno.ENOSYS))
        if body:
            sections.setdefault(token, {})[x32] = body
    return _assemble(sections)


def _assemble(sections: Mapping[int, Mapping[bool, list[bytes]]]) -> bytes:
    """The sections of all architectures, each of which goes on with libseccomp's program."""
    if not sections:
        return b""
    blocks = []
    for token, kinds in sections.items():
        ordinary, x32 = kinds.get(False, []), kinds.get(True, [])
        block = [_instruction(_LOAD, _NUMBER_AT)]
        if token == _X86_64:
            # over the jump at the end of the ordinary ones, too
            block.append(_instruction(_AT_LEAST, _X32_BIT, 0, 1))
            block.append(_instruction(_JUMP, len(ordinary) + 1))
        block += [*ordinary, b""]
        if token == _X86_64:
            block += [*x32, b""]
        blocks.append((token, block))
    size = 1 + sum(2 + len(block) for _, block in blocks)
    code = [_instruction(_LOAD, _ARCHITECTURE_AT)]
    for token, block in blocks:
        code.append(_instruction(_EQUAL, token, 1, 0))
        code.append(_instruction(_JUMP, len(block)))
        for instruction in block:
            # an empty one stands for a jump to the end
            code.append(instruction or _instruction(_JUMP, size - len(code) - 1))
    assert len(code) == size
    return b"".join(code)


def _newer_rules(library: Library, rules: Iterable[_Rule]) -> dict[str, tuple[int, int]]:
    """System calls newer than the library, with number and action.

    Only those whose rules look at no argument: the others are passed over, as runc does.
    """
    found: dict[str, tuple[int, int]] = {}
    conditional: set[str] = set()
    for rule in rules:
        for name in rule.names:
            number = _NEWER.get(name) or _NEWER_X86_64.get(name)
            if number is None or library.number(name, library.native) != UNKNOWN:
                continue
            if rule.comparisons:
                conditional.add(name)
            else:
                found.setdefault(name, (number, rule.action))
    return {name: answer for name, answer in found.items() if name not in conditional}
