"""What the spec says of the process."""

from __future__ import annotations

import ctypes
import os

import pytest

from tests.runtime.bundle import Bundle, Runtime

pytestmark = pytest.mark.root

RT_SIGACTION = {"x86_64": 13, "aarch64": 134}
LIBRARY_S = 1 << 31 | 1 << 32
"""The signals that the C library keeps for itself, 32 and 33: runc leaves them as they were."""


def ignore_library_s() -> None:
    """Ignore the signals that the C library keeps for itself, by the kernel's own call."""
    libc = ctypes.CDLL(None, use_errno=True)
    ignored = (1).to_bytes(8, "little") + bytes(24)  # struct kernel_sigaction with SIG_IGN
    for signal in (32, 33):
        if libc.syscall(RT_SIGACTION[os.uname().machine], signal, ignored, None, 8) != 0:
            raise OSError(ctypes.get_errno(), "rt_sigaction")


def status(text: str) -> dict[str, str]:
    """/proc/PID/status as a dictionary."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        found[name] = value.strip()
    return found


def test_user_groups_umask_directory_and_environment(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 7, "gid": 8, "additionalGids": [20, 21], "umask": 0o027}
    bundle.process["cwd"] = "/var"
    bundle.process["env"].append("GREETING=hello there")
    bundle.shell("id -u; id -g; id -G; umask; pwd; echo $GREETING")

    assert runtime.run(bundle).splitlines() == [
        *("7", "8", "8 20 21", "0027", "/var", "hello there"),
    ]


def test_a_working_directory_is_made(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["cwd"] = "/new/place"
    bundle.process["args"] = ["pwd"]
    assert runtime.run(bundle) == "/new/place\n"


def test_capabilities_of_root(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "inheritable": [],
        "ambient": [],
    }
    bundle.process["noNewPrivileges"] = False
    bundle.process["args"] = ["cat", "/proc/self/status"]
    found = status(runtime.run(bundle))

    # root gets by execve what is bounded, whatever was permitted: capabilities(7)
    assert int(found["CapBnd"], 16) == 1 << 0 | 1 << 5 | 1 << 13
    assert int(found["CapEff"], 16) == int(found["CapBnd"], 16)
    assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0


def test_capabilities_of_a_user(runtime: Runtime, bundle: Bundle) -> None:
    names = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]
    bundle.process["user"] = {"uid": 7, "gid": 8}
    bundle.process["capabilities"] = {
        "bounding": names,
        "permitted": names,
        "effective": names,
        "inheritable": names,
        "ambient": ["CAP_NET_BIND_SERVICE"],
    }
    bundle.process["args"] = ["cat", "/proc/self/status"]
    found = status(runtime.run(bundle))

    assert int(found["CapAmb"], 16) == 1 << 10
    assert int(found["CapEff"], 16) == 1 << 10
    assert int(found["CapPrm"], 16) == 1 << 10
    assert int(found["CapInh"], 16) == 1 << 0 | 1 << 10
    assert int(found["CapBnd"], 16) == 1 << 0 | 1 << 10


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privileges(runtime: Runtime, bundle: Bundle, wanted: bool) -> None:
    bundle.process["noNewPrivileges"] = wanted
    bundle.process["args"] = ["cat", "/proc/self/status"]
    assert status(runtime.run(bundle))["NoNewPrivs"] == str(int(wanted))


def test_resource_limits(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]
    bundle.shell("ulimit -n; ulimit -Hn; ulimit -c")
    assert runtime.run(bundle).split() == ["100", "200", "0"]


def test_oom_score(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["oomScoreAdj"] = 123
    bundle.process["args"] = ["cat", "/proc/self/oom_score_adj"]
    assert runtime.run(bundle) == "123\n"


@pytest.mark.beyond_runc("1.1 knows no scheduler and no I/O priority")
def test_scheduler_and_io_priority(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
    bundle.shell("cut -d' ' -f19,41 /proc/self/stat; ionice -p $$")
    lines = runtime.run(bundle).splitlines()

    assert lines[0] == "5 3"
    assert "idle" in lines[1]


@pytest.mark.beyond_runc("1.1 knows no personality")
def test_personality(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["personality"] = {"domain": "LINUX32"}
    bundle.process["args"] = ["uname", "-m"]
    assert runtime.run(bundle) == "i686\n"


def test_a_session_of_its_own_with_signals_as_they_were_at_boot(
    runtime: Runtime, bundle: Bundle
) -> None:
    bundle.process["args"] = ["cat", "/proc/self/status"]
    found = status(runtime.run(bundle))

    assert int(found["SigIgn"], 16) & ~LIBRARY_S == 0
    assert int(found["SigBlk"], 16) == 0


def test_no_signal_of_the_c_library_s_own_is_ignored(ours: Runtime, bundle: Bundle) -> None:
    """Some supervisors ignore every signal there is, and execve keeps what is ignored."""
    bundle.process["args"] = ["cat", "/proc/self/status"]
    bundle.save()
    ours.made.append("box")
    result = ours("run", "--bundle", bundle.directory, "box", preexec_fn=ignore_library_s)

    assert int(status(result.stdout)["SigIgn"], 16) == 0


def test_nothing_of_the_host_s_environment(runtime: Runtime, bundle: Bundle) -> None:
    os.environ["PROA_SECRET_OF_HOST"] = "x"
    try:
        bundle.process["args"] = ["cat", "/proc/1/environ"]
        assert "PROA_SECRET_OF_HOST" not in runtime.run(bundle)
    finally:
        del os.environ["PROA_SECRET_OF_HOST"]
