"""`proa run` as people know it from Docker."""

from __future__ import annotations

import os
import re
import time

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


def test_the_output_of_a_command_is_shown(alpine: Command) -> None:
    result = alpine("run", "--rm", "alpine", "sh", "-c", "echo out; echo err >&2")

    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert alpine.output("ps", "-aq") == ""


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_command_s(alpine: Command, code: int) -> None:
    alpine("run", "--rm", "alpine", "sh", "-c", f"exit {code}", code=code)


def test_a_command_ended_by_a_signal_has_128_more(alpine: Command) -> None:
    # the first process itself is beyond the reach of its own signals: pid_namespaces(7)
    alpine("run", "--rm", "alpine", "sh", "-c", "sh -c 'kill -KILL $$'; exit $?", code=137)
    alpine("run", "--rm", "--init", "alpine", "sh", "-c", "kill -TERM $$", code=143)


def test_a_missing_command_is_127_and_nothing_stays(alpine: Command) -> None:
    result = alpine("run", "--rm", "alpine", "/no/such", code=127)

    assert "/no/such" in result.stderr
    assert result.stderr.count("\n") == 1
    assert alpine.output("ps", "-aq") == ""


@pytest.mark.parametrize("path", ["/etc", "/etc/passwd"])
def test_what_cannot_be_executed_is_126(alpine: Command, path: str) -> None:
    result = alpine("run", "--rm", "alpine", path, code=126)

    assert path in result.stderr


def test_a_missing_image_is_125_and_named(alpine: Command) -> None:
    result = alpine("run", "--rm", "--pull", "never", "nosuch:9", code=125)

    assert "nosuch:9" in result.stderr
    assert result.stderr.count("\n") == 1


def test_standard_input_passes_without_loss(alpine: Command) -> None:
    text = "".join(f"line {number}\n" for number in range(200_000))

    result = alpine("run", "--rm", "-i", "alpine", "cat", input=text)

    assert result.stdout == text


def test_without_i_standard_input_is_empty(alpine: Command) -> None:
    assert alpine("run", "--rm", "alpine", "cat", input="not for it").stdout == ""


def test_much_output_arrives_whole(alpine: Command) -> None:
    result = alpine("run", "--rm", "alpine", "sh", "-c", "seq 1 300000; echo end >&2", timeout=120)

    assert result.stdout == "".join(f"{number}\n" for number in range(1, 300_001))
    assert result.stderr == "end\n"


def test_it_sees_its_own_processes_only(alpine: Command) -> None:
    result = alpine("run", "--rm", "alpine", "ps", "-o", "pid,comm")

    assert result.stdout.split() == ["PID", "COMMAND", "1", "ps"]


def test_the_kernel_is_the_host_s_and_the_distribution_is_not(alpine: Command) -> None:
    release = alpine.output("run", "--rm", "alpine", "uname", "-r")

    assert release == os.uname().release
    with open("/etc/os-release") as file:
        show = "cat /etc/os-release || true"
        assert alpine.output("run", "--rm", "alpine", "sh", "-c", show) != file.read()


def test_the_host_sees_its_processes(alpine: Command) -> None:
    alpine("run", "-d", "--name", "sleeper", "alpine", "sleep", "4321")
    pid = int(alpine.output("inspect", "-f", "{{.State.Pid}}", "sleeper"))

    with open(f"/proc/{pid}/cmdline") as file:
        assert file.read().split("\0")[:2] == ["sleep", "4321"]
    alpine("rm", "-f", "sleeper")
    assert not os.path.exists(f"/proc/{pid}")


def test_environment_working_directory_user_and_hostname(alpine: Command) -> None:
    script = 'echo "$A|$B|$PATH"; pwd; id -u; id -g; id -G; hostname; echo $HOME'
    result = alpine(
        *("run", "--rm", "-e", "A=1", "-e", "B=two words", "-w", "/usr/new", "-u", "1000:50"),
        *("--group-add", "60", "-h", "box", "alpine", "sh", "-c", script),
    )

    lines = result.stdout.splitlines()
    assert lines[0] == "1|two words|/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert lines[1:] == ["/usr/new", "1000", "50", "50 60", "box", "/"]


