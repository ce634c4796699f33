"""Device rules as an eBPF program: version 2 has no files for them."""

from __future__ import annotations

import posix

from proa.errors import KernelError
from proa.kernel import bpf
from proa.kernel.cgroup.devices import MKNOD, READ, WRITE, Rule, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, _CHAR


def enforce(directory: str, rules: Iterable[Mapping[str, Any]]) -> None:
    """Let the cgroup `directory` use only the devices that `rules` allow.

    A program of an earlier call gives way in one step: at no moment is everything allowed.
    Raises KernelError.
    """
    program = assemble(rules)
    try:
        cgroup = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise _refused(directory, error) from None
    opened = [cgroup]
    try:
        loaded = bpf.load(bpf.CGROUP_DEVICE, program, name="proa_devices")
        opened.append(loaded)
        old = [bpf.descriptor_of(item) for item in bpf.attached(cgroup, bpf.ATTACH_CGROUP_DEVICE)]
        opened += old
        replaced = old[0] if len(old) == 1 else None
        bpf.attach(cgroup, loaded, bpf.ATTACH_CGROUP_DEVICE, replace=replaced)
        for earlier in old if replaced is None else ():
            bpf.detach(cgroup, earlier, bpf.ATTACH_CGROUP_DEVICE)
    except OSError as error:
        raise _refused(directory, error) from None
    finally:
        for descriptor in opened:
            posix.close(descriptor)


def _refused(directory: str, error: OSError) -> KernelError:
    reason = (error.strerror or str(error)).lower()
    return KernelError(f"cannot apply device rules to cgroup {directory}: {reason}")


def assemble(rules: Iterable[Mapping[str, Any]]) -> bytes:
    """The rules as an eBPF program of type CGROUP_DEVICE.

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


def _decision(rule: Rule) -> list[bytes]:
    everything = rule.access == MKNOD | READ | WRITE
    verdict = [bpf.set_to(0, int(rule.allow)), bpf.leave()]
    if everything:
        return verdict
    if rule.allow:
        left = ~rule.access & (MKNOD | READ | WRITE)
        return [bpf.bitwise_and(3, left), bpf.jump_if(3, "!=", 0, 2), *verdict]
    return [bpf.jump_if(3, "&", rule.access, 1), bpf.jump_if(3, ">=", 0, 2), *verdict]
