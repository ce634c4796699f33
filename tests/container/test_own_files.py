"""The files that a container has of its own: /.dockerenv, and three in /etc."""

from __future__ import annotations

import os

import pytest

from tests.support import images
from tests.support.command import Command

pytestmark = pytest.mark.root
OWN = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def shown(proa: Command, *flags: str, files: tuple[str, ...] = OWN) -> list[str]:
    """The files as a container with these flags sees them."""
    script = f"for name in {' '.join(files)}; do cat $name; echo --; done"
    text = proa("run", "--rm", *flags, "alpine", "sh", "-c", script).stdout
    return text.split("--\n")[:-1]


def test_programs_see_by_a_file_that_they_are_in_a_container(alpine: Command) -> None:
    alpine("run", "--name", "box", "alpine", "sh", "-c", "test -f /.dockerenv -a ! -s /.dockerenv")
    alpine("run", "--rm", "--read-only", "alpine", "test", "-f", "/.dockerenv")
    # it is as little the container's change as it is the image's
    assert ".dockerenv" not in os.listdir(changed(alpine, "box"))
    alpine("run", "--rm", "alpine", "rm", "/.dockerenv")
    alpine("run", "--rm", "alpine", "test", "-f", "/.dockerenv")


def changed(proa: Command, name: str) -> str:
    """Where what the container has changed lies."""
    return proa.output("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", name)


def test_what_is_mounted_on_is_no_change(alpine: Command) -> None:
    alpine("run", "--name", "box", "alpine", "true")
    assert os.listdir(changed(alpine, "box")) == []


def test_an_image_without_any_of_it(proa: Command) -> None:
    busybox = images.busybox()
    if busybox is None:
        pytest.skip("no statically linked busybox")
    with open(busybox, "rb") as file:
        layer = images.layer([images.Entry("busybox", file.read(), 0o755)])
    archive = f"{proa.root}/archive"
    with open(archive, "wb") as file:
        file.write(images.docker_archive([layer], "bare:latest"))
    proa("load", "-i", archive)
    os.unlink(archive)
    script = "cd /; /busybox ls -A; /busybox cat /etc/hostname; /busybox readlink /etc/mtab"
    text = proa.output("run", "--name", "box", "-h", "me", "bare", "/busybox", "sh", "-c", script)
    assert text.split() == [".dockerenv", "busybox", "dev", "etc", "proc", "sys", "me",
                            "/proc/mounts"]  # fmt: skip
    assert os.listdir(changed(proa, "box")) == []


def test_an_image_s_own_files_count_more(proa: Command) -> None:
    if images.busybox() is None:
        pytest.skip("no statically linked busybox")
    layer = images.layer(
        [
            images.folder("etc", 0o700),
            images.symlink("sys", "etc"),
            images.symlink("etc/mtab", "elsewhere"),
        ]
    )
    archive = f"{proa.root}/archive"
    with open(archive, "wb") as file:
        file.write(images.docker_archive([images.busybox_layer(), layer], "odd:latest"))
    proa("load", "-i", archive)
    os.unlink(archive)
    refused = proa("run", "--rm", "odd", "true", code=125)
    assert "/sys of the root file system is reached by a symbolic link" in refused.stderr


def test_with_a_network_of_its_own(alpine: Command) -> None:
    for flags in ((), ("--network", "none")):
        hostname, hosts, servers = shown(alpine, "-h", "me", "--add-host", "db:10.1.2.3", *flags)
        assert hostname == "me\n"
        assert hosts.startswith("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
        own = "" if flags else "172.17.0.2\tme\n"
        assert hosts.endswith(f"10.1.2.3\tdb\n{own}")
        assert "nameserver 127." not in servers
    dns = ("--dns", "1.2.3.4", "--dns-search", "a.example", "--dns-option", "ndots:3")
    assert shown(alpine, *dns)[2] == "search a.example\nnameserver 1.2.3.4\noptions ndots:3\n"


def test_with_the_host_s_network(alpine: Command) -> None:
    hostname, hosts, servers = shown(alpine, "--network", "host", "--add-host", "db:10.1.2.3")
    assert hostname == os.uname().nodename + "\n"
    assert hosts == read("/etc/hosts") + "10.1.2.3\tdb\n"
    assert servers == read("/etc/resolv.conf")


def test_with_the_network_of_another_container(alpine: Command) -> None:
    alpine("run", "-d", "--name", "first", "-h", "one", "--add-host", "db:10.1.2.3",
           "--dns", "1.2.3.4", "alpine", "sleep", "1000")  # fmt: skip
    own = alpine("exec", "first", "cat", *OWN).stdout
    assert "".join(shown(alpine, "--network", "container:first")) == own
    # they are the same files, not copies
    alpine("exec", "first", "sh", "-c", "echo 10.9.9.9 later >> /etc/hosts")
    alpine("run", "-d", "--name", "second", "--network", "container:first", "alpine",
           "sleep", "1000")  # fmt: skip
    alpine("exec", "second", "sh", "-c", "echo 10.9.9.8 last >> /etc/hosts")
    assert alpine.output("exec", "first", "tail", "-n", "2", "/etc/hosts").split() == [
        "10.9.9.9", "later", "10.9.9.8", "last"]  # fmt: skip
    alpine("rm", "-f", "first")
    assert alpine.output("exec", "second", "cat", "/etc/hostname") == "one"


def test_they_can_be_written_but_not_replaced(alpine: Command) -> None:
    script = "echo 1.2.3.4 me >> /etc/hosts && tail -n 1 /etc/hosts; rm /etc/hosts"
    result = alpine("run", "--rm", "alpine", "sh", "-c", script, code=1)
    assert result.stdout == "1.2.3.4 me\n"
    assert "Resource busy" in result.stderr
