"""What is in a volume at first: the image's content, its owners and links; and its parts."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import images
from tests.support.command import Command

pytestmark = pytest.mark.root

ENTRIES = (
    images.folder("srv"),
    images.Entry("srv/data", kind=b"5", mode=0o2750, uid=7, gid=8, mtime=1000),
    images.Entry("srv/data/file", b"x\n", mode=0o4755, uid=7, gid=9, mtime=2000),
    images.Entry("srv/data/link", kind=b"1", target="srv/data/file"),
    images.symlink("srv/data/away", "/etc/passwd"),
    images.symlink("srv/data/up", "../../../../../../etc"),
    images.Entry("srv/data/pipe", kind=b"6", mode=0o622),
    images.Entry("srv/data/null", kind=b"3", mode=0o600, device=(1, 3)),
    images.Entry("srv/data/attributes", b"a", pax={"SCHILY.xattr.user.colour": "red"}),
    images.Entry("srv/data/sub", kind=b"5", mode=0o711, mtime=3000),
    images.Entry("srv/data/sub/deep", b"deep\n"),
    images.Entry("srv/data/gone", b"x"),
    images.symlink("srv/alias", "data"),
    images.symlink("srv/escape", "../../../../../../etc"),
    images.Entry("srv/plain", b"a file"),
    images.Entry("srv/empty", kind=b"5", mode=0o700, uid=7, gid=8),
)
ABOVE = (
    images.folder("srv"),
    images.Entry("srv/data", kind=b"5", mode=0o2750, uid=7, gid=8, mtime=1000),
    images.Entry("srv/data/.wh.gone"),
    images.Entry("srv/data/sub", kind=b"5", mode=0o711, mtime=3000),
    images.Entry("srv/data/sub/more", b"more\n"),
)


@pytest.fixture
def box(proa: Command) -> Command:
    """`proa` with the image `box`, which has the entries above in two layers over busybox."""
    layers = [images.busybox_layer(), images.layer(ENTRIES), images.layer(ABOVE)]
    path = f"{proa.root}/../box-{os.getpid()}.tar"
    with open(path, "wb") as file:
        file.write(images.docker_archive(layers, "box:latest"))
    proa("load", "-q", "-i", path)
    os.unlink(path)
    return proa


def data(proa: Command, name: str) -> str:
    return f"{proa.root}/volumes/{name}/_data"


def test_the_content_of_the_image(box: Command) -> None:
    box("run", "--rm", "-v", "vol:/srv/data", "box", "true")
    place = data(box, "vol")

    top = os.stat(place)
    assert (top.st_mode & 0o7777, top.st_uid, top.st_gid, top.st_mtime) == (0o2750, 7, 8, 1000)
    assert sorted(os.listdir(place)) == sorted(
        ["file", "link", "away", "up", "pipe", "null", "attributes", "sub"]
    )
    file, link = os.stat(f"{place}/file"), os.stat(f"{place}/link")
    assert (file.st_mode & 0o7777, file.st_uid, file.st_gid) == (0o4755, 7, 9)
    assert (file.st_mtime, file.st_nlink, file.st_ino) == (2000, 2, link.st_ino)
    assert os.readlink(f"{place}/away") == "/etc/passwd"
    assert os.stat(f"{place}/pipe").st_mode == 0o10622
    assert os.stat(f"{place}/null").st_rdev == os.makedev(1, 3)
    assert os.getxattr(f"{place}/attributes", "user.colour") == b"red"
    assert sorted(os.listdir(f"{place}/sub")) == ["deep", "more"]
    assert os.stat(f"{place}/sub").st_mtime == 3000
    assert os.listdir(f"{box.root}/volumes/vol") == ["_data"]


def test_it_is_copied_into_an_empty_one_only(box: Command) -> None:
    run = ("run", "--rm", "-v", "vol:/srv/data", "box", "sh", "-c")
    box(*run, "rm -r /srv/data/sub; echo mine > /srv/data/file")
    assert box.output(*run, "cat /srv/data/file; ls /srv/data | wc -l") == "mine\n7"
    # what someone else has put there counts
    box("volume", "create", "filled")
    with open(f"{data(box, 'filled')}/own", "w"):
        pass
    assert box.output("run", "--rm", "-v", "filled:/srv/data", "box", "ls", "/srv/data") == "own"
    # and a container that starts again finds it as it left it
    box("run", "--name", "again", "-v", "other:/srv/data", "box", "sh", "-c",
        "ls /srv/data; rm -rf /srv/data/*")  # fmt: skip
    assert "sub" in box.output("logs", "again")
    assert box.output("start", "-a", "again") == ""


def test_where_nothing_is_copied(box: Command) -> None:
    ls = ("box", "ls", "-A", "/srv/data")
    assert box.output("run", "--rm", "-v", "one:/srv/data:nocopy", *ls) == ""
    mount = "type=volume,source=two,target=/srv/data,volume-nocopy"
    assert box.output("run", "--rm", "--mount", mount, *ls) == ""
    assert box.output("run", "--rm", "-v", "three:/none", "box", "ls", "-A", "/none") == ""
    # what is taken over is not filled
    box("run", "--rm", "-v", "kept:/srv/data:nocopy", "box", "true")
    box("create", "--name", "giver", "-v", "kept:/srv/data:nocopy", "box")
    assert box.output("run", "--rm", "--volumes-from", "giver", *ls) == ""


def test_a_container_that_never_runs_fills_its_volumes(box: Command) -> None:
    box("create", "--name", "store", "-v", "vol:/srv/data", "-v", "/srv/data/sub", "box")
    assert os.listdir(data(box, "vol")) != []
    script = "cat /srv/data/file; ls /srv/data/sub"
    shown = box.output("run", "--rm", "--volumes-from", "store", "box", "sh", "-c", script)
    assert shown == "x\ndeep\nmore"
    assert box.output("start", "-a", "store") == ""
    # nothing stays of one whose volumes cannot be had
    box("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/nowhere", "gone")
    box("create", "--name", "other", "-v", "gone:/not/there", "box")  # nothing to fill it with
    box("rm", "other")
    refused = box("create", "-v", "gone:/srv/data", "-v", "/x", "box", code=1)
    assert "make its device first" in refused.stderr
    assert len(box.output("ps", "-aq").split()) == 1
    assert len(box.output("volume", "ls", "-q").split()) == 3


def test_an_empty_directory_gives_its_owner(box: Command) -> None:
    box("run", "--rm", "-v", "vol:/srv/empty", "box", "true")
    status = os.stat(data(box, "vol"))
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o700, 7, 8)


def test_links_on_the_way_stay_inside(box: Command) -> None:
    box("run", "--rm", "-v", "alias:/srv/alias", "box", "true")
    assert "file" in os.listdir(data(box, "alias"))
    box("run", "--rm", "-v", "escape:/srv/escape", "box", "true")
    assert {"group", "os-release", "passwd"} <= set(os.listdir(data(box, "escape")))
    with open(f"{data(box, 'escape')}/passwd") as file:
        assert "user:x:7:8" in file.read()  # the image's


def test_a_volume_over_a_file_is_refused(box: Command) -> None:
    result = box("run", "--rm", "-v", "vol:/srv/plain", "box", "true", code=125)
    assert "/srv/plain" in result.stderr


def test_two_that_start_at_once(box: Command) -> None:
    def run(number: int) -> str:
        return box.output("run", "--rm", "-v", f"vol{number % 3}:/srv/data", "box", "sh", "-c",
                          "find /srv/data | wc -l")  # fmt: skip

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(run, range(12))) == {"11"}
    assert box.output("volume", "ls", "-q").split() == ["vol0", "vol1", "vol2"]


def test_a_part_of_a_volume(box: Command) -> None:
    box("run", "--rm", "-v", "vol:/srv/data", "box", "true")
    os.symlink("sub", f"{data(box, 'vol')}/inner")

    def run(subpath: str, script: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        mount = f"type=volume,src=vol,dst=/part,volume-subpath={subpath}"
        return box("run", "--rm", "--mount", mount, "box", "sh", "-c", script, code=code)

    assert run("sub", "echo new > /part/new; ls /part").stdout == "deep\nmore\nnew\n"
    assert os.path.exists(f"{data(box, 'vol')}/sub/new")
    assert run("inner", "cat /part/deep").stdout == "deep\n"
    assert run("sub/deep", "cat /part").stdout == "deep\n"
    assert "there is no nope in volume vol" in run("nope", "", 125).stderr
    for path in ("up", "away"):
        assert f"{path} in volume vol leads out of it" in run(path, "", 125).stderr


def test_another_runtime_has_them_too(box: Command) -> None:
    import shutil

    if shutil.which("runc") is None:
        pytest.skip("no runc")
    script = "cat /srv/data/sub/deep; cat /part; touch /srv/data/from-runc"
    box("run", "--rm", "-v", "vol:/srv/data", "box", "true")
    mount = "type=volume,src=vol,dst=/part,volume-subpath=sub/deep"
    flags = ("--network", "none", "--runtime", "runc", "-v", "vol:/srv/data", "--mount", mount)
    assert box.output("run", "--rm", *flags, "box", "sh", "-c", script) == "deep\ndeep"
    assert os.path.exists(f"{data(box, 'vol')}/from-runc")
