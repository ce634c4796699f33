"""The ways out of a container that runc's history knows, tried on proa-runtime."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time

import pytest

from tests.runtime.bundle import Bundle, Runtime

pytestmark = pytest.mark.root


def test_the_interpreter_cannot_be_written_to(ours: Runtime, bundle: Bundle) -> None:
    """CVE-2019-5736: a command that is /proc/self/exe executes the runtime itself."""
    link = os.path.join(bundle.rootfs, "bin", "self")
    os.symlink("/proc/self/exe", link)
    bundle.process["args"] = ["/bin/self", "-c", "import time; time.sleep(1000)"]
    bundle.save()
    ours.made.append("box")
    process = subprocess.Popen(
        [ours.path, "--root", ours.root, "run", "--bundle", bundle.directory, "box"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # whether it runs depends on the libraries in the image; if so, its exe is read-only
        time.sleep(0.5)
        if process.poll() is None:
            pid = ours.state()["pid"]
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
                with pytest.raises(OSError):
                    os.open(f"/proc/{pid}/exe", flags)
            assert os.statvfs(f"/proc/{pid}/exe").f_flag & os.ST_RDONLY
    finally:
        ours("delete", "--force", "box", code=None)
        process.wait(10)


def test_init_and_exec_run_from_a_read_only_mount(ours: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    ours.create(bundle)
    pid = ours.state()["pid"]

    assert os.statvfs(f"/proc/{pid}/exe").f_flag & os.ST_RDONLY
    with pytest.raises(OSError):
        os.open(f"/proc/{pid}/exe", os.O_WRONLY)


def test_a_process_that_waits_cannot_be_looked_into(ours: Runtime, bundle: Bundle) -> None:
    """Whoever shares its pid namespace sees neither its descriptors nor its memory."""
    bundle.process["args"] = ["sleep", "1000"]
    ours.start_detached(bundle, "spy")
    pid = ours.state("spy")["pid"]
    bundle.namespace("pid", f"/proc/{pid}/ns/pid")
    ours.create(bundle, "victim")
    script = (
        "for p in /proc/[0-9]*; do [ $p = /proc/1 ] || [ $p = /proc/$$ ] ||"
        " { for l in $p/fd/* $p/exe $p/cwd; do readlink $l || echo denied; done;"
        " head -c 9 $p/maps; } 2>&1; done"
    )
    output = ours("exec", "spy", "sh", "-c", script).stdout

    assert "denied" in output
    assert {line.rpartition(": ")[2] for line in output.splitlines()} <= {
        "denied",
        "Permission denied",
    }


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_proc_and_sys_are_no_links(ours: Runtime, bundle: Bundle, name: str) -> None:
    """CVE-2023-27561, CVE-2023-28642: what is masked in /proc would be elsewhere."""
    path = os.path.join(bundle.rootfs, name)
    os.rmdir(path)
    os.mkdir(os.path.join(bundle.rootfs, "elsewhere"))
    os.symlink("/elsewhere", path)
    assert "link" in ours.refuse(bundle)


@pytest.mark.parametrize("destination", ["/proc/self/attr", "/proc/sys/kernel", "/proc/1"])
def test_nothing_is_mounted_in_proc(ours: Runtime, bundle: Bundle, destination: str) -> None:
    """CVE-2019-16884: a volume over /proc/self/attr keeps labels from being set."""
    directory = os.path.join(bundle.directory, "volume")
    os.mkdir(directory)
    bundle.mount(destination, "bind", directory, "bind")
    assert "/proc" in ours.refuse(bundle)


def test_proc_cannot_be_something_else(ours: Runtime, bundle: Bundle) -> None:
    """CVE-2019-19921 and its kin: a bind mount at /proc that is no procfs."""
    directory = os.path.join(bundle.directory, "volume")
    os.makedirs(os.path.join(directory, "self"))
    bundle.mount("/proc", "bind", directory, "rbind")
    assert "/proc" in ours.refuse(bundle)


@pytest.mark.parametrize("number", range(3, 12))
def test_a_working_directory_by_descriptor(ours: Runtime, bundle: Bundle, number: int) -> None:
    """CVE-2024-21626: a directory of the host that is still open would be reached."""
    bundle.process["cwd"] = f"/proc/self/fd/{number}"
    bundle.shell("pwd; ls ../../../../../../../etc/shadow")
    bundle.save()
    ours.made.append("box")
    result = ours("run", "--bundle", bundle.directory, "box", code=None)
    assert result.returncode != 0
    assert "shadow\n" not in result.stdout


@pytest.mark.parametrize("number", range(3, 12))
def test_a_command_by_descriptor(ours: Runtime, bundle: Bundle, number: int) -> None:
    bundle.process["args"] = [f"/proc/self/fd/{number}/../../../../../bin/bash", "-c", "true"]
    ours.refuse(bundle)
    bundle.process["args"] = ["sleep", "1000"]
    ours.start_detached(bundle)
    result = ours("exec", "--cwd", f"/proc/self/fd/{number}", "box", "ls", code=None)
    assert result.returncode != 0
    ours("delete", "--force", "box")


def test_a_mount_target_that_leads_out_stays_in(ours: Runtime, bundle: Bundle) -> None:
    """Links in the image, absolute and with `..`, are the container's, not the host's."""
    outside = os.path.join(bundle.directory, "outside")
    volume = os.path.join(bundle.directory, "volume")
    os.mkdir(outside)
    os.mkdir(volume)
    os.symlink(outside, os.path.join(bundle.rootfs, "absolute"))
    os.symlink("../../../../../.." + outside, os.path.join(bundle.rootfs, "relative"))
    for name in ("absolute", "relative"):
        bundle.spec["mounts"] = bundle.spec["mounts"][:4]
        bundle.mount(f"/{name}/made", "bind", volume, "bind")
        bundle.process["args"] = ["true"]
        bundle.save()
        ours("run", "--bundle", bundle.directory, "box", code=None)
        assert os.listdir(outside) == []


def test_targets_exchanged_for_links_meanwhile(ours: Runtime, bundle: Bundle) -> None:
    """CVE-2021-30465: another container swaps a directory of a shared volume for a link."""
    volume = os.path.join(bundle.directory, "volume")
    canary = os.path.join(bundle.directory, "canary")
    os.makedirs(os.path.join(volume, "a"))
    os.mkdir(canary)
    bundle.mount("/shared", "bind", volume, "rbind")
    bundle.mount("/shared/a/b", "tmpfs", "tmpfs")
    bundle.process["args"] = ["true"]
    bundle.save()
    stop = threading.Event()

    def exchange() -> None:
        link = os.path.join(volume, "link")
        target = os.path.join(volume, "a")
        while not stop.is_set():
            try:
                shutil.rmtree(target, ignore_errors=True)
                os.symlink("/../../../../.." + canary, link)
                os.rename(link, target)
                os.unlink(target)
                os.mkdir(target)
            except OSError:
                continue

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for _ in range(30):
            ours("run", "--bundle", bundle.directory, "box", code=None)
            assert os.listdir(canary) == []
    finally:
        stop.set()
        thread.join()
    with open("/proc/self/mountinfo") as file:
        assert canary not in file.read()


def test_masks_are_the_host_s_null_device(ours: Runtime, bundle: Bundle) -> None:
    """CVE-2025-31133: an image's /dev/null that is something else is not what masks files."""
    with open(os.path.join(bundle.rootfs, "fake"), "w") as file:
        file.write("not empty\n")
    bundle.spec["mounts"] = [
        m for m in bundle.spec["mounts"] if not m["destination"].startswith("/dev")
    ]
    os.makedirs(os.path.join(bundle.rootfs, "dev"), exist_ok=True)
    os.symlink("/fake", os.path.join(bundle.rootfs, "dev", "null"))
    bundle.linux["maskedPaths"] = ["/proc/version"]
    bundle.shell("cat /proc/version; stat -c %F /proc/version")
    output = ours("run", "--bundle", bundle.directory, "box", code=None)
    bundle.save()
    output = ours("run", "--bundle", bundle.directory, "box", code=None)
    assert output.returncode != 0 or output.stdout == "character special file\n"