def test_a_user_by_name_and_an_unknown_one(alpine: Command) -> None:
    assert alpine.output("run", "--rm", "-u", "root", "alpine", "id", "-un") == "root"

    result = alpine("run", "--rm", "-u", "nobody-here", "alpine", "true", code=125)

    assert "nobody-here" in result.stderr


def test_the_hosts_file_and_name_resolution(alpine: Command) -> None:
    result = alpine(
        *("run", "--rm", "--add-host", "db:10.1.2.3", "--dns", "9.9.9.9", "--dns-search", "lan"),
        *("alpine", "cat", "/etc/hosts", "/etc/resolv.conf"),
    )

    assert "10.1.2.3\tdb" in result.stdout
    assert "search lan\nnameserver 9.9.9.9\n" in result.stdout


def test_a_bind_mount_and_a_read_only_one(alpine: Command) -> None:
    directory = os.path.join(os.environ["TMPDIR"], "bound")
    os.mkdir(directory)
    try:
        alpine(
            *("run", "--rm", "-v", f"{directory}:/data", "alpine"),
            *("sh", "-c", "echo written > /data/file"),
        )
        with open(os.path.join(directory, "file")) as file:
            assert file.read() == "written\n"
        result = alpine(
            *("run", "--rm", "-v", f"{directory}:/data:ro", "alpine"),
            *("sh", "-c", "cat /data/file; echo x > /data/other"),
            code=1,
        )
        assert result.stdout == "written\n"
        assert "Read-only file system" in result.stderr
        missing = alpine(
            *(
                "run",
                "--rm",
                "--mount",
                f"type=bind,src={directory}/no,dst=/data",
                "alpine",
                "true",
            ),
            code=125,
        )
        assert f"{directory}/no" in missing.stderr
    finally:
        import shutil

        shutil.rmtree(directory)


def test_tmpfs_and_a_read_only_root(alpine: Command) -> None:
    script = "touch /nope 2>/dev/null || echo read-only; touch /run/yes && mount | grep ' /run '"
    result = alpine(
        "run", "--rm", "--read-only", "--tmpfs", "/run:size=1m", "alpine", "sh", "-c", script
    )

    assert result.stdout.startswith("read-only\n")
    assert "size=1024k" in result.stdout


def test_shm_size(alpine: Command) -> None:
    result = alpine("run", "--rm", "--shm-size", "8m", "alpine", "df", "-k", "/dev/shm")

    assert result.stdout.splitlines()[1].split()[1] == "8192"


def test_changes_stay_with_the_container_and_the_image_is_the_same(alpine: Command) -> None:
    image = alpine.output("inspect", "-f", "{{.Id}}", "alpine")
    alpine("run", "--name", "one", "alpine", "sh", "-c", "echo changed > /etc/motd; rm /etc/group")

    assert alpine.output("run", "--rm", "alpine", "ls", "/etc/group") == "/etc/group"
    assert alpine.output("inspect", "-f", "{{.Id}}", "alpine") == image
    alpine("start", "one")
    alpine("wait", "one")
    alpine("rm", "one")


def test_the_default_capabilities_and_others(alpine: Command) -> None:
    def effective(*flags: str) -> int:
        line = alpine.output("run", "--rm", *flags, "alpine", "grep", "CapEff", "/proc/self/status")
        return int(line.split()[1], 16)

    assert effective() == 0xA80425FB
    assert effective("--cap-drop", "ALL") == 0
    assert effective("--cap-drop", "ALL", "--cap-add", "NET_ADMIN") == 1 << 12
    assert effective("-u", "1000") == 0


def test_the_default_seccomp_profile_applies_and_can_be_left_out(alpine: Command) -> None:
    def mode(*flags: str) -> str:
        return alpine.output(
            "run", "--rm", *flags, "alpine", "grep", "Seccomp:", "/proc/self/status"
        ).split()[1]

    assert mode() == "2"
    assert mode("--security-opt", "seccomp=unconfined") == "0"
    result = alpine(
        "run", "--rm", "--cap-add", "SYS_ADMIN", "alpine", "unshare", "-U", "true", code=None
    )
    assert result.returncode == 0 or "not permitted" in result.stderr
    denied = alpine("run", "--rm", "alpine", "unshare", "-U", "true", code=1)
    assert "not permitted" in denied.stderr


