"""What a process can say about itself: prctl(2), prlimit(2), scheduling, keyrings, personality."""

from __future__ import annotations

import _signal
import posix
import sys

from proa.errors import InvalidArgument, Unsupported
from proa.kernel.libc import Buffer, function, syscall, syscall_with_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

RLIMITS = {
    "RLIMIT_CPU": 0,
    "RLIMIT_FSIZE": 1,
    "RLIMIT_DATA": 2,
    "RLIMIT_STACK": 3,
    "RLIMIT_CORE": 4,
    "RLIMIT_RSS": 5,
    "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7,
    "RLIMIT_MEMLOCK": 8,
    "RLIMIT_AS": 9,
    "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11,
    "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13,
    "RLIMIT_RTPRIO": 14,
    "RLIMIT_RTTIME": 15,
}
"""The numbers of the limits, the same on x86, ARM, RISC-V, s390 and PowerPC."""

SCHED_POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
SCHED_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
PERSONALITIES = {"LINUX": 0x0, "LINUX32": 0x8}

# asm/unistd: the numbers before 424 differ between machines
_NUMBERS = {
    "x86_64": {"rt_sigaction": 13, "keyctl": 250, "ioprio_set": 251, "sched_setattr": 314},
    "aarch64": {"rt_sigaction": 134, "keyctl": 219, "ioprio_set": 30, "sched_setattr": 274},
    "riscv64": {"rt_sigaction": 134, "keyctl": 219, "ioprio_set": 30, "sched_setattr": 274},
    "ppc64le": {"rt_sigaction": 173, "keyctl": 271, "ioprio_set": 273, "sched_setattr": 355},
    "s390x": {"rt_sigaction": 174, "keyctl": 280, "ioprio_set": 282, "sched_setattr": 345},
}
_CLOSE_RANGE = 436
_CLOSE_RANGE_CLOEXEC = 0x4
_LAST = 0xFFFFFFFF
_KEYCTL_JOIN_SESSION_KEYRING = 1
_UNLIMITED = 0xFFFFFFFFFFFFFFFF

_prctl = function("prctl", "iLLLL", "i")
_prlimit = function("prlimit", "iipp", "i")


def set_dumpable(dumpable: bool) -> None:
    """Whether other processes of this user may trace this one and look at what it has open."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)


def set_no_new_privileges() -> None:
    """From now on no program that is executed gains rights (set-user-ID, capabilities)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def keep_capabilities(keep: bool) -> None:
    """Whether the permitted capabilities stay when all user ids become non-zero."""
    _prctl(_PR_SET_KEEPCAPS, int(keep), 0, 0, 0)


def set_death_signal(signal: int) -> None:
    """The signal to get when the parent dies; 0: none."""
    _prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0)


def set_subreaper(adopt: bool) -> None:
    """Whether orphans below this process become its children."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def set_name(name: str) -> None:
    """What `ps -o comm` shows of this process; 15 bytes at most."""
    function("prctl", "ipLLL", "i")(_PR_SET_NAME, name.encode()[:15] + b"\0", 0, 0, 0)


def set_limit(name: str, soft: int, hard: int, *, pid: int = 0) -> None:
    """Set a resource limit (`RLIMIT_NOFILE`) of this process or `pid`; -1 or 2**64-1: unlimited.

    Raises InvalidArgument for no such limit, PermissionError where it may not be raised.
    """
    number = RLIMITS.get(name)
    if number is None:
        raise InvalidArgument(f"no such resource limit: {name}; say one of {', '.join(RLIMITS)}")
    values = (soft & _UNLIMITED, hard & _UNLIMITED)
    data = b"".join(value.to_bytes(8, sys.byteorder) for value in values)
    _prlimit(pid, number, data, None)


def get_limit(name: str, *, pid: int = 0) -> tuple[int, int]:
    """The (soft, hard) limit; -1: unlimited."""
    answer = Buffer(16)
    _prlimit(pid, RLIMITS[name], None, answer)
    soft, hard = (int.from_bytes(answer.data[at : at + 8], sys.byteorder) for at in (0, 8))
    return (
        -1 if soft == _UNLIMITED else soft,
        -1 if hard == _UNLIMITED else hard,
    )


def close_range(first: int, last: int = _LAST) -> None:
    """Close the descriptors from `first` to `last`."""
    if first <= last:
        syscall(_CLOSE_RANGE, first, last, 0)


def close_range_on_exec(first: int, last: int = _LAST) -> None:
    """Have the descriptors from `first` to `last` closed by the next exec (Linux 5.11)."""
    syscall(_CLOSE_RANGE, first, last, _CLOSE_RANGE_CLOEXEC)


def join_session_keyring(name: str) -> None:
    """Begin a session keyring of one's own, instead of the one inherited. Raises OSError."""
    syscall_with_memory(
        _number("keyctl"), _KEYCTL_JOIN_SESSION_KEYRING, name.encode() + b"\0", None
    )


