"""Limits, rights and the settings around them."""

from __future__ import annotations

import os

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root

V1 = not os.path.exists("/sys/fs/cgroup/cgroup.controllers")
GROUP = "/sys/fs/cgroup"


def shell(proa: Command, *arguments: str) -> str:
    *flags, script = arguments
    return proa("run", "--rm", *flags, "alpine", "sh", "-c", script).stdout


@pytest.mark.skipif(not V1, reason="the files are those of cgroup v1")
@pytest.mark.parametrize(
    ("flags", "file", "value"),
    [
        (("-m", "64m"), "memory/memory.limit_in_bytes", "67108864"),
        (("-m", "64m", "--memory-reservation", "32m"), "memory/memory.soft_limit_in_bytes",
         "33554432"),
        (("-m", "64m", "--memory-swappiness", "10"), "memory/memory.swappiness", "10"),
        (("--cpus", "0.5"), "cpu/cpu.cfs_quota_us", "50000"),
        (("--cpu-quota", "20000", "--cpu-period", "50000"), "cpu/cpu.cfs_period_us", "50000"),
        (("-c", "512"), "cpu/cpu.shares", "512"),
        (("--cpuset-cpus", "0"), "cpuset/cpuset.cpus", "0"),
        (("--pids-limit", "7"), "pids/pids.max", "7"),
        (("--pids-limit", "-1"), "pids/pids.max", "max"),
    ],
)  # fmt: skip
def test_limits(alpine: Command, flags: tuple[str, ...], file: str, value: str) -> None:
    assert shell(alpine, *flags, f"cat {GROUP}/{file}") == f"{value}\n"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-m", "1m"), "minimum memory limit allowed is 6MB"),
        (("-m", "64m", "--memory-swap", "32m"), "larger than memory limit"),
        (("--memory-swap", "32m"), "always set the memory limit"),
        (("-m", "64m", "--memory-reservation", "128m"), "less than memory reservation"),
        (("--cpus", "9999"), "range of CPUs is from 0.01"),
        (("--cpus", "1", "--cpu-quota", "5000"), "conflicting options"),
        (("--cpu-quota", "10"), "less than 1ms"),
        (("--cpu-period", "10"), "less than 1ms"),
        (("--cpuset-cpus", "0-9999"), "requested CPUs are not available"),
        (("--cpuset-cpus", "xx"), "invalid value xx"),
        (("--blkio-weight", "5"), "from 10 to 1000"),
        (("--device-read-bps", "/dev/nosuch:1mb"), "no such device: /dev/nosuch"),
        (("--ulimit", "nofile=300:200"), "300 > 200"),
        (("--ulimit", "bogus=3"), "invalid ulimit type"),
        (("--oom-score-adj", "5000"), "[-1000, 1000]"),
        (("--cap-add", "bogus"), "unknown capability"),
        (("--security-opt", "bogus"), "--security-opt"),
        (("--security-opt", "seccomp=/nosuch"), "/nosuch"),
        (("--device", "/dev/nosuch"), "/dev/nosuch"),
        (("--device", "/etc/passwd"), "not a device node"),
        (("--device-cgroup-rule", "x 1:3 r"), "--device-cgroup-rule"),
        (("--sysctl", "vm.swappiness=1"), "vm.swappiness"),
        (("--pid", "bogus"), "--pid"),
        (("--ipc", "bogus"), "--ipc"),
        (("--userns", "bogus"), "--userns"),
        (("--uts", "host", "-h", "x"), "conflicting options"),
        (("--network", "container:nosuch"), "no such container: nosuch"),
        (("--network", "mine"), "network mine not found"),
        (("--restart", "always"), "--restart and --rm"),
        (
            ("--pull", "never", "--platform", "linux/arm64"),
            "wanted linux/arm64, actual linux/amd64",
        ),
        (("--stop-signal", "XX"), "invalid signal: XX"),
        (("--name", "bad name"), "invalid container name"),
        (("--log-driver", "bogus"), "bogus"),
        (("-w", "relative"), "absolute path"),
    ],
)
def test_what_is_refused(alpine: Command, flags: tuple[str, ...], said: str) -> None:
    result = alpine("run", "--rm", *flags, "alpine", "true", code=125)

    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert alpine.output("ps", "-aq") == ""


def test_resource_limits_and_shared_memory(alpine: Command) -> None:
    assert shell(alpine, "--ulimit", "nofile=100:200", "ulimit -n; ulimit -Hn") == "100\n200\n"
    assert shell(alpine, "--shm-size", "1m", "df -k /dev/shm | tail -1").split()[1] == "1024"
    assert shell(alpine, "--oom-score-adj", "500", "cat /proc/self/oom_score_adj") == "500\n"


