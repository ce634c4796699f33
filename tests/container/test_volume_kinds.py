"""Volumes with options, images that are mounted, binds whose owners are mapped."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def host() -> Iterator[str]:
    """An empty directory of the host."""
    with tempfile.TemporaryDirectory() as path:
        yield path


def create(proa: Command, name: str, **options: str) -> None:
    flags = [item for key, value in options.items() for item in ("--opt", f"{key}={value}")]
    proa("volume", "create", *flags, name)


def test_a_directory_of_the_host(alpine: Command, host: str) -> None:
    create(alpine, "vol", type="none", o="bind", device=host)
    listed = alpine.output("run", "--rm", "-v", "vol:/etc/apk", "alpine", "ls", "/etc/apk")
    assert listed.split() == sorted(os.listdir(host)) and listed
    create(alpine, "ro", type="none", o="bind,ro", device=host)
    refused = alpine("run", "--rm", "-v", "ro:/m", "alpine", "touch", "/m/x", code=1)
    assert "Read-only" in refused.stderr
    alpine("volume", "rm", "vol")
    assert os.listdir(host)
    create(alpine, "gone", type="none", o="bind", device=f"{host}/none")
    result = alpine("run", "--rm", "-v", "gone:/m", "alpine", "true", code=125)
    assert "cannot mount volume gone" in result.stderr and "make its device first" in result.stderr
    relative = alpine("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=x", "no",
                      code=1)  # fmt: skip
    assert "must be an absolute path" in relative.stderr


def test_one_in_memory_is_shared_while_someone_has_it(alpine: Command) -> None:
    create(alpine, "mem", type="tmpfs", device="tmpfs", o="size=1m,mode=1770")
    alpine("run", "-d", "--name", "one", "-v", "mem:/m:nocopy", "alpine", "sh", "-c",
           "echo hi > /m/f; exec sleep 999")  # fmt: skip
    part = "type=volume,src=mem,dst=/p,volume-subpath=f"
    alpine("exec", "one", "sh", "-c", "until [ -s /m/f ]; do :; done")
    script = "cat /k/f; stat -c %a /k; df -k /k | tail -1"
    lines = alpine.output("run", "--rm", "-v", "mem:/k", "alpine", "sh", "-c", script).splitlines()
    assert lines[:2] == ["hi", "1770"] and lines[2].split()[1] == "1024"
    assert alpine.output("run", "--rm", "--mount", part, "alpine", "cat", "/p") == "hi"
    read_only = "type=volume,src=mem,dst=/k,readonly"
    refused = alpine("run", "--rm", "--mount", read_only, "alpine", "touch", "/k/x", code=1)
    assert "Read-only" in refused.stderr
    alpine("rm", "-f", "one")
    assert alpine.output("run", "--rm", "-v", "mem:/k", "alpine", "ls", "/k") == ""
    # it begins empty, whatever the image has there
    assert "world" not in alpine.output(
        "run", "--rm", "-v", "mem:/etc/apk", "alpine", "ls", "/etc/apk"
    )


def test_another_file_system_in_a_file_of_a_device(alpine: Command, host: str) -> None:
    image = f"{host}/disk"
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    loop = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True)
    if loop.returncode:
        pytest.skip("no loop devices")
    device = loop.stdout.strip()
    try:
        create(alpine, "disk", type="ext4", device=device, o="noatime")
        alpine("run", "--rm", "-v", "disk:/d", "alpine", "sh", "-c", "rmdir /d/lost+found")
        # empty now: it is filled
        assert alpine.output("run", "--rm", "-v", "disk:/etc/apk", "alpine", "ls", "-A", "/etc/apk")
        script = "ls -A /d; grep ' /d ' /proc/mounts"
        shown = alpine.output("run", "--rm", "-v", "disk:/d", "alpine", "sh", "-c", script)
        assert "world" in shown and f"{device} /d ext4 rw,noatime" in shown
        mount = "type=volume,src=disk,dst=/w,volume-subpath=world"
        assert "alpine-base" in alpine.output(
            "run", "--rm", "--mount", mount, "alpine", "cat", "/w"
        )
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_what_the_kernel_does_not_have(alpine: Command) -> None:
    create(alpine, "share", type="nosuchfs", device="x", o="a=b")
    result = alpine("run", "--rm", "-v", "share:/n", "alpine", "true", code=125)
    assert "cannot mount volume share (type=nosuchfs" in result.stderr
    assert result.stderr.count("\n") == 1
    assert alpine.output("ps", "-aq") == ""


def test_options_on_the_way(alpine: Command) -> None:
    mount = (
        "type=volume,src=made,dst=/m,volume-driver=local,volume-opt=type=tmpfs,"
        '"volume-opt=o=size=1m,mode=700",volume-opt=device=tmpfs,volume-label=a=b'
    )
    assert (
        alpine.output("run", "--rm", "--mount", mount, "alpine", "stat", "-c", "%a", "/m") == "700"
    )
    shown = json.loads(alpine.output("volume", "inspect", "made"))[0]
    assert shown["Options"] == {"type": "tmpfs", "o": "size=1m,mode=700", "device": "tmpfs"}
    assert shown["Labels"] == {"a": "b"}


def test_an_image(alpine: Command) -> None:
    alpine("tag", "alpine", "tools:1")
    mount = "type=image,source=tools:1,target=/img"
    script = "cat /img/etc/alpine-release; touch /img/x"
    result = alpine("run", "--name", "box", "--mount", mount, "alpine", "sh", "-c", script, code=1)
    assert result.stdout.startswith("3.") and "Read-only" in result.stderr
    part = f"{mount},image-subpath=etc/apk"
    assert "world" in alpine.output("run", "--rm", "--mount", part, "alpine", "ls", "/img")
    nothing = alpine(
        "run", "--rm", "--mount", f"{mount},image-subpath=x", "alpine", "true", code=125
    )
    assert "there is no x in image tools:1" in nothing.stderr
    shown = json.loads(alpine.output("inspect", "box"))[0]["Mounts"][0]
    assert (shown["Type"], shown["Name"], shown["RW"]) == ("image", "tools:1", False)
    # its layers stay as long as the container does
    assert "alpine" in alpine.output("images", "--format", "{{.Repository}}")
    alpine("image", "rm", "-f", "tools:1", "alpine")
    assert alpine("start", "-a", "box", code=1).stdout.startswith("3.")


def test_where_layers_are_copied(alpine: Command) -> None:
    with open(f"{alpine.root}/snapshots", "w") as file:
        file.write("copy")  # as if there were no overlay
    run = ("run", "--rm", "-v", "vol:/etc/apk", "--mount", "type=image,src=alpine,dst=/img")
    script = "diff -r /etc/apk /img/etc/apk; touch /etc/apk/x /img/x"
    result = alpine(*run, "alpine", "sh", "-c", script, code=1)
    assert result.stdout == "" and "Read-only" in result.stderr
    assert {"x", "world"} <= set(os.listdir(f"{alpine.root}/volumes/vol/_data"))


def test_owners_are_mapped(alpine: Command, host: str) -> None:
    os.chown(host, 4321, 4322)
    os.chmod(host, 0o755)
    environment = {**alpine.environment, "SUDO_UID": "4321", "SUDO_GID": "4322"}
    me = Command(alpine.path, alpine.root, environment=environment)
    script = (
        "stat -c %u:%g /m; mkdir /m/made; echo x > /m/made/file; chown 7:8 /m/made/file;"
        " touch /m/root"
    )
    assert (
        me.output("run", "--rm", "-v", f"{host}:/m:map=me", "alpine", "sh", "-c", script) == "0:0"
    )
    owners = {name: os.stat(f"{host}/{name}") for name in ("made", "made/file", "root")}
    assert {name: (found.st_uid, found.st_gid) for name, found in owners.items()} == {
        "made": (4321, 4322), "made/file": (7, 8), "root": (4321, 4322),
    }  # fmt: skip
    # nobody gets at files of the host's root this way, or makes some
    os.mkdir(f"{host}/open")
    os.chmod(f"{host}/open", 0o777)
    script = "stat -c %u /m/open; touch /m/open/x"
    mapped = ("--mount", f"type=bind,src={host},dst=/m,bind-map=me")
    result = me("run", "--rm", "-u", "4321", *mapped, "alpine", "sh", "-c", script, code=1)
    assert result.stdout == "65534\n"
    assert os.listdir(f"{host}/open") == []
    # root itself needs no mapping
    alpine("run", "--rm", "-v", f"{host}:/m:map=me", "alpine", "touch", "/m/of-root")
    assert os.stat(f"{host}/of-root").st_uid == 0