def test_the_console_is_not_followed(ours: Runtime, bundle: Bundle) -> None:
    """CVE-2025-52565: /dev/console of the image leads elsewhere."""
    bundle.process["terminal"] = True
    outside = os.path.join(bundle.directory, "outside")
    with open(outside, "w") as file:
        file.write("untouched")
    bundle.spec["mounts"] = [m for m in bundle.spec["mounts"] if m["destination"] != "/dev"]
    os.makedirs(os.path.join(bundle.rootfs, "dev", "pts"), exist_ok=True)
    os.symlink(outside, os.path.join(bundle.rootfs, "dev", "console"))
    bundle.process["args"] = ["sh", "-c", "echo written > /dev/console"]
    bundle.save()
    subprocess.run(
        [
            *("script", "-qec"),
            f"{ours.path} --root {ours.root} run --bundle {bundle.directory} box",
            "/dev/null",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=20,
        check=False,
    )
    with open(outside) as file:
        assert file.read() == "untouched"


def test_parameters_are_written_to_the_container_s_proc(ours: Runtime, bundle: Bundle) -> None:
    """CVE-2025-52881: a link or a mount in the way of /proc/sys redirects what is written."""
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.mount("/proc/sys/net/ipv4/ip_forward", "tmpfs", "tmpfs")
    assert "/proc" in ours.refuse(bundle)


def test_inheritable_capabilities_are_as_asked(ours: Runtime, bundle: Bundle) -> None:
    """CVE-2022-29162: exec gave inheritable capabilities that nobody asked for."""
    bundle.process["args"] = ["sleep", "1000"]
    ours.start_detached(bundle)
    output = ours("exec", "box", "grep", "CapInh", "/proc/self/status").stdout
    assert int(output.split()[1], 16) == 0


def test_cgroups_are_read_only_and_not_the_host_s(ours: Runtime, bundle: Bundle) -> None:
    """CVE-2023-25809, CVE-2022-0492: a cgroup file that executes something on the host."""
    bundle.namespace("cgroup")
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev")
    bundle.shell(
        "for f in $(find /sys/fs/cgroup -name release_agent -o -name cgroup.procs); do"
        " (echo 1 > $f) 2>/dev/null && echo written $f; done; echo done"
    )
    assert ours.run(bundle) == "done\n"


def test_no_descriptor_of_the_host_is_open(ours: Runtime, bundle: Bundle) -> None:
    bundle.shell("ls -l /proc/self/fd /proc/1/fd | grep -e '->' | grep -v -e pipe: -e /dev/null")
    bundle.save()
    ours.made.append("box")
    assert "/" not in ours("run", "--bundle", bundle.directory, "box", code=None).stdout
