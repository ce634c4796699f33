"""Named and anonymous volumes: `proa volume`, and who has which."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root

ANONYMOUS = "com.docker.volume.anonymous"


def volumes(proa: Command, *arguments: str) -> list[str]:
    return proa.output("volume", "ls", "-q", *arguments).split()


def test_the_life_of_a_volume(alpine: Command) -> None:
    assert alpine.output("volume", "create", "data", "--label", "a=b", "--label", "c") == "data"
    assert alpine.output("volume", "create", "data") == "data"
    shown = json.loads(alpine.output("volume", "inspect", "data"))[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", shown.pop("CreatedAt"))
    assert shown == {
        "Driver": "local",
        "Labels": {"a": "b", "c": ""},
        "Mountpoint": f"{alpine.root}/volumes/data/_data",
        "Name": "data",
        "Options": None,
        "Scope": "local",
    }
    assert json.loads(alpine.output("inspect", "data"))[0]["Name"] == "data"
    assert alpine.output("inspect", "--type", "volume", "-f", "{{.Labels.a}}", "data") == "b"

    run = ("run", "--rm", "-v", "data:/d", "alpine", "sh", "-c")
    alpine(*run, "echo kept > /d/file")
    assert alpine.output(*run, "cat /d/file") == "kept"
    with open(f"{alpine.root}/volumes/data/_data/file") as file:
        assert file.read() == "kept\n"
    assert alpine.output("volume", "ls") == "DRIVER    VOLUME NAME\nlocal     data"
    assert alpine.output("volume", "rm", "data") == "data"
    assert os.listdir(f"{alpine.root}/volumes") == []
    assert alpine.output(*run, "ls /d") == ""
    assert volumes(alpine) == ["data"]


def test_formats_and_filters(alpine: Command) -> None:
    alpine("volume", "create", "--name", "one", "--label", "x=1", "--label", "y=2")
    alpine("volume", "create", "two", "--label", "x=2", "-o", "type=tmpfs", "-o", "device=tmpfs")
    alpine("create", "--name", "box", "-v", "two:/t", "alpine")

    assert json.loads(alpine.output("volume", "ls", "--format", "json").split("\n")[0]) == {
        "Availability": "N/A", "Driver": "local", "Group": "N/A", "Labels": "x=1,y=2",
        "Links": "N/A", "Mountpoint": f"{alpine.root}/volumes/one/_data", "Name": "one",
        "Scope": "local", "Size": "N/A", "Status": "N/A",
    }  # fmt: skip
    table = alpine.output("volume", "ls", "--format", 'table {{.Name}}\t{{.Label "x"}}')
    assert table.splitlines() == ["VOLUME NAME   x", "one           1", "two           2"]
    for text, names in (
        ("dangling=true", ["one"]), ("dangling=0", ["two"]), ("label=x", ["one", "two"]),
        ("label=x=2", ["two"]), ("name=tw", ["two"]), ("driver=local", ["one", "two"]),
        ("driver=other", []),
    ):  # fmt: skip
        assert volumes(alpine, "-f", text) == names, text
    assert volumes(alpine, "-f", "label=x=1", "-f", "label=y") == ["one"]
    assert "invalid filter" in alpine("volume", "ls", "-f", "dangling=x", code=1).stderr
    assert "invalid filter 'nme'" in alpine("volume", "ls", "-f", "nme=x", code=1).stderr
    assert alpine.output("volume", "inspect", "-f", "{{json .Options}}", "two") == (
        '{"device":"tmpfs","type":"tmpfs"}'
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "x"), "is too short"),
        (("create", "-x"), "unknown shorthand flag"),
        (("create", "a/b"), "use an absolute path"),
        (("create", "-d", "rexray", "data"), "volume driver rexray: there are no plugins"),
        (("create", "-o", "colour=red", "data"), 'invalid option: "colour"'),
        (("create", "-o", "o=ro", "data"), 'missing required option: "type"'),
        (("create", "-o", "size=1g", "data"), "quotas are not available"),
        (("create", "--name", "aa", "bb"), "conflicting options"),
        (("inspect", "data"), "no such volume: data"),
        (("rm", "data"), "no such volume: data; see 'proa volume ls'"),
    ],
)
def test_what_is_refused(proa: Command, arguments: tuple[str, ...], said: str) -> None:
    result = proa("volume", *arguments, code=None)
    assert result.returncode in (1, 125)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert volumes(proa) == []


def test_one_that_is_used_stays(alpine: Command) -> None:
    alpine("create", "--name", "one", "-v", "data:/d", "alpine")
    alpine("create", "--name", "two", "--mount", "source=data,target=/e,ro", "alpine")
    ids = alpine.output("ps", "-aq", "--filter", "volume=data").split()
    assert len(ids) == 2
    assert alpine.output("ps", "-aq", "--filter", "volume=/e") == ids[0]

    for force in ((), ("-f",)):
        said = alpine("volume", "rm", *force, "data", "none", code=1).stderr
        assert f"volume data is in use by containers one ({ids[1]}), two ({ids[0]})" in said
        assert ("no such volume" in said) == (not force)
    alpine("rm", "-v", "one", "two")  # it has a name
    assert alpine.output("volume", "rm", "-f", "data", "none") == "data\nnone"
    assert volumes(alpine) == []


def test_anonymous_ones_go_with_their_container(alpine: Command) -> None:
    flags = ("-v", "/a", "--mount", "target=/b,volume-label=l=v", "-v", "named:/c")
    alpine("create", "--name", "box", *flags, "alpine")
    names = [name for name in volumes(alpine) if name != "named"]
    assert len(names) == 2 and all(re.fullmatch("[0-9a-f]{64}", name) for name in names)
    assert sorted(volumes(alpine, "-f", f"label={ANONYMOUS}")) == sorted(names)
    assert len(volumes(alpine, "-f", "label=l=v")) == 1
    alpine("rm", "box")
    assert len(volumes(alpine, "-f", "dangling=true")) == 3
    done = alpine("volume", "prune", input="y\n")
    assert "all anonymous" not in done.stderr and "anonymous local volumes" in done.stderr
    assert sorted(done.stdout.splitlines()[1:3]) == sorted(names)
    assert volumes(alpine) == ["named"]

    alpine("create", "--name", "box", "-v", "/a", "alpine")
    alpine("create", "--name", "heir", "--volumes-from", "box", "alpine")
    alpine("rm", "-v", "box")
    assert len(volumes(alpine)) == 2  # the heir has it
    alpine("rm", "-v", "heir")
    assert volumes(alpine) == ["named"]

    for end in ("true", "exit 3"):
        alpine("run", "--rm", "-v", "/a", "alpine", "sh", "-c", end, code=None)
    alpine("run", "-d", "--rm", "-v", "/a", "--name", "box", "alpine", "sleep", "999")
    assert len(volumes(alpine)) == 2
    alpine("rm", "-f", "box")
    alpine("run", "--rm", "-v", "/a", "alpine", "/no/such", code=127)
    alpine("run", "-d", "--rm", "-v", "/a", "--name", "box", "alpine", "true")
    deadline = time.monotonic() + 10  # its monitor removes it a moment after it has ended
    while os.listdir(f"{alpine.root}/volumes") != ["named"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert volumes(alpine) == os.listdir(f"{alpine.root}/volumes") == ["named"]


def test_those_that_the_image_wants(alpine: Command) -> None:
    change = ("--change", "VOLUME /etc/apk /data", "--change", "CMD true")
    flat = f"{alpine.root}/flat.tar"
    with open(flat, "wb") as file:
        import tarfile

        tarfile.open(fileobj=file, mode="w").close()
    alpine("import", *change, flat, "empty:1")
    alpine("create", "--name", "box", "-v", "mine:/data", "empty:1")
    shown = json.loads(alpine.output("inspect", "box"))[0]
    found = {mount["Destination"]: mount for mount in shown["Mounts"]}
    assert sorted(found) == ["/data", "/etc/apk"]
    assert found["/data"] == {
        "Type": "volume", "Name": "mine", "Source": f"{alpine.root}/volumes/mine/_data",
        "Destination": "/data", "Driver": "local", "Mode": "z", "RW": True, "Propagation": "",
    }  # fmt: skip
    assert len(found["/etc/apk"]["Name"]) == 64 and found["/etc/apk"]["Mode"] == ""
    assert shown["Config"]["Volumes"] == {"/data": {}, "/etc/apk": {}}
    assert shown["HostConfig"]["Binds"] == ["mine:/data"]
    alpine("rm", "-v", "box")
    assert volumes(alpine) == ["mine"]
    # something else that is mounted there takes its place
    alpine("create", "--name", "box", "--tmpfs", "/data", "-v", "/tmp:/etc/apk", "empty:1")
    assert volumes(alpine) == ["mine"]


def test_a_container_that_cannot_be_made_leaves_none(alpine: Command) -> None:
    alpine("create", "--name", "box", "alpine")
    taken = alpine("create", "--name", "box", "-v", "new:/n", "-v", "/a", "alpine", code=1)
    assert "already in use" in taken.stderr
    assert volumes(alpine) == os.listdir(f"{alpine.root}/volumes") == []


def test_prune(alpine: Command) -> None:
    alpine("volume", "create", "named", "--label", "keep")
    alpine("run", "--rm", "-v", "big:/b", "alpine", "sh", "-c", "head -c 5000 /dev/zero > /b/x")
    alpine("volume", "create")
    alpine("create", "--name", "box", "-v", "used:/u", "alpine")

    assert "Are you sure" in alpine("volume", "prune", input="n\n").stdout
    assert len(volumes(alpine)) == 4
    assert "Deleted Volumes:" in alpine.output("volume", "prune", "-f")
    assert volumes(alpine) == ["big", "named", "used"]
    assert alpine.output("volume", "prune", "-f") == "Total reclaimed space: 0B"
    warning = alpine("volume", "prune", "-a", input="n\n").stderr
    assert warning == (
        "WARNING! This will remove all local volumes not used by at least one container.\n"
    )
    shown = alpine.output("volume", "prune", "-af", "--filter", "label!=keep")
    assert shown == "Deleted Volumes:\nbig\n\nTotal reclaimed space: 5kB"
    assert alpine.output("volume", "prune", "-f", "--filter", "all=1").startswith(
        "Deleted Volumes:\nnamed\n"
    )
    assert volumes(alpine) == ["used"]
    assert "invalid filter 'until'" in alpine("volume", "prune", "-f", "--filter", "until=1h",
                                              code=1).stderr  # fmt: skip


def test_in_lists_and_inspect(alpine: Command) -> None:
    alpine("create", "--name", "box", "-v", "one:/1:ro,nocopy", "-v", "/2", "--mount",
           "type=volume,src=three,dst=/3,volume-nocopy,volume-label=a=b,volume-subpath=s",
           "-v", "/tmp:/4", "alpine")  # fmt: skip
    assert alpine.output("ps", "-a", "--format", "{{.LocalVolumes}}") == "3"
    mounts = alpine.output("ps", "-a", "--no-trunc", "--format", "{{.Mounts}}").split(",")
    assert (mounts[0], mounts[2], mounts[3]) == ("one", "three", "/tmp") or len(mounts) == 4
    shown = json.loads(alpine.output("inspect", "box"))[0]
    assert shown["HostConfig"]["Binds"] == ["one:/1:ro,nocopy", "/tmp:/4"]
    assert shown["HostConfig"]["Mounts"] == [
        {
            "Type": "volume", "Target": "/3", "Source": "three",
            "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}, "Subpath": "s"},
        }
    ]  # fmt: skip
    assert shown["Config"]["Volumes"] == {"/2": {}}
    by_place = {mount["Destination"]: mount for mount in shown["Mounts"]}
    assert (by_place["/1"]["Mode"], by_place["/1"]["RW"]) == ("ro,nocopy", False)


def test_volumes_from(alpine: Command) -> None:
    alpine("run", "--name", "one", "-v", "data:/d", "-v", "/anon", "alpine", "sh", "-c",
           "echo 1 > /d/f; echo 2 > /anon/f")  # fmt: skip
    script = "cat /d/f /anon/f; touch /d/x"
    taken = alpine("run", "--rm", "--volumes-from", "one:ro", "alpine", "sh", "-c", script, code=1)
    assert taken.stdout == "1\n2\n" and "Read-only" in taken.stderr
    assert len(volumes(alpine)) == 2
    alpine("rm", "-v", "one")
    assert volumes(alpine) == ["data"]


def test_events(alpine: Command) -> None:
    alpine("volume", "create", "data")
    alpine("run", "--name", "box", "-v", "data:/d:ro", "alpine", "true")
    id = alpine.output("ps", "-aq", "--no-trunc")
    alpine("rm", "box")
    alpine("volume", "rm", "data")
    alpine("volume", "prune", "-f")
    shown = alpine.output("events", "--since", "1h", "--until", "0s", "--format", "json",
                          "--filter", "type=volume")  # fmt: skip
    found = [json.loads(line) for line in shown.splitlines()]
    assert [(event["Action"], event["Actor"]["ID"]) for event in found] == [
        ("create", "data"), ("mount", "data"), ("unmount", "data"), ("destroy", "data"),
        ("prune", ""),
    ]  # fmt: skip
    assert found[1]["Actor"]["Attributes"] == {
        "container": id, "destination": "/d", "driver": "local", "propagation": "",
        "read/write": "false",
    }  # fmt: skip