def test_no_new_privileges(alpine: Command) -> None:
    line = alpine.output(
        *("run", "--rm", "--security-opt", "no-new-privileges", "alpine"),
        *("grep", "NoNewPrivs", "/proc/self/status"),
    )
    assert line.split()[1] == "1"


def test_masked_and_read_only_paths(alpine: Command) -> None:
    script = (
        "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l;"
        "echo 1 > /proc/sys/kernel/domainname || echo refused"
    )
    result = alpine("run", "--rm", "alpine", "sh", "-c", script)

    assert result.stdout.splitlines() == ["0", "0", "refused"]


def test_only_the_container_s_devices(alpine: Command) -> None:
    result = alpine("run", "--rm", "alpine", "ls", "/dev")

    assert set(result.stdout.split()) - {"core"} == {
        *("fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm"),
        *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
    }
    alpine("run", "--rm", "alpine", "sh", "-c", "mknod /tmp/d b 254 0 && cat /tmp/d", code=1)


def test_a_device_of_the_host(alpine: Command) -> None:
    result = alpine(
        "run", "--rm", "--device", "/dev/kmsg:/dev/mykmsg:r", "alpine", "ls", "/dev/mykmsg"
    )
    assert result.stdout == "/dev/mykmsg\n"


def test_limits_of_memory_processes_and_cpu(alpine: Command) -> None:
    name = alpine.output(
        *("run", "-d", "-m", "64m", "--pids-limit", "33", "--cpus", "0.5", "alpine"),
        *("sleep", "1000"),
    )
    try:
        if os.path.isdir("/sys/fs/cgroup/memory"):
            files = {
                "memory/proa/{}/memory.limit_in_bytes": str(64 << 20),
                "pids/proa/{}/pids.max": "33",
                "cpu/proa/{}/cpu.cfs_quota_us": "50000",
            }
        else:
            files = {
                "proa/{}/memory.max": str(64 << 20),
                "proa/{}/pids.max": "33",
                "proa/{}/cpu.max": "50000 100000",
            }
        for path, expected in files.items():
            with open("/sys/fs/cgroup/" + path.format(name)) as file:
                assert file.read().strip() == expected
    finally:
        alpine("rm", "-f", name)


def test_a_process_that_takes_too_much_memory_is_killed_and_that_is_told(alpine: Command) -> None:
    alpine(
        *("run", "--name", "hungry", "-m", "16m", "alpine"),
        *("sh", "-c", "tail /dev/zero"),
        code=None,
    )
    state = alpine.output("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hungry")
    alpine("rm", "hungry")

    assert state.split()[1] == "137"
    assert state.split()[0] == "true"


def test_a_limit_that_is_too_small_is_refused_as_docker_does(alpine: Command) -> None:
    result = alpine("run", "--rm", "-m", "1m", "alpine", "true", code=125)

    assert "6MB" in result.stderr


def test_ulimits_and_sysctls(alpine: Command) -> None:
    result = alpine(
        *("run", "--rm", "--ulimit", "nofile=100:200", "--sysctl", "kernel.msgmax=9999", "alpine"),
        *("sh", "-c", "ulimit -Sn; ulimit -Hn; cat /proc/sys/kernel/msgmax"),
    )
    assert result.stdout.split() == ["100", "200", "9999"]


def test_namespaces_of_the_host(alpine: Command) -> None:
    for flag, name in (("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--network", "net")):
        inside = alpine.output(
            "run", "--rm", flag, "host", "alpine", "readlink", f"/proc/self/ns/{name}"
        )
        outside = alpine.output("run", "--rm", "alpine", "readlink", f"/proc/self/ns/{name}")
        assert inside == os.readlink(f"/proc/self/ns/{name}")
        assert outside != inside


def test_the_network_of_another_container(alpine: Command) -> None:
    alpine("run", "-d", "--name", "owner", "alpine", "sleep", "1000")
    try:
        theirs = alpine.output("exec", "owner", "readlink", "/proc/self/ns/net")
        ours = alpine.output(
            "run", "--rm", "--network", "container:owner", "alpine", "readlink", "/proc/self/ns/net"
        )
        assert ours == theirs
    finally:
        alpine("rm", "-f", "owner")


