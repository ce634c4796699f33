"""`inspect` of a container: what it says is so, and has Docker's shape."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


def inspected(proa: Command, name: str) -> dict[str, Any]:
    (found,) = json.loads(proa.output("inspect", name))
    assert isinstance(found, dict)
    return found


def test_where_the_files_are(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sh", "-c", "echo new > /made; sleep 1000")
    alpine("exec", "box", "sh", "-c", "until [ -s /made ]; do sleep 0.01; done")
    data = inspected(alpine, "box")["GraphDriver"]["Data"]

    assert os.listdir(data["UpperDir"]) == ["made"]
    assert os.path.isdir(data["WorkDir"])
    for path in (f"{data['MergedDir']}/made", f"{data['UpperDir']}/made"):
        with open(path) as file:
            assert file.read() == "new\n"
    lower = data["LowerDir"].split(":")
    assert all(os.path.isdir(path) for path in lower)
    assert any(os.path.lexists(f"{path}/bin/sh") for path in lower)
    assert os.path.exists(f"{lower[-1]}/.dockerenv")

    network = inspected(alpine, "box")["NetworkSettings"]["SandboxKey"]
    assert os.readlink(network) == alpine.output("exec", "box", "readlink", "/proc/self/ns/net")
    alpine("stop", "-t", "0", "box")
    stopped = inspected(alpine, "box")
    assert stopped["GraphDriver"]["Data"] == {**data, "MergedDir": ""}
    assert stopped["NetworkSettings"]["SandboxKey"] == ""


def test_paths_lead_to_the_container_s_files(alpine: Command) -> None:
    alpine("run", "--name", "box", "alpine", "echo", "hi")
    found = inspected(alpine, "box")
    for key, inside in (("HostsPath", "hosts"), ("HostnamePath", "hostname"),
                        ("ResolvConfPath", "resolv.conf")):  # fmt: skip
        with open(found[key]) as file:
            content = file.read()
        alpine("start", "box")
        assert content == alpine.output("run", "--rm", "-h", found["Config"]["Hostname"], "alpine",
                                        "cat", f"/etc/{inside}") + "\n"  # fmt: skip
    with open(found["LogPath"]) as file:
        assert json.loads(file.readline())["log"] == "hi\n"


def test_mounts_as_they_were_said(alpine: Command) -> None:
    alpine(
        *("create", "--name", "box", "-v", "/tmp:/a:ro", "-v", "/var:/b"),
        *("--mount", "type=bind,src=/var,dst=/c,readonly,bind-recursive=writable"),
        *("--mount", "type=bind,src=/var,dst=/d,bind-recursive=disabled"),
        *("--mount", "type=tmpfs,dst=/e,tmpfs-size=1m,tmpfs-mode=700", "--tmpfs", "/f:size=2m"),
        "alpine",
    )
    found = inspected(alpine, "box")
    host = found["HostConfig"]

    assert host["Binds"] == ["/tmp:/a:ro", "/var:/b"]
    assert host["Tmpfs"] == {"/f": "size=2m"}
    assert host["Mounts"] == [
        {"Type": "bind", "Source": "/var", "Target": "/c", "ReadOnly": True,
         "BindOptions": {"ReadOnlyNonRecursive": True}},
        {"Type": "bind", "Source": "/var", "Target": "/d", "BindOptions": {"NonRecursive": True}},
        {"Type": "tmpfs", "Target": "/e", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}},
    ]  # fmt: skip
    shown = [(item["Destination"], item["Mode"], item["RW"]) for item in found["Mounts"]]
    assert shown == [("/a", "ro", False), ("/b", "", True), ("/c", "", False), ("/d", "", True),
                     ("/e", "", True)]  # fmt: skip


def test_what_is_not_said_is_not_there(alpine: Command) -> None:
    alpine("create", "--name", "box", "alpine")
    host = inspected(alpine, "box")["HostConfig"]
    assert not {"Annotations", "Init", "Mounts", "StorageOpt", "Sysctls", "Tmpfs"} & set(host)
    assert host["Binds"] is None


def test_capabilities_have_their_full_names(alpine: Command) -> None:
    alpine("create", "--name", "box", "--cap-add", "net_admin", "--cap-add", "CAP_SYS_TIME",
           "--cap-drop", "all", "alpine")  # fmt: skip
    host = inspected(alpine, "box")["HostConfig"]
    assert host["CapAdd"] == ["CAP_NET_ADMIN", "CAP_SYS_TIME"]
    assert host["CapDrop"] == ["ALL"]


def test_the_environment_is_in_docker_s_order(alpine: Command) -> None:
    flags = ("-e", "A=b", "-e", "PATH=/bin:/usr/bin", "-e", "A=c", "-h", "me")
    alpine("run", "--name", "box", *flags, "alpine", "env")
    assert alpine.output("logs", "box").splitlines() == [
        "PATH=/bin:/usr/bin", "HOSTNAME=me", "A=c", "HOME=/root"]  # fmt: skip
    assert inspected(alpine, "box")["Config"]["Env"] == ["A=c", "PATH=/bin:/usr/bin"]


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{.HostConfig.Binds}} {{len .HostConfig.Binds}}", "[] 0"),
        ("{{range .HostConfig.Binds}}x{{else}}none{{end}}", "none"),
        ("{{json .HostConfig.Binds}} {{json .Config.Volumes}}", "null null"),
        ("{{.Config.Volumes}} {{.Config.Entrypoint}} {{.ExecIDs}}", "map[] [] []"),
        ("{{.HostConfig.PidsLimit}} {{.HostConfig.MemorySwappiness}}", "<nil> <nil>"),
        ("{{.HostConfig.Init}} {{.HostConfig.Sysctls}} {{.HostConfig.Tmpfs}}", "<nil> map[] map[]"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{else}}unchecked{{end}}", "unchecked"),
        ("{{.Config.Healthcheck}} {{.SizeRw}}", "<nil> <nil>"),
        ("{{.NetworkSettings.Networks.bridge.Aliases}}", "[]"),
        ("{{.Config.StopSignal}}|{{.Config.ExposedPorts}}", "|map[]"),
        ("{{index .Config.Labels \"x\"}}|{{.Config.Labels}}", "|map[]"),
    ],
)  # fmt: skip
def test_templates_see_what_is_not_there_by_its_kind(
    alpine: Command, template: str, shown: str
) -> None:
    alpine("create", "--name", "box", "alpine")
    assert alpine.output("inspect", "-f", template, "box") == shown


def test_what_no_container_has_is_an_error(alpine: Command) -> None:
    alpine("create", "--name", "box", "alpine")
    for template in ("{{.Bogus}}", "{{.State.Health.Status}}", "{{.HostConfig.Bogus}}"):
        assert "template" in alpine("inspect", "-f", template, "box", code=1).stderr
