from __future__ import annotations

import copy
import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proa.errors import InvalidArgument
from proa.kernel import seccomp as kernel
from proa.runtime import seccomp, seccomp_compiler
from proa.runtime.seccomp_profile import default_profile

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
X86_64, X86, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
X32 = 0x40000000

pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="the numbers here are those of x86_64"
)


def simulate(program: bytes, number: int, *arguments: int, arch: int = X86_64) -> int:
    """What the filter answers, by the rules of classic BPF (networking/filter.rst)."""
    values = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("=iIQ6Q", number - (1 << 32) if number >> 31 else number, arch, 0, *values)
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            at += value
        elif code in (0x15, 0x25, 0x35):
            outcome = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
            }[code]
            at += if_true if outcome else if_false
        elif code == 0x06:
            return value
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def rule(name: str, *arguments: tuple[int, str, int, int], action: str = "ALLOW") -> dict[str, Any]:
    return {
        "names": [name],
        "action": f"SCMP_ACT_{action}",
        "args": [
            {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": second}
            for index, operator, value, second in arguments
        ],
    }


def profile(*rules: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **other}


def compiled(*rules: dict[str, Any], **other: Any) -> bytes:
    return seccomp.compile(profile(*rules, **other), cache=None).program


def test_what_no_rule_names_gets_the_default() -> None:
    program = compiled(rule("getpid"), rule("fchmodat2"))
    assert simulate(program, 39) == ALLOW
    assert simulate(program, 40) == ERRNO | errno.EPERM
    program = compiled(rule("getpid"), rule("fchmodat2"), defaultErrnoRet=errno.EACCES)
    assert simulate(program, 40) == ERRNO | errno.EACCES


@pytest.mark.parametrize(
    ("action", "number", "answer"),
    [
        ("KILL", None, 0),
        ("KILL_THREAD", None, 0),
        ("KILL_PROCESS", None, 0x80000000),
        ("TRAP", None, 0x00030000),
        ("ERRNO", None, ERRNO | 1),
        ("ERRNO", 38, ERRNO | 38),
        ("ERRNO", 0, ERRNO),
        ("TRACE", 9, 0x7FF00009),
        ("LOG", None, 0x7FFC0000),
        ("ALLOW", None, ALLOW),
    ],
)
def test_every_action(action: str, number: int | None, answer: int) -> None:
    item = rule("getpid", action=action)
    if number is not None:
        item["errnoRet"] = number
    other = "SCMP_ACT_TRAP" if action == "ERRNO" else "SCMP_ACT_ERRNO"
    program = compiled(item, rule("fchmodat2"), defaultAction=other)
    assert simulate(program, 39) == answer


LARGE = 0x1_0000_0005


@pytest.mark.parametrize(
    ("operator", "value", "second", "accepted", "refused"),
    [
        ("EQ", LARGE, 0, [LARGE], [5, LARGE - 1, 0x2_0000_0005]),
        ("NE", LARGE, 0, [5, LARGE + 1], [LARGE]),
        ("LT", LARGE, 0, [0, LARGE - 1], [LARGE, 0x2_0000_0000]),
        ("LE", LARGE, 0, [0, LARGE], [LARGE + 1]),
        ("GE", LARGE, 0, [LARGE, 1 << 63], [LARGE - 1, 7]),
        ("GT", LARGE, 0, [LARGE + 1], [LARGE, 7]),
        ("MASKED_EQ", 0xF0_0000_00F0, 0x10_0000_0020, [0x1F_0000_0F2F], [0x20, 0x10_0000_0030]),
    ],
)
def test_every_operator_on_64_bits(
    operator: str, value: int, second: int, accepted: list[int], refused: list[int]
) -> None:
    program = compiled(rule("lseek", (1, operator, value, second)), rule("fchmodat2"))
    for argument in accepted:
        assert simulate(program, 8, 0, argument) == ALLOW, hex(argument)
    for argument in refused:
        assert simulate(program, 8, 0, argument) == ERRNO | 1, hex(argument)


def test_arguments_of_a_rule_are_all_needed_and_one_rule_suffices() -> None:
    program = compiled(
        rule("lseek", (0, "EQ", 1, 0), (1, "EQ", 2, 0)),
        rule("lseek", (2, "EQ", 3, 0)),
        rule("fchmodat2"),
    )
    assert simulate(program, 8, 1, 2) == ALLOW
    assert simulate(program, 8, 1, 0) != ALLOW
    assert simulate(program, 8, 0, 2) != ALLOW
    assert simulate(program, 8, 0, 0, 3) == ALLOW


def test_several_values_for_one_argument_are_alternatives() -> None:
    program = compiled(rule("personality", (0, "EQ", 0, 0), (0, "EQ", 8, 0)), rule("fchmodat2"))
    assert [simulate(program, 135, value) == ALLOW for value in (0, 8, 4)] == [True, True, False]


def test_without_condition_beats_with_one() -> None:
    program = compiled(rule("lseek", (0, "EQ", 1, 0)), rule("lseek"), rule("fchmodat2"))
    assert simulate(program, 8, 2) == ALLOW


def test_names_that_are_no_system_calls_are_passed_over() -> None:
    program = compiled(rule("no_such_call"), rule("arm_sync_file_range"), rule("getpid"))
    assert simulate(program, 39) == ALLOW


def test_later_calls_do_not_exist() -> None:
    program = compiled(rule("openat2"), rule("getpid"))  # openat2 is 437
    assert simulate(program, 436) == ERRNO | errno.EPERM
    assert simulate(program, 438) == ERRNO | errno.ENOSYS
    assert simulate(program, 100_000) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("action", ["ALLOW", "LOG", "TRACE"])
def test_later_calls_exist_where_calls_are_let_through(action: str) -> None:
    program = compiled(
        rule("getpid", action="ERRNO"), defaultAction=f"SCMP_ACT_{action}", defaultErrnoRet=3
    )
    assert simulate(program, 1000) & 0xFFFF0000 == simulate(program, 1) & 0xFFFF0000
    assert simulate(program, 1000) & 0xFFFF0000 != ERRNO


def test_calls_newer_than_the_library_are_known() -> None:
    program = compiled(
        rule("mseal"), rule("listmount", action="KILL_PROCESS"), rule("cachestat", (0, "EQ", 1, 0))
    )
    assert simulate(program, 462) == ALLOW
    assert simulate(program, 458) == 0x80000000
    assert simulate(program, 459) == ERRNO | errno.EPERM
    assert simulate(program, 463) == ERRNO | errno.ENOSYS


def test_each_architecture_has_its_numbers() -> None:
    program = compiled(
        rule("getpid"),
        rule("mseal"),
        architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    )
    assert simulate(program, 39) == ALLOW
    assert simulate(program, 20, arch=X86) == ALLOW
    assert simulate(program, 39, arch=X86) == ERRNO | 1
    assert simulate(program, X32 | 39) == ALLOW
    assert simulate(program, X32 | 40) == ERRNO | 1
    for number, arch in ((462, X86_64), (462, X86), (X32 | 462, X86_64)):
        assert simulate(program, number, arch=arch) == ALLOW
        assert simulate(program, number + 1, arch=arch) == ERRNO | errno.ENOSYS
    assert simulate(program, 172, arch=AARCH64) == 0  # killed: not spoken of


def test_a_foreign_architecture_can_be_added() -> None:
    program = compiled(rule("getpid"), architectures=["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])
    assert simulate(program, 172, arch=AARCH64) == ALLOW
    assert simulate(program, 20, arch=ARM) == ALLOW
    assert simulate(program, 39) == ALLOW  # the native one is always there


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"defaultAction": "SCMP_ACT_NONE"}, "no seccomp action: 'SCMP_ACT_NONE' .defaultAction"),
        ({"defaultAction": None}, "no seccomp action: None"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "cannot be the default action"),
        ({"defaultErrnoRet": 65536}, "no error number: 65536"),
        ({"architectures": ["SCMP_ARCH_VAX"]}, "no seccomp architecture: 'SCMP_ARCH_VAX'"),
        ({"flags": ["SECCOMP_FILTER_FLAG_FAST"]}, "no seccomp flag"),
        ({"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}, "needs a rule with SCMP_ACT_NOTI"),
        ({"syscalls": [{"action": "SCMP_ACT_ALLOW"}]}, "names no system call"),
        ({"syscalls": [rule("getpid", action="SLEEP")]}, r"SCMP_ACT_SLEEP' \(getpid\)"),
        ({"syscalls": [rule("getpid", (6, "EQ", 0, 0))]}, "index 6"),
        ({"syscalls": [rule("getpid", (0, "IS", 0, 0))]}, "no seccomp operator: 'SCMP_CMP_IS'"),
        ({"syscalls": [rule("getpid", (0, "EQ", -1, 0))]}, "it has 64 bits"),
        ({"syscalls": [rule("write", action="NOTIFY")]}, "cannot be used for write"),
        ({"syscalls": [rule("getpid", action="NOTIFY")]}, "needs linux.seccomp.listenerPath"),
    ],
)
def test_a_wrong_profile_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        seccomp.compile({**profile(rule("getpid")), **wrong}, cache=None)


def test_flags() -> None:
    def flags(*names: str, **other: Any) -> int:
        listed = [f"SECCOMP_FILTER_FLAG_{name}" for name in names]
        return seccomp.compile(profile(rule("getpid"), flags=listed, **other), cache=None).flags

    assert seccomp.compile(profile(rule("getpid")), cache=None).flags == kernel.SPEC_ALLOW
    assert flags() == 0
    assert flags("TSYNC", "LOG", "SPEC_ALLOW") == kernel.TSYNC | kernel.LOG | kernel.SPEC_ALLOW
    notifying = profile(
        rule("getpid", action="NOTIFY"),
        listenerPath="/run/agent.sock",
        listenerMetadata="who",
        flags=["SECCOMP_FILTER_FLAG_TSYNC"],
    )
    found = seccomp.compile(notifying, cache=None)
    assert found.flags == kernel.TSYNC | kernel.TSYNC_ESRCH | kernel.NEW_LISTENER
    assert (found.listener_path, found.listener_metadata) == ("/run/agent.sock", "who")
    assert simulate(found.program, 39) == 0x7FC00000


# -- the cache ----------------------------------------------------------------------------------


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The profiles that were compiled."""
    seen: list[Any] = []
    real = seccomp_compiler.compile_profile

    def count(item: Any) -> tuple[bytes, int]:
        seen.append(item)
        return real(item)

    monkeypatch.setattr(seccomp_compiler, "compile_profile", count)
    return seen


def test_a_profile_is_compiled_once(tmp_path: Path, compilations: list[Any]) -> None:
    cache = str(tmp_path / "cache")
    first = seccomp.compile(profile(rule("getpid")), cache=cache)
    second = seccomp.compile(copy.deepcopy(profile(rule("getpid"))), cache=cache)
    assert first == second
    assert len(compilations) == 1
    seccomp.compile(profile(rule("getppid")), cache=cache)
    assert len(compilations) == 2
    assert stat.S_IMODE(os.stat(cache).st_mode) == 0o700
    assert len(os.listdir(cache)) == 2
    for name in os.listdir(cache):
        assert stat.S_IMODE(os.stat(f"{cache}/{name}").st_mode) == 0o600


def spoil_mode(file: Path) -> None:
    file.chmod(0o622)


def spoil_directory(file: Path) -> None:
    file.parent.chmod(0o755)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-8])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def foreign(file: Path) -> None:
    file.write_bytes(b"elsewise" + file.read_bytes()[8:])


def link(file: Path) -> None:
    file.rename(file.parent.parent / "elsewhere")
    file.symlink_to(file.parent.parent / "elsewhere")


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_directory, cut, empty, foreign, link])
def test_a_file_that_others_could_have_made_is_not_believed(
    tmp_path: Path, compilations: list[Any], spoil: Callable[[Path], None]
) -> None:
    cache = tmp_path / "cache"
    first = seccomp.compile(profile(rule("getpid")), cache=str(cache))
    (file,) = cache.iterdir()
    spoil(file)
    assert seccomp.compile(profile(rule("getpid")), cache=str(cache)) == first
    assert len(compilations) == 2
    if spoil is not spoil_directory:  # it has been mended
        seccomp.compile(profile(rule("getpid")), cache=str(cache))
        assert len(compilations) == 2


@pytest.mark.root
def test_a_file_of_somebody_else_is_not_believed(tmp_path: Path, compilations: list[Any]) -> None:
    cache = tmp_path / "cache"
    seccomp.compile(profile(rule("getpid")), cache=str(cache))
    (file,) = cache.iterdir()
    os.chown(file, 65534, 65534)
    seccomp.compile(profile(rule("getpid")), cache=str(cache))
    assert len(compilations) == 2


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, compilations: list[Any]
) -> None:
    (tmp_path / "file").write_text("")
    cache = str(tmp_path / "file/cache")
    for count in (1, 2):
        seccomp.compile(profile(rule("getpid")), cache=cache)
        assert len(compilations) == count


def test_the_default_filter_depends_on_what_matters(
    tmp_path: Path, compilations: list[Any]
) -> None:
    cache = str(tmp_path / "cache")
    plain = seccomp.default_filter(0, cache)
    chown_and_kill = 1 << 0 | 1 << 5  # capabilities that open no system call
    assert seccomp.default_filter(chown_and_kill, cache) == plain
    assert len(compilations) == 1
    powerful = seccomp.default_filter((1 << 41) - 1, cache)
    assert len(compilations) == 2
    assert simulate(plain.program, 165) == ERRNO | 1  # mount
    assert simulate(powerful.program, 165) == ALLOW
    assert plain == seccomp.compile(default_profile([], "x86_64"), cache=None)


def test_the_cached_path_imports_nothing_heavy(tmp_path: Path) -> None:
    import subprocess
    import sys

    cache = str(tmp_path / "cache")
    seccomp.default_filter(0, cache)
    seccomp.compile(profile(rule("getpid")), cache=cache)
    source = os.path.dirname(os.path.dirname(os.path.dirname(seccomp.__file__)))
    code = f"""
import sys
sys.path.insert(0, {source!r})
from proa.lean import record
import posix, _ctypes, _struct, struct
before = set(sys.modules)
from proa.runtime import seccomp
seccomp.default_filter(0, {cache!r})
seccomp.compile({profile(rule("getpid"))!r}, cache={cache!r})
print(*sorted(set(sys.modules) - before))
"""
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    modules = result.stdout.split()
    assert [name for name in modules if not name.startswith("proa")] == ["_blake2", "gc"]
    assert "proa.runtime.seccomp_compiler" not in modules
    assert "proa.runtime.seccomp_profile" not in modules


# -- the default profile, in a real process -----------------------------------------------------


def probe(capabilities_mask: int, work: Callable[[Callable[..., int]], None]) -> None:
    """Run `work` under the default filter; it gets a function that makes a system call and
    returns its errno.
    """
    filter = seccomp.default_filter(capabilities_mask, None)
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: int) -> int:
        outcome = libc.syscall(number, *(ctypes.c_long(argument) for argument in arguments))
        return 0 if outcome != -1 else ctypes.get_errno()

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            libc.prctl(38, 1, 0, 0, 0)
            kernel.install(filter.program, filter.flags)
            work(call)
            os.write(writer, b"good")
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        outcome = pipe.read()
    os.waitpid(child, 0)
    assert outcome == b"good", outcome.decode()


CLONE_NEWUSER = 0x10000000


def test_what_an_ordinary_container_may_not_call() -> None:
    def work(call: Callable[..., int]) -> None:
        refused = {
            "mount": call(165, 0, 0, 0, 0, 0),
            "umount2": call(166, 0, 0),
            "pivot_root": call(155, 0, 0),
            "unshare": call(272, CLONE_NEWUSER),
            "setns": call(308, -1, 0),
            "clone with a user namespace": call(56, CLONE_NEWUSER | 17, 0, 0, 0, 0),
            "keyctl": call(250, 0, 0),
            "add_key": call(248, 0, 0, 0, 0, 0),
            "request_key": call(249, 0, 0, 0, 0),
            "bpf": call(321, 0, 0, 0),
            "perf_event_open": call(298, 0, 0, 0, 0, 0),
            "io_uring_setup": call(425, 1, 0),
            "io_uring_enter": call(426, -1, 0, 0, 0, 0),
            "userfaultfd": call(323, 0),
            "open_by_handle_at": call(304, -1, 0, 0),
            "kexec_load": call(246, 0, 0, 0, 0),
            "init_module": call(175, 0, 0, 0),
            "reboot": call(169, 0, 0, 0, 0),
            "swapon": call(167, 0, 0),
            "settimeofday": call(164, 0, 0),
            "iopl": call(172, 3),
            "personality": call(135, 0x0040000),  # ADDR_NO_RANDOMIZE
            "AF_VSOCK": call(41, 40, 1, 0),
            "AF_ALG": call(41, 38, 5, 0),
            "fsopen": call(430, 0, 0),
            "move_mount": call(429, -1, 0, -1, 0, 0),
            "mount_setattr": call(442, -1, 0, 0, 0, 0),
            "get_mempolicy": call(239, 0, 0, 0, 0, 0),
            "lsm_list_modules": call(461, 0, 0, 0),
            "quotactl": call(179, 0, 0, 0, 0),
        }
        wrong = {name: code for name, code in refused.items() if code != errno.EPERM}
        assert not wrong, wrong

    probe(0, work)


def test_what_an_ordinary_container_may_call() -> None:
    def work(call: Callable[..., int]) -> None:
        codes = {
            "getpid": (call(39), 0),
            "personality (query)": (call(135, 0xFFFFFFFF), 0),
            "personality (Linux)": (call(135, 0), 0),
            "AF_INET": (call(41, 2, 1, 0), 0),
            "AF_UNIX": (call(41, 1, 1, 0), 0),
            "AF_NETLINK": (call(41, 16, 3, 0), 0),
            "seccomp": (call(317, 2, 0, 0), errno.EFAULT),
            "landlock_create_ruleset": (call(444, 0, 0, 1), 0),
            "memfd_create": (call(319, 0, 0), errno.EFAULT),
            "statmount": (call(457, 0, 0, 0, 0), errno.EFAULT),
            "listxattrat": (call(465, -1, 0, 0, 0, 0), errno.EFAULT),
            "openat2": (call(437, -1, 0, 0, 0), errno.EINVAL),
            "clone3": (call(435, 0, 0), errno.ENOSYS),
            "one of the future": (call(600), errno.ENOSYS),
        }
        # ENOSYS: an older kernel than the call
        wrong = {
            name: (found, wanted)
            for name, (found, wanted) in codes.items()
            if found not in (wanted, errno.ENOSYS, errno.EOPNOTSUPP)
        }
        assert not wrong, wrong
        assert codes["clone3"][0] == codes["one of the future"][0] == errno.ENOSYS
        child = os.fork()
        if child == 0:
            os._exit(3)
        assert os.waitpid(child, 0)[1] == 3 << 8

    probe(0, work)


@pytest.mark.parametrize(
    ("capability", "number", "arguments"),
    [
        (2, 304, (-1, 0, 0)),  # CAP_DAC_READ_SEARCH: open_by_handle_at
        (16, 176, (0, 0)),  # CAP_SYS_MODULE: delete_module
        (17, 172, (4,)),  # CAP_SYS_RAWIO: iopl
        (18, 161, (0,)),  # CAP_SYS_CHROOT: chroot
        (19, 438, (-1, -1, 0)),  # CAP_SYS_PTRACE: pidfd_getfd
        (20, 163, (-1,)),  # CAP_SYS_PACCT: acct
        (21, 272, (1,)),  # CAP_SYS_ADMIN: unshare
        (21, 435, (0, 0)),  # CAP_SYS_ADMIN: clone3
        (22, 169, (0, 0, 0, 0)),  # CAP_SYS_BOOT: reboot
        (23, 239, (-1, 0, 0, -1, 7)),  # CAP_SYS_NICE: get_mempolicy
        (25, 164, (-1, -1)),  # CAP_SYS_TIME: settimeofday
        (34, 103, (99, 0, 0)),  # CAP_SYSLOG: syslog
        (38, 298, (-1, -1, -1, -1, 0)),  # CAP_PERFMON: perf_event_open
        (39, 321, (999, 0, 0)),  # CAP_BPF: bpf
    ],
)
def test_a_capability_opens_its_calls(
    capability: int, number: int, arguments: tuple[int, ...]
) -> None:
    wide = tuple(argument & 0xFFFFFFFFFFFFFFFF for argument in arguments)
    without = seccomp.default_filter(0, None).program
    with_it = seccomp.default_filter(1 << capability, None).program
    assert simulate(without, number, *wide) != ALLOW
    assert simulate(with_it, number, *wide) == ALLOW


@pytest.mark.parametrize(
    "flag", [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]
)
def test_clone_makes_no_namespace(flag: int) -> None:
    program = seccomp.default_filter(0, None).program
    thread = 0x003D0F00  # what pthread_create passes
    assert simulate(program, 56, thread) == ALLOW
    assert simulate(program, 56, thread | flag) == ERRNO | 1
    assert simulate(program, 56, flag | 17) == ERRNO | 1


@pytest.mark.parametrize("arch", ["x86_64", "aarch64", "riscv64", "unheard-of"])
def test_the_profile_is_one_of_the_specification(arch: str) -> None:
    found = default_profile(["CAP_SYS_ADMIN"], arch)
    assert set(found["architectures"]) <= seccomp_compiler.ARCHITECTURES
    names = [name for item in found["syscalls"] for name in item["names"]]
    assert "clone3" in names
    for item in found["syscalls"]:
        assert item["action"] in ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO")
        assert item["names"]
