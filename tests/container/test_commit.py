"""`diff`, `commit`, `export`, `image squash`, `image tree`: what became of a container's files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root

CHANGE = (
    "rm -rf /etc/profile.d /etc/passwd; mkdir -p /etc/profile.d /data/sub; echo new > /data/f;"
    "ln /data/f /data/g; ln -s f /data/l; mkfifo /data/p; chown 5:6 /data/f; chmod 4711 /data/f;"
    "touch -d @1000000000 /data/f; echo changed >> /etc/group"
)


def changes(proa: Command, name: str) -> list[str]:
    return proa.output("diff", name).splitlines()


@pytest.mark.parametrize("kind", ["overlay", "copy"])
def test_what_a_container_changes_is_shown_and_becomes_an_image(alpine: Command, kind: str) -> None:
    Path(alpine.root, "snapshots").write_text(f"{kind}\n")
    alpine("create", "--name", "idle", "alpine", "true")
    assert changes(alpine, "idle") == []
    alpine("run", "--name", "box", "alpine", "sh", "-c", CHANGE)
    found = changes(alpine, "box")
    for line in (
        *("A /data", "A /data/f", "A /data/g", "A /data/l", "A /data/p", "A /data/sub"),
        *("C /etc", "C /etc/group", "D /etc/passwd"),
    ):
        assert line in found
    assert found == sorted(found, key=lambda line: line[2:].split("/"))
    assert not [line for line in found if line[2:].startswith(("/dev", "/proc", "/sys"))]

    id = alpine.output("commit", "box", "made/by:hand")
    assert id.startswith("sha256:")
    assert alpine.output("images", "-q", "--no-trunc", "made/by:hand") == id
    look = "cd /data && stat -c '%n %a %u:%g %h' f g && stat -c %Y f && readlink l && test -p p"
    assert alpine.output("run", "--rm", "made/by:hand", "sh", "-c", look).splitlines() == [
        *("f 4711 5:6 2", "g 4711 5:6 2", "1000000000", "f")
    ]
    gone = alpine.output("run", "--rm", "made/by:hand", "sh", "-c", "ls -A /etc/profile.d; ls /etc")
    assert "passwd" not in gone.split()
    alpine("run", "--name", "again", "made/by:hand", "true")
    assert changes(alpine, "again") == []


def test_the_same_changes_are_the_same_layer(alpine: Command) -> None:
    for name in ("one", "two"):
        alpine("run", "--name", name, "alpine", "sh", "-c", "touch -d @7 /f; touch -d @7 /")
        alpine("commit", name, name)
    form = "{{json .RootFS.Layers}}"
    layers = json.loads(alpine.output("image", "inspect", "-f", form, "one"))
    assert layers == json.loads(alpine.output("image", "inspect", "-f", form, "two"))
    base = json.loads(alpine.output("image", "inspect", "-f", form, "alpine"))
    assert layers[:-1] == base


def test_settings_and_history(alpine: Command) -> None:
    alpine(
        *("run", "--name", "box", "-e", "A=1", "-w", "/tmp", "-l", "of=container", "-u", "7"),
        *("--stop-signal", "USR1", "alpine", "sh", "-c", "echo > /tmp/f"),
    )
    changing = [
        *("-c", "ENV A=2 B=3", "-c", 'CMD ["cat", "/tmp/f"]', "-c", "EXPOSE 80", "-c", "USER root"),
        *(
            "-c",
            "LABEL more=true",
            "-c",
            "VOLUME /data",
            "-c",
            "WORKDIR /srv",
            "-c",
            "STOPSIGNAL 9",
        ),
        *("-c", "HEALTHCHECK CMD true", "-c", "ONBUILD RUN true"),
    ]
    alpine("commit", *changing, "-m", "by test", "-a", "Jo <jo@x.org>", "box", "new")

    image = json.loads(alpine.output("image", "inspect", "new"))[0]
    config = image["Config"]
    assert "A=2" in config["Env"] and "B=3" in config["Env"]
    assert config["Cmd"] == ["cat", "/tmp/f"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("root", "/srv", "9")
    assert config["Labels"] == {"of": "container", "more": "true"}
    assert (config["ExposedPorts"], config["Volumes"]) == ({"80/tcp": {}}, {"/data": {}})
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}
    assert config["OnBuild"] == ["RUN true"]
    assert (image["Author"], image["Comment"]) == ("Jo <jo@x.org>", "by test")
    history = alpine.output(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "new"
    )
    assert history.splitlines()[0] == "sh -c echo > /tmp/f|by test"
    assert "not a valid change command" in alpine("commit", "-c", "RUN x", "box", code=1).stderr
    assert "invalid" in alpine("commit", "box", "No/Capitals", code=1).stderr
    assert "no such container" in alpine("commit", "fox", code=1).stderr


def test_no_changes_no_layer(alpine: Command) -> None:
    alpine("run", "--name", "box", "alpine", "true")
    alpine("commit", "box", "same")
    layers = "{{len .RootFS.Layers}}"
    assert alpine.output("inspect", "-f", layers, "same") == alpine.output(
        "inspect", "-f", layers, "alpine"
    )
    assert alpine.output("history", "-q", "same").count("\n") == 1
    # the layer that was not kept was collected, and nothing else
    assert sorted(os.listdir(f"{alpine.root}/layers"))[0] == ".base"


def goes_on(proa: Command) -> None:
    """Wait until the container writes something more."""
    sizes = set()
    deadline = time.monotonic() + 20
    while len(sizes) < 2:
        assert time.monotonic() < deadline, "the container stands still"
        sizes.add(proa("exec", "box", "stat", "-c", "%s", "/d/two", code=None).stdout)


def test_a_running_container_is_held_meanwhile_and_goes_on(alpine: Command) -> None:
    script = "mkdir /d; while sleep 0.01; do echo >> /d/one; echo >> /d/two; done"
    alpine("run", "-d", "--name", "box", "alpine", "sh", "-c", script)
    goes_on(alpine)
    alpine("commit", "box", "held")
    assert alpine.output("ps", "--format", "{{.Status}}").startswith("Up")
    goes_on(alpine)
    look = ("stat", "-c", "%s", "/d/one", "/d/two")
    one, two = alpine.output("run", "--rm", "held", *look).split()
    assert int(one) - int(two) in (0, 1)

    # whoever dies in the middle of it holds nothing
    dying = subprocess.Popen(alpine.argv("commit", "box"), stdout=subprocess.DEVNULL)
    time.sleep(0.15)
    dying.kill()
    dying.wait()
    goes_on(alpine)
    # one that was paused stays paused
    alpine("pause", "box")
    alpine("commit", "--pause=false", "box")
    alpine("commit", "box")
    assert "(Paused)" in alpine.output("ps", "--format", "{{.Status}}")
    alpine("unpause", "box")
    alpine("rm", "-f", "box")


def test_what_no_layer_can_hold_is_named(alpine: Command) -> None:
    alpine("run", "--name", "box", "alpine", "touch", "/.wh.odd", "/fine")
    done = alpine("commit", "box", "odd")
    assert "/.wh.odd is not in the image" in done.stderr
    assert alpine.output("run", "--rm", "odd", "ls", "/fine") == "/fine"


def test_of_a_removed_image(alpine: Command) -> None:
    alpine("run", "--name", "box", "alpine", "touch", "/f")
    alpine("rmi", "-f", "alpine")
    assert "was removed by force" in alpine("commit", "box", code=1).stderr
    assert "A /f" in changes(alpine, "box")
    assert "f" in members(alpine, "box")


def members(proa: Command, name: str) -> dict[str, tarfile.TarInfo]:
    data = subprocess.run(proa.argv("export", name), capture_output=True, check=True).stdout
    return {info.name: info for info in tarfile.open(fileobj=io.BytesIO(data))}


def test_export(alpine: Command, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "inside").touch()
    alpine(
        *("run", "-d", "--name", "box", "-v", f"{volume}:/data", "alpine"),
        *("sh", "-c", f"{CHANGE}; exec sleep 1000"),
    )
    while "C /etc/group" not in changes(alpine, "box"):
        time.sleep(0.02)
    found = members(alpine, "box")
    assert found["bin/busybox"].isfile() and found["etc/group"].isfile()
    assert "etc/passwd" not in found
    assert not [name for name in found if name.startswith(("data/inside", "proc/1"))]
    target = tmp_path / "all.tar"
    target.write_text("old")
    alpine("export", "-o", str(target), "box")
    alpine("import", str(target), "whole")
    assert alpine.output("run", "--rm", "whole", "sh", "-c", "tail -1 /etc/group") == "changed"
    assert os.listdir(tmp_path) == ["volume", "all.tar"] or sorted(os.listdir(tmp_path)) == [
        *("all.tar", "volume")
    ]
    assert "does not exist" in alpine("export", "-o", "/no/such/x", "box", code=1).stderr
    alpine("export", "fox", code=1)
    process, terminal = alpine.start_on_terminal("export", "box")
    assert b"refusing to save to a terminal" in os.read(terminal, 1000)
    os.close(terminal)
    assert process.wait(10) == 125
    alpine("rm", "-f", "box")


@pytest.fixture
def stack(alpine: Command) -> Command:
    """alpine; base on top of it; top on top of that, of two layers."""
    steps = [
        ("alpine", "base", "mkdir /d; echo 1 > /d/a; echo 1 > /d/b; rm /etc/motd; echo x > /big"),
        ("base", "middle", "echo 2 > /d/b; rm -rf /usr/share /big; mkdir /usr/share; echo 3 > /t"),
        ("middle", "top", "rm /t /d/a; ln /d/b /d/c; mkdir /etc/motd; touch -d @5 /etc/motd"),
    ]
    for below, name, script in steps:
        alpine("run", "--name", name, below, "sh", "-c", script)
        alpine("commit", "-c", f"LABEL step={name}", name, name)
        alpine("rm", name)
    return alpine


LOOK = "find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o -print"


def test_squash(stack: Command) -> None:
    script = f"{LOOK} | sort | xargs stat -c '%n %a %u %s' | grep -v '^/ \\|^/etc/[hr]'"
    expected = stack.output("run", "--rm", "top", "sh", "-c", script)
    count = "{{len .RootFS.Layers}} {{.Config.Labels.step}}"

    id = stack.output("image", "squash", "-t", "flat:1", "top")
    assert stack.output("images", "-q", "--no-trunc", "flat:1") == id
    stack("image", "squash", "--from", "base", "--tag", "half", "top")
    assert stack.output("inspect", "-f", count, "flat:1") == "1 top"
    assert stack.output("inspect", "-f", count, "half") == "3 top"
    for name in ("flat:1", "half"):
        assert stack.output("run", "--rm", name, "sh", "-c", script) == expected
    shared = "{{json .RootFS.Layers}}"
    base = json.loads(stack.output("inspect", "-f", shared, "base"))
    assert json.loads(stack.output("inspect", "-f", shared, "half"))[:-1] == base
    steps = stack.output("history", "--format", "{{.Size}}|{{.Comment}}", "half").splitlines()
    assert steps[0].endswith("|2 layers made one")
    assert [step.partition("|")[0] == "0B" for step in steps] == [False, True, True, False, False]

    # it goes elsewhere, and is one there, too
    saved = subprocess.run(stack.argv("save", "half"), capture_output=True, check=True).stdout
    stack("rmi", "half")
    subprocess.run(stack.argv("load"), input=saved, capture_output=True, check=True)
    assert stack.output("run", "--rm", "half", "sh", "-c", script) == expected

    assert (
        "is not made on top of" in stack("image", "squash", "--from", "top", "base", code=1).stderr
    )
    one = stack.output("inspect", "-f", "{{.Id}}", "base")
    assert stack.output("image", "squash", "--from", "alpine", "base") == one


def test_tree(stack: Command) -> None:
    stack("tag", "top", "also:2")
    stack("image", "bootstrap", "busybox")
    stack("run", "--name", "box", "middle", "true")
    lines = stack.output("image", "tree").splitlines()
    assert lines[0].split() == ["IMAGE", "LAYERS", "SIZE", "SHARED", "BY", "REMOVING", "FREES"]
    text = "\n".join(lines)
    for part in ("alpine:latest", "└─ base:latest", "   └─ middle:latest", "also:2, top:latest"):
        assert part in text

    nodes = json.loads(stack.output("image", "tree", "--format", "json"))
    images = {}

    def collect(node: dict[str, object]) -> None:
        for image in node["Images"]:  # type: ignore[attr-defined]
            images.update(dict.fromkeys(image["RepoTags"], image))
        for above in node["Above"]:  # type: ignore[attr-defined]
            collect(above)

    for node in nodes:
        collect(node)
    assert images["middle:latest"]["Containers"] == 1
    freed = images["top:latest"]["Freed"]
    before = disk(stack)
    stack("rmi", "top", "also:2")
    # a directory that is gone, and rounding, make for some blocks
    assert abs(before - disk(stack) - freed) < 65536
    assert stack("image", "tree", "--format", "xml", code=125).stderr


def disk(proa: Command) -> int:
    total = 0
    for directory in ("blobs", "layers"):
        for top, names, files in os.walk(os.path.join(proa.root, directory)):
            for name in (*names, *files):
                total += os.lstat(os.path.join(top, name)).st_blocks * 512
    return total
