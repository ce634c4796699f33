"""What is mounted: -v, --mount, --tmpfs, --read-only."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def host() -> Iterator[str]:
    """A directory of the host with a file in it."""
    with tempfile.TemporaryDirectory() as path:
        with open(f"{path}/file", "w") as file:
            file.write("content\n")
        yield path


@pytest.fixture
def nested(host: str) -> Iterator[str]:
    """The same with a tmpfs mounted below it, both shared with nobody."""
    os.mkdir(f"{host}/sub")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{host}/sub"], check=True)
    try:
        with open(f"{host}/sub/inner", "w") as file:
            file.write("inner\n")
        yield host
    finally:
        subprocess.run(["umount", f"{host}/sub"], check=True)


def shell(proa: Command, *arguments: str, code: int = 0) -> str:
    *flags, script = arguments
    result = proa("run", "--rm", *flags, "alpine", "sh", "-c", script, code=code)
    return result.stdout


def test_a_bind_mount(alpine: Command, host: str) -> None:
    assert shell(alpine, "-v", f"{host}:/m", "cat /m/file; echo new > /m/made") == "content\n"
    with open(f"{host}/made") as file:
        assert file.read() == "new\n"
    assert shell(alpine, "-v", f"{host}/file:/deep/er/name", "cat /deep/er/name") == "content\n"


def test_a_read_only_one(alpine: Command, host: str) -> None:
    for flag in (("-v", f"{host}:/m:ro"), ("--mount", f"type=bind,src={host},dst=/m,readonly")):
        assert shell(alpine, *flag, "touch /m/x 2>&1; mount | grep -c '/m .*(ro'").endswith("1\n")
    assert os.listdir(host) == ["file"]


def test_read_only_reaches_mounts_below(alpine: Command, nested: str) -> None:
    assert shell(alpine, "-v", f"{nested}:/m:ro", "cat /m/sub/inner; touch /m/sub/x 2>&1 || echo no"
                 ).splitlines()[::2] == ["inner", "no"]  # fmt: skip
    writable = f"type=bind,src={nested},dst=/m,readonly,bind-recursive=writable"
    assert shell(alpine, "--mount", writable, "touch /m/sub/x && echo yes") == "yes\n"
    alone = f"type=bind,src={nested},dst=/m,bind-recursive=disabled"
    assert shell(alpine, "--mount", alone, "ls /m/sub") == ""


def test_propagation(alpine: Command, host: str) -> None:
    refused = alpine("run", "--rm", "-v", f"{host}:/m:rshared", "alpine", "true", code=125)
    assert "it is not a shared mount" in refused.stderr
    subprocess.run(["mount", "--bind", host, host], check=True)
    subprocess.run(["mount", "--make-shared", host], check=True)
    try:
        os.mkdir(f"{host}/sub")
        alpine("run", "-d", "--name", "slave", "-v", f"{host}:/m:rslave", "alpine", "sleep", "999")
        alpine("run", "-d", "--name", "private", "-v", f"{host}:/m", "alpine", "sleep", "999")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{host}/sub"], check=True)
        with open(f"{host}/sub/late", "w"):
            pass
        assert alpine.output("exec", "slave", "ls", "/m/sub") == "late"
        assert alpine.output("exec", "private", "ls", "/m/sub") == ""
        subprocess.run(["umount", f"{host}/sub"], check=True)
        alpine("run", "--rm", "--cap-add", "SYS_ADMIN", "-v", f"{host}:/m:rshared", "alpine",
               "mount", "-t", "tmpfs", "tmpfs", "/m/sub")  # fmt: skip
        with open("/proc/self/mountinfo") as file:
            assert f"{host}/sub" in file.read()
        subprocess.run(["umount", f"{host}/sub"], check=True)
    finally:
        alpine("rm", "-f", "slave", "private", code=None)
        subprocess.run(["umount", host], check=True)


def test_sources_that_are_not_there(alpine: Command, host: str) -> None:
    assert shell(alpine, "-v", f"{host}/new/er:/m", "ls -d /m") == "/m\n"
    assert os.path.isdir(f"{host}/new/er")
    result = alpine(
        "run", "--rm", "--mount", f"type=bind,src={host}/none,dst=/m", "alpine", "true", code=125
    )
    assert f"bind source path does not exist: {host}/none" in result.stderr


def test_relative_sources(alpine: Command, host: str) -> None:
    result = subprocess.run(
        alpine.argv("run", "--rm", "-v", "./file:/f", "alpine", "cat", "/f"),
        cwd=host, capture_output=True, text=True, check=True, env=alpine.environment,
    )  # fmt: skip
    assert result.stdout == "content\n"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-v", "/a:/m:bogus"), "invalid mode: bogus"),
        (("-v", "/tmp:/"), "destination can't be '/'"),
        (("-v", "/tmp:m"), "mount path must be absolute"),
        (("-v", "/tmp:/m", "-v", "/var:/m"), "duplicate mount point: /m"),
        (("-v", "a name:/m"), "includes invalid characters for a volume name"),
        (("-v", "n:/m"), "is too short"),
        (("-v", "name:/m:rshared"), "invalid mode: rshared"),
        (("-v", "/tmp:/m:nocopy"), "nocopy is for named volumes"),
        (("-v", "/tmp:/m:map=root"), "invalid mode: map=root"),
        (("--mount", "type=volume,src=/tmp,dst=/m"), "did you mean type=bind?"),
        (("--mount", "type=bind,src=/tmp,dst=/m,volume-nocopy"), "cannot mix 'volume-*' options"),
        (("--mount", "src=name,dst=/m,volume-subpath=../x"), "it must be a relative path"),
        (("--mount", "src=name,dst=/m,volume-driver=x"), "volume driver x: there are no plugins"),
        (("--volume-driver", "x", "-v", "name:/m"), "volume driver x: there are no plugins"),
        (("--mount", "dst=/m,volume-opt=type=nfs"), 'missing required option: "device"'),
        (("--mount", "type=image,src=nosuch,dst=/m"), "no such image: nosuch"),
        (("--mount", "type=bind,dst=/m"), "source is required"),
        (("--mount", "type=wrong,src=/tmp,dst=/m"), "mount type unknown"),
        (("--tmpfs", "relative"), "mount path must be absolute"),
        (("--storage-opt", "size=1G"), "--storage-opt is not available"),
    ],
)
def test_what_is_refused(alpine: Command, flags: tuple[str, ...], said: str) -> None:
    result = alpine("run", "--rm", *flags, "alpine", "true", code=125)

    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert alpine.output("ps", "-aq") == alpine.output("volume", "ls", "-q") == ""


def test_tmpfs(alpine: Command, images_dir: str) -> None:
    script = "stat -c '%a %T' /t /opt; stat -f -c %T /t; ls /etc/apk | head -1; df -k /s | tail -1"
    lines = shell(
        alpine, "--tmpfs", "/t", "--tmpfs", "/opt", "--tmpfs", "/etc/apk",
        "--tmpfs", "/s:size=1m,mode=700", script,
    ).splitlines()  # fmt: skip

    assert [line.split()[0] for line in lines[:3]] == ["1777", "755", "tmpfs"]
    assert lines[-1].split()[1] == "1024"
    # empty as with Docker; with the option that runc and podman know, a copy of what it covers
    assert shell(alpine, "--tmpfs", "/etc/apk", "ls /etc/apk") == ""
    assert "arch" in shell(alpine, "--tmpfs", "/etc/apk:tmpcopyup", "ls /etc/apk")
    mount = "type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1770"
    assert shell(alpine, "--mount", mount, "stat -c %a /x") == "1770\n"
    assert "noexec" in shell(alpine, "--tmpfs", "/t", "mount | grep ' /t '")
    assert "noexec" not in shell(alpine, "--tmpfs", "/t:exec", "mount | grep ' /t '")


def test_the_container_s_own_files_lie_over_a_mount_at_etc(alpine: Command) -> None:
    found = set(shell(alpine, "--tmpfs", "/etc", "ls /etc").split())
    assert {"hostname", "hosts", "resolv.conf"} <= found


def test_read_only(alpine: Command) -> None:
    script = (
        "touch /x 2>/dev/null || echo ro; touch /run/y /dev/shm/z && echo rw;"
        " echo > /etc/hosts && echo hosts"
    )
    assert shell(alpine, "--read-only", "--tmpfs", "/run", script) == "ro\nrw\nhosts\n"


def test_the_mounts_of_other_containers(alpine: Command, host: str) -> None:
    alpine("create", "--name", "one", "-v", f"{host}:/m", "--tmpfs", "/t", "--mount",
           f"type=bind,src={host}/file,dst=/f,readonly", "alpine")  # fmt: skip
    script = "cat /f; grep -c ' /t ' /proc/mounts; touch /m/x 2>&1 && rm /m/x"
    assert shell(alpine, "--volumes-from", "one", script) == "content\n0\n"
    assert "Read-only" in shell(alpine, "--volumes-from", "one:ro", script, code=1)
    # what is said counts more than what is taken over
    assert shell(alpine, "--volumes-from", "one", "--tmpfs", "/m", "ls /m") == ""
    alpine("create", "--name", "two", "--volumes-from", "one", "alpine")
    assert shell(alpine, "--volumes-from", "two", "cat /m/file") == "content\n"
    shown = "{{len .Mounts}} {{.HostConfig.Binds}} {{.HostConfig.VolumesFrom}}"
    assert alpine.output("inspect", "-f", shown, "two") == "2 [] [one]"
    for wrong, said in (("nosuch", "no such container"), ("one:x", "write CONTAINER")):
        result = alpine("run", "--rm", "--volumes-from", wrong, "alpine", "true", code=125)
        assert said in result.stderr
