"""Namespaces, user ids, mounts, devices."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from tests.runtime.bundle import Bundle, Runtime

pytestmark = pytest.mark.root
KINDS = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt"}


def mountinfo(text: str) -> dict[str, list[str]]:
    """Mount point → the fields of its line in /proc/PID/mountinfo."""
    return {line.split()[4]: line.split() for line in text.splitlines()}


def test_namespaces_are_new(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("cgroup")
    script = "; ".join(f"readlink /proc/self/ns/{name}" for name in (*KINDS.values(), "cgroup"))
    bundle.shell(script)
    for line, name in zip(
        runtime.run(bundle).splitlines(), (*KINDS.values(), "cgroup"), strict=True
    ):
        assert line != os.readlink(f"/proc/self/ns/{name}")


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid"])
def test_the_host_s_namespace(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    bundle.without(kind)
    if kind == "uts":
        del bundle.spec["hostname"]
    name = KINDS[kind]
    bundle.process["args"] = ["readlink", f"/proc/self/ns/{name}"]
    assert runtime.run(bundle).strip() == os.readlink(f"/proc/self/ns/{name}")


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid"])
def test_a_namespace_joined_by_path(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    runtime.start_detached(bundle, "first")
    pid = runtime.state("first")["pid"]
    name = KINDS[kind]
    bundle.namespace(kind, f"/proc/{pid}/ns/{name}")
    if kind == "uts":
        del bundle.spec["hostname"]
    bundle.process["args"] = ["readlink", f"/proc/self/ns/{name}"]
    assert runtime.run(bundle, "second").strip() == os.readlink(f"/proc/{pid}/ns/{name}")


def test_host_name(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["hostname"]
    assert runtime.run(bundle) == "box\n"


@pytest.mark.beyond_runc("1.1.5 of Debian knows no domainname")
def test_domain_name(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["domainname"] = "example.org"
    bundle.process["args"] = ["cat", "/proc/sys/kernel/domainname"]
    assert runtime.run(bundle) == "example.org\n"


def test_loopback_is_up(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["ping", "-c", "1", "-W", "2", "127.0.0.1"]
    bundle.process["capabilities"]["bounding"].append("CAP_NET_RAW")
    bundle.process["capabilities"]["effective"].append("CAP_NET_RAW")
    bundle.process["capabilities"]["permitted"].append("CAP_NET_RAW")
    runtime.run(bundle)


@pytest.mark.beyond_runc("1.1 knows no time namespace")
def test_time_offsets(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1_000_000}}
    bundle.process["args"] = ["cat", "/proc/uptime"]
    assert float(runtime.run(bundle).split()[0]) > 1_000_000


def test_sysctl(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "77", "kernel.msgmax": "9999"}
    bundle.shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax")
    assert runtime.run(bundle).split() == ["77", "9999"]
    bundle.linux["sysctl"] = {"vm.swappiness": "1"}
    assert "vm.swappiness" in runtime.refuse(bundle)


def with_users(bundle: Bundle) -> None:
    """A user namespace; its root owns the root file system."""
    bundle.namespace("user")
    bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
    for directory, names, files in os.walk(bundle.rootfs):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            os.lchown(path, status.st_uid + 100000, status.st_gid + 200000)
    os.chown(bundle.rootfs, 100000, 200000)
    # others have to get through to it
    parent = bundle.directory
    for _ in range(2):
        os.chmod(parent, 0o755)
        parent = os.path.dirname(parent)


def test_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    with_users(bundle)
    bundle.shell(
        "id -u; cat /proc/self/uid_map; cat /proc/self/gid_map; touch /made; mount | grep -c proc"
    )
    lines = [line.split() for line in runtime.run(bundle).splitlines()]

    assert lines[:3] == [["0"], ["0", "100000", "65536"], ["0", "200000", "65536"]]
    status = os.stat(os.path.join(bundle.rootfs, "made"))
    assert (status.st_uid, status.st_gid) == (100000, 200000)


def test_exec_in_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    with_users(bundle)
    bundle.process["args"] = ["sleep", "1000"]
    runtime.start_detached(bundle)
    assert runtime("exec", "box", "id", "-u").stdout == "0\n"
    assert runtime("exec", "box", "cat", "/proc/self/uid_map").stdout.split()[1] == "100000"


def test_bind_mounts(runtime: Runtime, bundle: Bundle) -> None:
    shared = os.path.join(bundle.directory, "shared")
    os.makedirs(os.path.join(shared, "sub"))
    with open(os.path.join(shared, "file"), "w") as file:
        file.write("of the host\n")
    bundle.mount("/rw", "bind", shared, "bind", "rw")
    bundle.mount("/ro", "bind", shared, "bind", "ro", "nosuid", "nodev", "noexec")
    bundle.mount("/one", "bind", os.path.join(shared, "file"), "bind")
    bundle.mount("/relative", "bind", "shared", "rbind")
    bundle.shell(
        "cat /one /relative/file; echo x > /rw/new; echo y > /ro/new || echo refused;"
        " cat /proc/self/mountinfo"
    )
    output = runtime.run(bundle)

    assert output.startswith("of the host\nof the host\nrefused\n")
    with open(os.path.join(shared, "new")) as file:
        assert file.read() == "x\n"
    options = mountinfo(output.partition("refused\n")[2])["/ro"][5].split(",")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options)


def test_tmpfs_and_a_read_only_root(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["root"]["readonly"] = True
    bundle.mount("/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "noexec", "size=64k", "mode=1777")
    bundle.shell(
        "touch /x || echo refused; touch /tmp/x && stat -c %a /tmp;"
        "dd if=/dev/zero of=/tmp/big bs=1k count=100 2>/dev/null || echo full"
    )
    assert runtime.run(bundle).split() == ["refused", "1777", "full"]


@pytest.mark.beyond_runc("1.1 knows no recursive attributes before Linux 5.12's are tried")
def test_recursive_read_only(runtime: Runtime, bundle: Bundle) -> None:
    shared = os.path.join(bundle.directory, "shared")
    os.makedirs(os.path.join(shared, "sub"))
    subprocess.run(["mount", "-t", "tmpfs", "sub", os.path.join(shared, "sub")], check=True)
    try:
        bundle.mount("/plain", "bind", shared, "rbind", "ro")
        bundle.mount("/all", "bind", shared, "rbind", "rro")
        bundle.shell(
            "touch /plain/x || echo 1; touch /plain/sub/x && echo 2; touch /all/sub/y || echo 3"
        )
        assert runtime.run(bundle).split() == ["1", "2", "3"]
    finally:
        subprocess.run(["umount", os.path.join(shared, "sub")], check=True)


@pytest.mark.beyond_runc("1.1 knows no idmapped mounts")
def test_idmapped_mount(runtime: Runtime, bundle: Bundle) -> None:
    shared = os.path.join(bundle.directory, "shared")
    os.mkdir(shared)
    os.chown(shared, 1000, 1000)
    mapping = [{"containerID": 1000, "hostID": 0, "size": 1}]
    bundle.mount(
        "/mapped", "bind", shared, "bind", "idmap", uidMappings=mapping, gidMappings=mapping
    )
    bundle.shell("stat -c %u /mapped; touch /mapped/made")
    assert runtime.run(bundle).split() == ["0"]
    assert os.stat(os.path.join(shared, "made")).st_uid == 1000


def test_masked_and_read_only_paths(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell(
        "cat /proc/keys | wc -c; ls /sys/firmware | wc -l;"
        "echo 0 > /proc/sys/net/ipv4/ip_forward || echo refused"
    )
    assert runtime.run(bundle).split() == ["0", "0", "refused"]


def test_default_devices(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell(
        "for f in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$f; done;"
        "for l in fd stdin ptmx; do readlink /dev/$l; done;"
        "echo x > /dev/null && head -c 1 /dev/zero | wc -c"
    )
    assert runtime.run(bundle).splitlines() == [
        "/dev/null 1:3 666",
        "/dev/zero 1:5 666",
        "/dev/full 1:7 666",
        "/dev/random 1:8 666",
        "/dev/urandom 1:9 666",
        "/dev/tty 5:0 666",
        "/proc/self/fd",
        "/proc/self/fd/0",
        "pts/ptmx",
        "1",
    ]


def test_devices_of_the_spec_and_their_rules(runtime: Runtime, bundle: Bundle) -> None:
    names: list[str] = ["CAP_MKNOD"]
    for found in bundle.process["capabilities"].values():
        found.extend(names)
    device: dict[str, Any] = {"type": "c", "major": 10, "minor": 235}
    bundle.linux["devices"] = [{"path": "/dev/mounter", **device, "fileMode": 0o640, "gid": 4}]
    bundle.linux["resources"]["devices"].append({"allow": True, **device, "access": "r"})
    bundle.shell(
        "stat -c '%t:%T %a %g' /dev/mounter; exec 3< /dev/mounter && echo readable;"
        "(exec 3> /dev/mounter) 2> /dev/null || echo not writable;"
        "mknod /m c 1 1 && (exec 3< /m) 2> /dev/null || echo no memory"
    )
    assert runtime.run(bundle).splitlines() == [
        "a:eb 640 4",
        "readable",
        "not writable",
        "no memory",
    ]


@pytest.mark.parametrize(("propagation", "expected"), [("", "master"), ("private", "")])
def test_root_propagation(
    runtime: Runtime, bundle: Bundle, propagation: str, expected: str
) -> None:
    # a mount of its own that is shared, as most hosts have it
    subprocess.run(["mount", "--bind", bundle.rootfs, bundle.rootfs], check=True)
    try:
        subprocess.run(["mount", "--make-shared", bundle.rootfs], check=True)
        bundle.linux["rootfsPropagation"] = propagation
        bundle.process["args"] = ["cat", "/proc/self/mountinfo"]
        optional = mountinfo(runtime.run(bundle))["/"][6]
        assert optional.partition(":")[0] == (expected or "-")
    finally:
        subprocess.run(["umount", bundle.rootfs], check=True)


def test_nothing_is_mounted_on_the_host(runtime: Runtime, bundle: Bundle) -> None:
    with open("/proc/self/mountinfo") as file:
        before = file.read()
    bundle.mount("/tmp", "tmpfs", "tmpfs")
    bundle.process["args"] = ["sleep", "1000"]
    runtime.start_detached(bundle)
    with open("/proc/self/mountinfo") as file:
        assert file.read() == before


def test_no_pivot(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["ls", "/"]
    assert "bin" in runtime.run(bundle, "box", "--no-pivot").split()