def test_none_is_a_network_with_loopback_alone(alpine: Command) -> None:
    result = alpine("run", "--rm", "--network", "none", "alpine", "ip", "-o", "addr")

    assert [line.split()[1] for line in result.stdout.splitlines()] == ["lo", "lo"]
    assert "127.0.0.1/8" in result.stdout


def test_privileged(alpine: Command) -> None:
    script = (
        "mkdir -p /mnt && mount -t tmpfs x /mnt && grep Seccomp: /proc/self/status && ls /dev/kmsg"
    )
    result = alpine("run", "--rm", "--privileged", "alpine", "sh", "-c", script)

    assert result.stdout.split() == ["Seccomp:", "0", "/dev/kmsg"]


def test_a_name_can_be_taken_once(alpine: Command) -> None:
    alpine("create", "--name", "twin", "alpine")
    result = alpine("run", "--rm", "--name", "twin", "alpine", "true", code=125)

    assert "twin" in result.stderr
    assert "already in use" in result.stderr
    alpine("rm", "twin")


def test_cidfile(alpine: Command) -> None:
    path = os.path.join(os.environ["TMPDIR"], "cid")
    alpine("run", "--cidfile", path, "--name", "noted", "alpine", "true")
    with open(path) as file:
        assert file.read() == alpine.output("inspect", "-f", "{{.Id}}", "noted")
    os.unlink(path)
    alpine("rm", "noted")


def test_terminal(alpine: Command) -> None:
    process, terminal = alpine.start_on_terminal("run", "--rm", "-it", "alpine", "sh")
    try:
        seen = b""

        def until(text: bytes) -> None:
            nonlocal seen
            deadline = time.monotonic() + 20
            while text not in seen:
                assert time.monotonic() < deadline, seen
                seen += os.read(terminal, 4096)

        until(b"# ")
        os.write(terminal, b"tty; stty size; echo $TERM; exit 7\n")
        until(b"/dev/pts/0")
        until(b"xterm")
        assert process.wait(20) == 7
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def test_detach_keys_leave_the_container_running(alpine: Command) -> None:
    process, terminal = alpine.start_on_terminal("run", "-it", "--name", "left", "alpine", "sh")
    try:
        seen = b""
        deadline = time.monotonic() + 20
        while b"# " not in seen:
            assert time.monotonic() < deadline, seen
            seen += os.read(terminal, 4096)
        os.write(terminal, b"\x10\x11")
        assert process.wait(20) == 0
        assert alpine.output("inspect", "-f", "{{.State.Status}}", "left") == "running"
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        alpine("rm", "-f", "left")


def test_signals_are_passed_on(alpine: Command) -> None:
    script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    process = alpine.start("run", "--rm", "alpine", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()

    assert process.stdout.read() == b"got it\n"
    assert process.wait(20) == 9
    for stream in (process.stdout, process.stderr, process.stdin):
        assert stream is not None
        stream.close()


def test_init_reaps_and_forwards(alpine: Command) -> None:
    result = alpine("run", "--rm", "--init", "alpine", "ps", "-o", "pid,args")

    first = result.stdout.splitlines()[1]
    assert re.match(r"\s*1\s+/sbin/docker-init", first)


def test_entrypoint_and_command(alpine: Command) -> None:
    assert alpine.output("run", "--rm", "--entrypoint", "echo", "alpine", "a", "b") == "a b"
    assert alpine.output("run", "--rm", "--entrypoint", "", "alpine", "echo", "c") == "c"


def test_deep_into_the_host_is_not_reachable(alpine: Command) -> None:
    """No descriptor or directory of the host is open in the container."""
    result = alpine("run", "--rm", "alpine", "ls", "-l", "/proc/self/fd")

    targets = [line.split(" -> ")[1] for line in result.stdout.splitlines() if " -> " in line]
    assert len(targets) == 3, result.stdout
    assert all(re.match(r"(pipe:|/dev/null|/proc/\d+/fd)", target) for target in targets)
    environment = alpine.output("run", "--rm", "alpine", "env").splitlines()
    assert {item.partition("=")[0] for item in environment} == {"PATH", "HOSTNAME", "HOME"}
