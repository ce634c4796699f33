"""Capabilities: the five sets of a thread; capabilities(7), capset(2)."""

from __future__ import annotations

import sys

from proa.errors import InvalidArgument
from proa.kernel.libc import Buffer, function
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""All capabilities; the number of one is its place here (include/uapi/linux/capability.h)."""

SYS_ADMIN = 1 << 21

_VERSION_3 = 0x20080522
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_AMBIENT_RAISE = 2
_AMBIENT_CLEAR_ALL = 4

_capset = function("capset", "pp", "i")
_capget = function("capget", "pp", "i")
_prctl = function("prctl", "iLLLL", "i")


@record
class Capabilities:
    """The five sets of a process, as bits."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0


def to_bits(names: Iterable[str]) -> int:
    """The set of the named capabilities (`CAP_CHOWN`). Raises InvalidArgument for no such name."""
    bits = 0
    for name in names:
        try:
            bits |= 1 << NAMES.index(name)
        except ValueError:
            raise InvalidArgument(f"no such capability: {name}") from None
    return bits


def to_names(bits: int) -> list[str]:
    """The names of a set; numbers that have no name here are left out."""
    return [name for number, name in enumerate(NAMES) if bits >> number & 1]


def get() -> Capabilities:
    """The effective, permitted and inheritable sets of this thread; the others are 0 in it."""
    data = Buffer(24)
    _capget(_VERSION_3.to_bytes(4, sys.byteorder) + bytes(4), data)
    low = [int.from_bytes(data.data[at : at + 4], sys.byteorder) for at in (0, 4, 8)]
    high = [int.from_bytes(data.data[at : at + 4], sys.byteorder) for at in (12, 16, 20)]
    effective, permitted, inheritable = (
        low_half | high_half << 32 for low_half, high_half in zip(low, high, strict=True)
    )
    return Capabilities(0, effective, permitted, inheritable, 0)


def set_effective(effective: int, permitted: int, inheritable: int) -> None:
    """Set three of the sets at once. Raises PermissionError for one that is not permitted."""
    words = []
    for shift in (0, 32):
        words += [bits >> shift & 0xFFFFFFFF for bits in (effective, permitted, inheritable)]
    header = _VERSION_3.to_bytes(4, sys.byteorder) + bytes(4)
    _capset(header, b"".join(word.to_bytes(4, sys.byteorder) for word in words))


def limit_bounding(keep: int) -> None:
    """Drop from the bounding set what is not in `keep`, also what is newer than this list."""
    for number in range(64):
        if not keep >> number & 1:
            try:
                _prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
            except OSError as error:
                # EINVAL: the kernel has no capability of this number, nor any higher one
                if error.errno != 22 or number < 8:
                    raise
                break


def bounding() -> int:
    """The bounding set of this thread."""
    bits = 0
    for number in range(64):
        try:
            bits |= _prctl(_PR_CAPBSET_READ, number, 0, 0, 0) << number
        except OSError:
            break
    return bits


def clear_ambient() -> None:
    """Empty the ambient set."""
    _prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)


def raise_ambient(bits: int) -> int:
    """Add to the ambient set; returns those not added: not permitted, or not inheritable."""
    refused = 0
    for number in range(64):
        if bits >> number & 1:
            try:
                _prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number, 0, 0)
            except OSError:
                refused |= 1 << number
    return refused