@pytest.mark.parametrize(
    ("flags", "mask"),
    [
        ((), 0xA80425FB),
        (("--cap-drop", "ALL"), 0),
        (("--cap-drop", "ALL", "--cap-add", "net_raw"), 1 << 13),
        (("--cap-add", "NET_ADMIN", "--cap-drop", "CAP_CHOWN"), 0xA80425FB | 1 << 12 & ~1),
    ],
)
def test_capabilities(alpine: Command, flags: tuple[str, ...], mask: int) -> None:
    if "CAP_CHOWN" in flags:
        mask &= ~1
    line = shell(alpine, *flags, "grep CapEff /proc/self/status")
    assert int(line.split()[1], 16) == mask


def test_privileged_has_the_host_s_devices_and_no_filter(alpine: Command) -> None:
    lines = shell(
        alpine,
        "--privileged",
        "grep Seccomp: /proc/self/status; ls /dev | wc -l; mount | grep -c '/proc/'; :",
    ).split()
    assert lines[1] == "0" and int(lines[2]) > 20 and lines[3] == "0"


def test_exec_has_the_container_s_rights_or_all_with_privileged(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sleep", "1000")
    plain = alpine.output("exec", "box", "grep", "CapEff", "/proc/self/status")
    more = alpine.output("exec", "--privileged", "box", "grep", "CapEff", "/proc/self/status")
    assert int(plain.split()[1], 16) == 0xA80425FB
    assert int(more.split()[1], 16) & 1 << 12  # CAP_NET_ADMIN
    alpine("exec", "-u", "nobody-here", "box", "true", code=126)
    alpine("exec", "-w", "/no/such", "box", "true", code=126)
    alpine("pause", "box")
    assert "paused" in alpine("exec", "box", "true", code=1).stderr
    assert "already paused" in alpine("pause", "box", code=1).stderr
    alpine("rm", "-f", "box")


def test_groups(alpine: Command, images_dir: str) -> None:
    assert shell(alpine, "-u", "1000:50", "id -G") == "50\n"
    # the primary group is a supplementary one too: setgid cannot get rid of it (CVE-2022-36109)
    assert shell(alpine, "-u", "nobody", "grep Groups /proc/self/status").split()[1:] == ["65534"]
    assert shell(alpine, "-u", "guest", "--group-add", "wheel", "id -Gn").split() == [
        "users",
        "wheel",
    ]


def test_security_options(alpine: Command) -> None:
    status = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status"
    assert shell(alpine, status).split()[1::2] == ["0", "2"]
    assert shell(alpine, "--security-opt", "no-new-privileges", status).split()[1] == "1"
    assert shell(alpine, "--security-opt", "seccomp=unconfined", status).split()[3] == "0"
    bare = shell(
        alpine, "--security-opt", "systempaths=unconfined", "mount | grep -c ' /proc/' ; :"
    )
    assert bare == "0\n"
    # labels mean nothing where the kernel does not run their module
    shell(
        alpine, "--security-opt", "label=disable", "--security-opt", "apparmor=unconfined", "true"
    )


def test_namespaces_of_other_containers(alpine: Command) -> None:
    alpine(
        "run", "-d", "--name", "first", "-h", "one", "--ipc", "shareable", "alpine", "sleep", "1000"
    )
    assert "sleep 1000" in shell(alpine, "--pid", "container:first", "ps -o args")
    script = "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; hostname"
    own = alpine.output("exec", "first", "sh", "-c", script)
    joined = shell(alpine, "--network", "container:first", "--ipc", "container:first", script)
    assert joined == own + "\n"
    assert shell(alpine, "--pid", "host", "ls -d /proc/[0-9]* | wc -l") > "1\n"
    assert shell(alpine, "--uts", "host", "hostname").strip() == os.uname().nodename
    alpine("rm", "-f", "first")


def test_init(alpine: Command) -> None:
    assert shell(alpine, "--init", "ps -o pid,comm").split()[2:4] != ["1", "ps"]
    alpine("run", "--rm", "--init", "alpine", "sh", "-c", "exit 5", code=5)


def test_a_start_that_fails_in_shared_namespaces_ends(alpine: Command) -> None:
    alpine("create", "--name", "broken", "--pid", "host", "alpine", "/no/such")
    assert "/no/such" in alpine("start", "broken", code=1).stderr


def test_a_container_that_cannot_start_says_so_ever_after(alpine: Command) -> None:
    alpine("create", "--name", "broken", "alpine", "/no/such")
    assert "/no/such" in alpine("start", "broken", code=1).stderr
    shown = alpine.output("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "broken")
    assert shown == "created 127"