def reset_signals() -> None:
    """Give every signal its default action and block none: execve(2) keeps what is ignored.

    The C library keeps 32 and 33 for itself and refuses to touch them, so that one ignored by
    whoever began this process would be ignored in its children for ever: these go by the kernel.
    """
    for signal in range(1, _signal.NSIG):
        # None: one of the C library's own
        if _signal.getsignal(signal) not in (_signal.SIG_DFL, None):
            _signal.signal(signal, _signal.SIG_DFL)
    # struct kernel_sigaction of zeros is SIG_DFL; the last argument is the size of its mask
    for signal in (32, 33):
        syscall_with_memory(_number("rt_sigaction"), signal, bytes(32), None, 8)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def set_io_priority(io_class: str, priority: int) -> None:
    """The class (`IOPRIO_CLASS_BE`) and priority (0 to 7) of this process: ioprio_set(2)."""
    if io_class not in IO_CLASSES:
        raise InvalidArgument(f"no such I/O class: {io_class}; say one of {', '.join(IO_CLASSES)}")
    syscall(_number("ioprio_set"), 1, 0, IO_CLASSES[io_class] << 13 | priority)


def set_scheduler(
    policy: str,
    *,
    nice: int = 0,
    priority: int = 0,
    flags: Iterable[str] = (),
    runtime: int = 0,
    deadline: int = 0,
    period: int = 0,
) -> None:
    """The scheduling of this process: sched_setattr(2). Times are nanoseconds.

    Raises InvalidArgument for an unknown policy or flag, OSError.
    """
    if policy not in SCHED_POLICIES:
        raise InvalidArgument(f"no such scheduling policy: {policy}")
    bits = 0
    for flag in flags:
        if flag not in SCHED_FLAGS:
            raise InvalidArgument(f"no such scheduling flag: {flag}")
        bits |= SCHED_FLAGS[flag]
    # struct sched_attr: u32 size, u32 policy, u64 flags, s32 nice, u32 priority, u64 × 3
    order = sys.byteorder
    data = b"".join(
        (
            (48).to_bytes(4, order),
            SCHED_POLICIES[policy].to_bytes(4, order),
            bits.to_bytes(8, order),
            nice.to_bytes(4, order, signed=True),
            priority.to_bytes(4, order),
            *(value.to_bytes(8, order) for value in (runtime, deadline, period)),
        )
    )
    syscall_with_memory(_number("sched_setattr"), 0, data, 0)


def set_personality(domain: str) -> None:
    """`LINUX`, or `LINUX32`: what a 32-bit machine would say of itself; personality(2)."""
    if domain not in PERSONALITIES:
        raise InvalidArgument(
            f"no such personality: {domain}; say one of {', '.join(PERSONALITIES)}"
        )
    function("personality", "L", "i")(PERSONALITIES[domain])


def owns_machine() -> bool:
    """Whether this process is in the machine's own user namespace: root here is root at all."""
    descriptor = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 64).split() == [b"0", b"0", b"4294967295"]
    finally:
        posix.close(descriptor)


def start_time(pid: int) -> int:
    """When the process began, in clock ticks since boot: with the pid it names one process.

    Raises ProcessLookupError where there is none.
    """
    return int(_stat(pid)[19])


def state_of(pid: int) -> str:
    """The letter of its state (R, S, D, T, Z, X, …). Raises ProcessLookupError."""
    return _stat(pid)[0].decode()


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the third on, behind the name, which may hold anything."""
    try:
        descriptor = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            data = posix.read(descriptor, 4096)
        finally:
            posix.close(descriptor)
    except OSError:
        raise ProcessLookupError(3, "no such process", str(pid)) from None
    return data.rpartition(b")")[2].split()


def _number(name: str) -> int:
    machine = posix.uname().machine
    try:
        return _NUMBERS[machine][name]
    except KeyError:
        raise Unsupported(
            f"the number of the system call {name} on {machine} is not known"
        ) from None
