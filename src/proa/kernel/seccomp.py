"""Seccomp filters: a program of classic BPF that the kernel runs before each system call.

See seccomp(2); numbers are those of include/uapi/linux/seccomp.h.
"""

from __future__ import annotations

import posix
import sys

from proa.errors import KernelError, Unsupported
from proa.kernel.libc import Buffer, syscall_with_memory

TSYNC = 1
"""For all threads of the process"""
LOG = 2
"""Log every action but ALLOW"""
SPEC_ALLOW = 4
"""Without the mitigation of speculative store bypass"""
NEW_LISTENER = 8
"""Give a descriptor on which a supervisor answers USER_NOTIF"""
TSYNC_ESRCH = 16
"""Lets TSYNC and NEW_LISTENER go together: failure is an error, not a thread's id"""
WAIT_KILLABLE_RECV = 32
"""Once the supervisor has read a notification, only a fatal signal interrupts the call"""

_SET_MODE_FILTER = 1
_SIZE = 8  # struct sock_filter
_NUMBERS = {
    "x86_64": 317,
    "aarch64": 277,
    "riscv64": 277,
    "loongarch64": 277,
    "ppc64le": 358,
    "s390x": 348,
    "i686": 354,
    "armv7l": 383,
}


def install(program: bytes, flags: int = 0) -> int | None:
    """Put the calling thread, and what it starts, under `program` (an array of sock_filter).

    The thread needs no_new_privs, or CAP_SYS_ADMIN in its user namespace. It cannot be undone.
    Returns the listener's descriptor (close-on-exec) where `flags` has NEW_LISTENER, else None.
    Raises KernelError.
    """
    if not program or len(program) % _SIZE:
        raise KernelError(
            f"a seccomp filter of {len(program)} bytes is not whole; compile it again"
        )
    machine = posix.uname().machine
    number = _NUMBERS.get(machine)
    if number is None:
        raise Unsupported(f"the number of seccomp(2) is not known on {machine}")
    code = Buffer(len(program))
    code.data[:] = program
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }: the pointer is
    # aligned to its own size
    prefix = (len(program) // _SIZE).to_bytes(2, sys.byteorder)
    width = 4 if machine in ("i686", "armv7l") else 8
    description = prefix.ljust(width, b"\0") + code.address.to_bytes(width, sys.byteorder)
    try:
        descriptor = syscall_with_memory(number, _SET_MODE_FILTER, flags, description)
    except OSError as error:
        raise KernelError(f"cannot install the seccomp filter: {_advice(error, flags)}") from None
    return descriptor if flags & NEW_LISTENER else None


def _advice(error: OSError, flags: int) -> str:
    reason = (error.strerror or "").lower()
    if error.errno == 13:  # EACCES
        return f"{reason}; set no_new_privs first, or keep CAP_SYS_ADMIN until then"
    if error.errno == 16 and flags & NEW_LISTENER:  # EBUSY
        return f"{reason}; a filter with a listener is installed already"
    return reason
