from __future__ import annotations

import os

import pytest

from proa.kernel import bpf
from proa.kernel.cgroup.device_program import assemble

RULES = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "r"},
    {"allow": True, "type": "c", "major": 0xFFFFFFFF, "minor": 3, "access": "rwm"},
]


def test_encoding() -> None:
    # struct bpf_insn, little-endian: code, registers (source in the high half), offset, value
    assert bpf.load_word(3, 1, 8).hex() == "6113080000000000"
    assert bpf.set_to(0, 1).hex() == "b700000001000000"
    assert bpf.jump_if(4, "!=", 0xFFFFFFFF, 2).hex() == "56040200ffffffff"
    assert bpf.leave().hex() == "9500000000000000"


@pytest.mark.root
def test_the_kernel_verifies_the_program() -> None:
    descriptor = bpf.load(bpf.CGROUP_DEVICE, assemble(RULES), name="a_name_that_is_too_long")
    try:
        assert os.readlink(f"/proc/self/fd/{descriptor}") == "anon_inode:bpf-prog"
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.root
def test_hundreds_of_rules_are_verified_too() -> None:
    rules = [{"allow": True, "type": "b", "major": n, "access": "rw"} for n in range(300)]
    os.close(bpf.load(bpf.CGROUP_DEVICE, assemble(rules)))


@pytest.mark.root
def test_what_the_verifier_refuses_is_told_in_its_words() -> None:
    with pytest.raises(OSError, match="R0 !read_ok"):
        bpf.load(bpf.CGROUP_DEVICE, bpf.leave())
