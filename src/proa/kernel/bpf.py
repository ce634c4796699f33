"""eBPF: programs assembled here, loaded and attached to cgroups by bpf(2).

Only what a device filter needs: loads from the context, arithmetic, forward jumps, exit. Encoding
and numbers are those of include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import posix
import struct

from proa.errors import Unsupported
from proa.kernel.libc import Buffer, syscall_with_memory

CGROUP_DEVICE = 15
"""BPF_PROG_TYPE_CGROUP_DEVICE"""
ATTACH_CGROUP_DEVICE = 6
"""BPF_CGROUP_DEVICE, the place of attachment"""
ALLOW_MULTI = 1 << 1
"""Several programs on one cgroup: all of them must agree"""
REPLACE = 1 << 2

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH = 5, 8, 9
_PROG_GET_FD_BY_ID, _PROG_QUERY = 13, 16
_NUMBERS = {
    "x86_64": 321,
    "aarch64": 280,
    "riscv64": 280,
    "loongarch64": 280,
    "ppc64le": 361,
    "i686": 357,
    "armv7l": 386,
}
_LOG_SIZE = 1 << 16
_JUMPS = {"==": 0x15, "!=": 0x55, ">": 0x25, ">=": 0x35, "&": 0x45}  # BPF_JMP | BPF_K


def load_word(target: int, source: int, offset: int) -> bytes:
    """target = the 32 bits at address `source` + `offset`."""
    return struct.pack("<BBhi", 0x61, target | source << 4, offset, 0)


def move(target: int, source: int) -> bytes:
    """target = source (registers)."""
    return struct.pack("<BBhi", 0xBF, target | source << 4, 0, 0)


def set_to(target: int, value: int) -> bytes:
    """target = value."""
    return struct.pack("<BBhi", 0xB7, target, 0, _signed(value))


def bitwise_and(target: int, value: int) -> bytes:
    """The low 32 bits of target &= value; the high ones become 0."""
    return struct.pack("<BBhi", 0x54, target, 0, _signed(value))


def shift_right(target: int, bits: int) -> bytes:
    """The low 32 bits of target >>= bits, filled with zeros."""
    return struct.pack("<BBhi", 0x74, target, 0, bits)


def jump_if(register: int, operator: str, value: int, skip: int) -> bytes:
    """Skip `skip` instructions if the low 32 bits of register and `value` compare so.

    operator: `==`, `!=`, `>`, `>=` (unsigned), `&` (a common bit).
    """
    code = _JUMPS[operator] + 1  # BPF_JMP32 is BPF_JMP + 1: compares 32 bits, unsigned
    return struct.pack("<BBhi", code, register, skip, _signed(value))


def leave() -> bytes:
    """Return register 0."""
    return struct.pack("<BBhi", 0x95, 0, 0, 0)


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def load(kind: int, program: bytes, *, name: str = "proa", license: str = "Apache-2.0") -> int:
    """Have the kernel verify `program` and return its descriptor (close-on-exec).

    Raises OSError; where the verifier refuses, with its last words as the message.
    """
    code, terms = Buffer(len(program)), Buffer(len(license) + 1)
    code.data[:] = program
    terms.data[:-1] = license.encode()
    title = name.encode()[:15].ljust(16, b"\0")

    def attributes(log: Buffer | None) -> bytes:
        return struct.pack(
            "=IIQQIIQII16sI",
            kind,
            len(program) // 8,
            code.address,
            terms.address,
            0 if log is None else 1,
            0 if log is None else len(log.data),
            0 if log is None else log.address,
            0,
            0,
            title,
            0,
        )

    try:
        return _bpf(_PROG_LOAD, attributes(None))
    except OSError as error:
        log = Buffer(_LOG_SIZE)
        try:
            return _bpf(_PROG_LOAD, attributes(log))
        except OSError:
            words = bytes(log.data).split(b"\0")[0].decode(errors="replace").strip()
            if words:
                raise OSError(error.errno, f"{error.strerror}: {words[-400:]}") from None
            raise error from None


def attach(directory: int, program: int, place: int, *, replace: int | None = None) -> None:
    """Attach `program` to the cgroup of the descriptor `directory`, beside those attached there.

    `replace`: the descriptor of one that gives way in the same step. Raises OSError.
    """
    flags = ALLOW_MULTI if replace is None else ALLOW_MULTI | REPLACE
    _bpf(_PROG_ATTACH, struct.pack("=IIIII", directory, program, place, flags, replace or 0))


def detach(directory: int, program: int, place: int) -> None:
    """Undo `attach`. Raises OSError."""
    _bpf(_PROG_DETACH, struct.pack("=IIIII", directory, program, place, 0, 0))


def attached(directory: int, place: int) -> list[int]:
    """The ids of the programs attached to the cgroup of the descriptor `directory` itself.

    Raises OSError.
    """
    size = 64
    while True:
        ids = Buffer(4 * size)
        attributes = Buffer(32)
        struct.pack_into("=IIIIQI", attributes.data, 0, directory, place, 0, 0, ids.address, size)
        try:
            _bpf_in_place(_PROG_QUERY, attributes)
        except OSError as error:
            if error.errno != 28 or size > 4096:  # ENOSPC: there are more
                raise
            size *= 4
            continue
        (count,) = struct.unpack_from("=I", attributes.data, 24)
        return list(struct.unpack_from(f"={count}I", ids.data))


def descriptor_of(identifier: int) -> int:
    """A new descriptor of the loaded program with this id. Raises OSError."""
    return _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", identifier, 0, 0))


def _bpf(command: int, attributes: bytes) -> int:
    buffer = Buffer(len(attributes))
    buffer.data[:] = attributes
    return _bpf_in_place(command, buffer)


def _bpf_in_place(command: int, attributes: Buffer) -> int:
    machine = posix.uname().machine
    number = _NUMBERS.get(machine)  # little-endian ones: the order of register fields is theirs
    if number is None:
        raise Unsupported(f"the number of bpf(2) is not known on {machine}")
    return syscall_with_memory(number, command, attributes, len(attributes.data))
