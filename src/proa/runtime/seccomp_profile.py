"""The default seccomp profile: the system calls that a container may make.

It has the effect of Docker's: what no rule names is refused with EPERM, what came into the kernel
later with ENOSYS. A capability that the container has opens the calls that need it. Calls are
left out for three reasons: they work on the whole machine (time, modules, reboot), they make
ways around the container's walls (mounts, namespaces, foreign memory by handle), or they give a
large piece of kernel to attack without a need (io_uring, bpf, perf, userfaultfd, keyrings, which
no namespace divides).

Off the hot path: `proa.runtime.seccomp.default_filter` caches what this compiles to.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

FILES = """
access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown
fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat
fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents
getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl
lchown lchown32 lgetxattr link linkat listmount listxattr listxattrat llistxattr _llseek
lremovexattr lseek lsetxattr lstat lstat64 memfd_create memfd_secret mkdir mkdirat mknod mknodat
name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64
pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename
renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs
statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64
umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
"""
WAITING = """
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
epoll_wait_old eventfd eventfd2 _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select
io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
"""
MEMORY = """
brk madvise map_shadow_stack mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync
munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages
membarrier
"""
PROCESSES = """
execve execveat exit exit_group fork getcpu get_robust_list get_thread_area getpgid getpgrp getpid
getppid getpriority getrlimit getrusage getsid gettid ioprio_get ioprio_set kill pidfd_open
pidfd_send_signal prctl prlimit64 restart_syscall rseq sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address setpgid setpriority
setrlimit setsid sysinfo times ugetrlimit uname uretprobe vfork wait4 waitid waitpid
"""
IDENTITY = """
capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid
getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid
setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32
setreuid setreuid32 setuid setuid32
"""
CONFINEMENT = """
landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
"""
SIGNALS = """
alarm getitimer pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo setitimer sigaltstack
signalfd signalfd4 sigprocmask sigreturn tgkill tkill
"""
TIME = """
adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
clock_gettime64 clock_nanosleep clock_nanosleep_time64 gettimeofday nanosleep time timer_create
timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
"""
COMMUNICATION = """
futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify
mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl
msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
"""
NETWORK = """
accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
"""
OTHER = """
cachestat getrandom
"""

ALLOWED = tuple(
    sorted(
        (
            FILES + WAITING + MEMORY + PROCESSES + IDENTITY + CONFINEMENT + SIGNALS + TIME
            + COMMUNICATION + NETWORK + OTHER
        ).split()
    )
)  # fmt: skip
"""What every container may call, whatever the arguments"""

BY_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_PTRACE": (
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"
    ),
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
        "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
        "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
        "umount umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
    "CAP_PERFMON": "perf_event_open",
    "CAP_BPF": "bpf",
}
"""What a capability opens"""

_NUMBERS = {
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_SYS_MODULE": 16,
    "CAP_SYS_RAWIO": 17,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_PACCT": 20,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_BOOT": 22,
    "CAP_SYS_NICE": 23,
    "CAP_SYS_TIME": 25,
    "CAP_SYS_TTY_CONFIG": 26,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}

# Linux 4.8 runs the filter again after a tracer has changed the call, so that ptrace is no way
# around it any more; all kernels this runs on are newer.
TRACING = "process_vm_readv process_vm_writev ptrace"

_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "i686": ("SCMP_ARCH_X86",),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "armv7l": ("SCMP_ARCH_ARM",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "loongarch64": ("SCMP_ARCH_LOONGARCH64",),
}
_ARM = "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"
_BY_ARCHITECTURE = {
    "x86_64": "arch_prctl modify_ldt",
    "i686": "modify_ldt",
    "aarch64": _ARM,
    "armv7l": _ARM,
    "ppc64le": "sync_file_range2 swapcontext",
    "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
    "riscv64": "riscv_flush_icache riscv_hwprobe",
}

# CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET (clone(2)). CLONE_NEWTIME
# is not among them: clone takes its bit as part of the exit signal.
NAMESPACES = 0x7E020000
# socket(2): AF_ALG is a large piece of kernel for what libraries do as well; AF_VSOCK reaches the
# hypervisor, or the host's virtual machines, past every namespace.
_AF_ALG, _AF_VSOCK = 38, 40
# PER_LINUX, PER_LINUX32, each with UNAME26 too, and the question which one it is (personality(2))
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)


def default_profile(capabilities: Collection[str], arch: str) -> dict[str, Any]:
    """The default profile in OCI's form (linux.seccomp).

    capabilities: names (CAP_…) of the container's bounding set. arch: the machine as uname(2)
    calls it; of an unknown one only its own system calls are spoken of.
    """
    rules = [_allow(ALLOWED), _allow(TRACING.split())]
    rules += [
        _allow(["personality"], _argument(0, value, "SCMP_CMP_EQ")) for value in _PERSONALITIES
    ]
    rules += [
        _allow(["socket"], _argument(0, family, operator))
        for family, operator in (
            (_AF_ALG, "SCMP_CMP_LT"),
            (_AF_ALG + 1, "SCMP_CMP_EQ"),
            (_AF_VSOCK, "SCMP_CMP_GT"),
        )
    ]
    if arch in _BY_ARCHITECTURE:
        rules.append(_allow(_BY_ARCHITECTURE[arch].split()))
    for capability, names in BY_CAPABILITY.items():
        if capability in capabilities:
            rules.append(_allow(names.split()))
    if "CAP_SYS_ADMIN" not in capabilities:
        # s390 has clone's flags in its second argument
        flags = 1 if arch == "s390x" else 0
        rules.append(_allow(["clone"], _argument(flags, NAMESPACES, "SCMP_CMP_MASKED_EQ")))
        # clone3 has its flags in memory, where no filter sees them. C libraries fall back to
        # clone where the kernel does not have it.
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": list(_ARCHITECTURES.get(arch, ())),
        "syscalls": rules,
    }


def names_of(mask: int) -> list[str]:
    """The names of those capabilities in a bit mask that the profile depends on."""
    return [name for name, number in _NUMBERS.items() if mask >> number & 1]


def _allow(names: Collection[str], *arguments: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": list(names), "action": "SCMP_ACT_ALLOW"}
    if arguments:
        rule["args"] = list(arguments)
    return rule


def _argument(index: int, value: int, operator: str) -> dict[str, Any]:
    argument: dict[str, Any] = {"index": index, "value": value, "op": operator}
    if operator == "SCMP_CMP_MASKED_EQ":
        argument["valueTwo"] = 0
    return argument
