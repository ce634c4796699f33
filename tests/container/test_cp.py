"""`cp`: into containers and out of them, by Docker's rules, and never out of where it should be."""

from __future__ import annotations

import gzip
import io
import os
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def box(alpine: Command) -> Iterator[Command]:
    """An engine with a running container `box`, whose user is 33:33."""
    alpine("run", "-d", "--name", "box", "-u", "33:33", "alpine", "sleep", "1000")
    yield alpine
    alpine("rm", "-f", "box", code=None)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory of all sorts."""
    top = tmp_path / "tree"
    (top / "deep" / "er").mkdir(parents=True)
    (top / "file").write_bytes(b"content")
    (top / "deep" / "large").write_bytes(os.urandom(3_000_001))
    (top / "deep" / "empty").touch()
    (top / "link").symlink_to("file")
    (top / "nowhere").symlink_to("/no/such/place")
    os.link(top / "file", top / "deep" / "same")
    os.chmod(top / "deep" / "er", 0o1751)
    os.chmod(top / "deep" / "large", 0o600)
    (top / ("n" * 200)).write_bytes(b"long name")
    for place in (top / "file", top / "deep" / "er"):
        os.chown(place, 1234, 1235)
        os.utime(place, (1_000_000_000, 1_000_000_000))
    return top


def listing(top: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content: object = status.st_nlink if path.is_dir() else None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(top))] = (oct(status.st_mode), int(status.st_mtime), content)
    return found


def shell(box: Command, script: str) -> str:
    return box.output("exec", "-u", "0", "box", "sh", "-c", script)


def test_a_tree_comes_back_as_it_was(box: Command, tree: Path, tmp_path: Path) -> None:
    box("cp", str(tree), "box:/tree")
    box("cp", "box:/tree", str(tmp_path / "back"))

    assert listing(tmp_path / "back") == listing(tree)
    assert (tmp_path / "back" / "file").samefile(tmp_path / "back" / "deep" / "same")
    # into a container owners stay, out of it everything belongs to who copies, unless by -a
    assert shell(box, "stat -c %u:%g /tree/file /tree/deep/er") == "1234:1235\n1234:1235"
    assert (tmp_path / "back" / "file").stat().st_uid == os.getuid()
    box("cp", "-a", "box:/tree", str(tmp_path / "kept"))
    assert (tmp_path / "kept" / "file").stat().st_uid == 1234
    box("cp", "-a", str(tree), "box:/given")
    assert shell(box, "stat -c %u:%g /given/file /given/link") == "33:33\n33:33"


RULES = [
    # source, target, what there is then or what is said
    ("file", "/new", "/new"),
    ("file", "/there", "/there"),
    ("file", "/dir", "/dir/file"),
    ("file", "/dir/", "/dir/file"),
    ("file", "/dir/.", "/dir/file"),
    ("file", "/link-to-dir", "/dir/file"),
    ("file", "/link-to-file", "/there"),
    ("file", "/link-to-nothing", "/nothing"),
    ("file", "relative", "/relative"),
    ("file", "/dir/../up", "/up"),
    ("tree", "/new", "/new/file"),
    ("tree", "/new/", "/new/file"),
    ("tree", "/dir", "/dir/tree/file"),
    ("tree/", "/dir", "/dir/tree/file"),
    ("tree/.", "/dir", "/dir/file"),
    ("tree/.", "/new", "/new/file"),
    (".", "/new", "/new/tree/file"),
    ("file", "/missing/new", "no such file: /missing/"),
    ("file", "/new/", "no such directory: /new/"),
    ("file", "/there/", "not a directory"),
    ("tree", "/there", "cannot copy a directory"),
    ("tree", "/missing/new", "no such file: /missing/"),
    ("file/", "/new", "not a directory"),
    ("none", "/new", "no such file"),
    ("file", "/dir/full", "/dir/full/file"),
    ("full", "/dir", "cannot overwrite directory 'full' with non-directory"),
]


def test_what_is_copied_where(box: Command, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "tree").mkdir(parents=True)
    for name in ("file", "tree/file", "full"):
        (home / name).write_text("copied\n")
    prepare = (
        "cd /; rm -rf dir new there nothing relative up link-to-*; mkdir -p dir/full; echo > there;"
        "ln -s dir link-to-dir; ln -s /there link-to-file; ln -s ../nothing link-to-nothing"
    )
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    for source, target, expected in RULES:
        shell(box, prepare)
        done = run(
            box.argv("cp", source, f"box:{target}"), cwd=home, capture_output=True, text=True
        )
        if expected.startswith("/"):
            assert (done.returncode, done.stderr) == (0, ""), (source, target)
            assert shell(box, f"cat {expected}") == "copied", (source, target)
        else:
            assert done.returncode == 1, (source, target)
            assert expected in done.stderr
            assert done.stderr.count("\n") == 1


def test_out_by_the_same_rules(box: Command, tmp_path: Path) -> None:
    shell(box, "mkdir -p /d/e; echo in > /d/f; ln -s /d/f /l; ln -s d /ld")
    here = tmp_path / "here"
    here.mkdir()

    box("cp", "box:/d/f", str(here))
    box("cp", "box:/d", str(here))
    box("cp", "box:d/.", str(tmp_path / "made"))
    box("cp", "box:/l", str(tmp_path / "link"))
    box("cp", "-L", "box:/l", str(tmp_path / "followed"))
    box("cp", "box:/ld/", str(tmp_path / "directory"))
    assert sorted(os.listdir(here)) == ["d", "f"]
    assert sorted(os.listdir(tmp_path / "made")) == ["e", "f"]
    assert os.readlink(tmp_path / "link") == "/d/f"
    assert (tmp_path / "followed").read_text() == "in\n"
    assert (tmp_path / "directory" / "f").is_file()
    assert "no such file: /none" in box("cp", "box:/none", str(here), code=1).stderr
    assert "no such file" in box("cp", "box:/d/f", str(tmp_path / "no" / "x"), code=1).stderr
    assert "no such container: fox" in box("cp", "fox:/d", str(here), code=1).stderr


def test_streams(box: Command, tree: Path) -> None:
    subprocess.run(["tar", "-C", tree, "-czf", f"{tree}.tgz", "."], check=True)
    with open(f"{tree}.tgz", "rb") as file:
        subprocess.run(box.argv("cp", "-", "box:/srv"), stdin=file, check=True)
    assert shell(box, "cat /srv/file; ls /srv/deep") == "contentempty\ner\nlarge\nsame"

    def members(path: str) -> dict[str, tarfile.TarInfo]:
        data = subprocess.run(box.argv("cp", path, "-"), capture_output=True, check=True).stdout
        return {info.name: info for info in tarfile.open(fileobj=io.BytesIO(data))}

    assert members("box:/srv/file")["file"].size == 7
    assert "./deep/large" in members("box:/srv/.")
    found = members("box:/srv")
    assert found["srv/deep/same"].islnk() or found["srv/file"].islnk()
    assert found["srv/deep/er"].uid == 1234
    refused = subprocess.run(
        box.argv("cp", "-", "box:/srv/file"), input=b"", capture_output=True, check=False
    )
    assert b'destination "box:/srv/file" must be a directory' in refused.stderr
    broken = subprocess.run(
        box.argv("cp", "-", "box:/srv"), input=b"junk" * 200, capture_output=True, check=False
    )
    assert broken.returncode == 1
    assert b"corrupt archive" in broken.stderr


def test_several_sources_and_patterns(box: Command, tmp_path: Path) -> None:
    shell(box, "mkdir /logs /logs/sub; touch /logs/a.log /logs/b.log /logs/c.txt '/logs/*.log'")
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    target = tmp_path / "target"
    target.mkdir()

    box("cp", "box:/logs/[ab].log", "box:/l*s/c.t?t", str(target))
    assert sorted(os.listdir(target)) == ["a.log", "b.log", "c.txt"]
    # a name that is there as it is written is no pattern
    box("cp", "box:/logs/*.log", str(target))
    assert "*.log" in os.listdir(target)
    box("cp", str(tmp_path / "one"), str(tmp_path / "two"), "box:/logs/sub")
    assert shell(box, "cat /logs/sub/*") == "onetwo"
    assert "no file matches" in box("cp", "box:/logs/*.none", str(target), code=1).stderr
    refused = box("cp", str(tmp_path / "one"), str(tmp_path / "two"), "box:/logs/c.txt", code=1)
    assert "must be a directory" in refused.stderr


def test_wrong_command_lines(box: Command, tmp_path: Path) -> None:
    for arguments, said in (
        (["a", "b"], "must specify at least one container"),
        (["box:", str(tmp_path)], "source can not be empty"),
        ([str(tmp_path), "box:"], "destination can not be empty"),
        (["-", "b", "box:/c"], "'-' is one archive"),
    ):
        assert said in box("cp", *arguments, code=125).stderr
    # a colon behind a slash or dot belongs to the path
    (tmp_path / "a:b").write_text("colon")
    box("cp", str(tmp_path / "a:b"), "box:/")
    assert shell(box, "cat /a:b") == "colon"


def test_between_containers(box: Command) -> None:
    box("run", "-d", "--name", "other", "alpine", "sleep", "1000")
    shell(box, "mkdir /from; echo hello > /from/f; chown 5:6 /from/f")

    box("cp", "box:/from", "other:/to")
    assert box.output("exec", "other", "stat", "-c", "%u:%g", "/to/f") == "5:6"
    box("cp", "box:/from", "box:/from2")
    assert "into itself" in box("cp", "box:/from", "box:/from", code=1).stderr


def test_volumes_tmpfs_and_own_files_of_a_running_container(
    alpine: Command, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (tmp_path / "f").write_text("put\n")
    alpine(
        *("run", "-d", "--name", "box", "-v", f"{volume}:/data", "-v", f"{volume}:/ro:ro"),
        *("-v", "/dev/null:/mnt/null", "--tmpfs", "/scratch", "alpine", "sleep", "1000"),
    )
    for target in ("/data", "/scratch", "/etc/hosts"):
        alpine("cp", str(tmp_path / "f"), f"box:{target}")
    assert (volume / "f").read_text() == "put\n"
    assert alpine.output("exec", "box", "cat", "/scratch/f", "/etc/hosts") == "put\nput"
    # the mount is still there: the container's own file was written to, not replaced
    assert "/etc/hosts" in alpine.output("exec", "box", "cat", "/proc/self/mountinfo")
    # a directory brings a file where a device is mounted: it is not written to
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "null").write_text("put")
    refused = alpine("cp", f"{tmp_path}/dev/.", "box:/mnt", code=1)
    assert "something is mounted there" in refused.stderr
    refused = alpine("cp", str(tmp_path / "f"), "box:/ro/x", code=1)
    assert "mounted read-only" in refused.stderr
    alpine("cp", "box:/data/f", str(tmp_path / "back"))
    alpine("rm", "-f", "box")


@pytest.mark.parametrize("kind", ["overlay", "copy"])
def test_a_container_that_does_not_run(alpine: Command, tmp_path: Path, kind: str) -> None:
    Path(alpine.root, "snapshots").write_text(f"{kind}\n")
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "seed").write_text("seed\n")
    (tmp_path / "f").write_text("put\n")
    alpine(
        *("create", "--name", "box", "-v", f"{volume}:/data", "-v", f"{volume}:/ro:ro", "alpine"),
        *("sh", "-c", "cat /root/f /data/f; echo made > /made; rm /root/f"),
    )

    alpine("cp", "box:/data/seed", str(tmp_path / "out"))
    alpine("cp", str(tmp_path / "f"), "box:/root")
    alpine("cp", str(tmp_path / "f"), "box:/data")
    assert (tmp_path / "out").read_text() == "seed\n"
    assert (volume / "f").read_text() == "put\n"
    assert "mounted read-only" in alpine("cp", str(tmp_path / "f"), "box:/ro", code=1).stderr
    assert alpine.output("start", "-a", "box") == "put\nput"
    alpine("cp", "box:/made", str(tmp_path / "made"))
    assert (tmp_path / "made").read_text() == "made\n"
    alpine("cp", "box:/root/f", str(tmp_path / "gone"), code=1)
    read_only = ("create", "--name", "fixed", "--read-only", "alpine", "true")
    alpine(*read_only)
    assert "read-only" in alpine("cp", str(tmp_path / "f"), "fixed:/", code=1).stderr


def test_a_container_cannot_lead_out_of_itself(box: Command, tmp_path: Path) -> None:
    """Links in the container mean places in the container, wherever they point."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (tmp_path / "f").write_text("put")
    shell(
        box,
        f"ln -s {outside} /out; ln -s ../../../../../..{outside} /up; ln -s /proc/1/root /magic;"
        f"ln -s {outside}/secret /leak; mkdir /d; ln -s {outside} /d/l",
    )

    for path in ("box:/out/secret", "box:/up/secret", "box:/magic/etc", "box:/out/"):
        box("cp", path, str(tmp_path / "got"), code=1)
    box("cp", "-L", "box:/leak", str(tmp_path / "got"), code=1)
    box("cp", "box:/leak", str(tmp_path / "link"))
    assert not (tmp_path / "got").exists()
    for target in ("/out/f", "/up/f", "/magic/tmp/f", "/out/"):
        box("cp", str(tmp_path / "f"), f"box:{target}", code=1)
    assert os.listdir(outside) == ["secret"]
    # the same by an archive that goes through the link, and by one that makes the link itself
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("made")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        for name in ("made/planted", "out/planted"):
            info = tarfile.TarInfo(name)
            info.size = 2
            archive.addfile(info, io.BytesIO(b"no"))
    subprocess.run(
        box.argv("cp", "-", "box:/"), input=buffer.getvalue(), capture_output=True, check=False
    )
    assert os.listdir(outside) == ["secret"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("../../climbed")
        archive.addfile(info)
    done = subprocess.run(
        box.argv("cp", "-", "box:/d"), input=buffer.getvalue(), capture_output=True, check=False
    )
    assert b"hostile archive" in done.stderr


def test_a_container_that_changes_its_links_all_the_time(box: Command, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    source = tmp_path / "source"
    source.mkdir()
    for number in range(20):
        (source / f"f{number}").write_text("put")
    flip = f"mkdir a; echo x > a/f; ln -s {outside} b; while :; do mv a c; mv b a; mv c b; done"
    box("exec", "-d", "-u", "0", "-w", "/srv", "box", "sh", "-c", flip)
    time.sleep(0.1)

    target = tmp_path / "target"
    for number in range(12):
        box("cp", f"{source}/.", "box:/srv/a", code=None)
        box("cp", "box:/srv/a/f", str(tmp_path / f"got{number}"), code=None)
        box("cp", "box:/srv", str(target), code=None)
    assert os.listdir(outside) == ["f"]
    assert (outside / "f").read_text() == "secret"
    for path in (*tmp_path.glob("got*"), *target.rglob("f")):
        if path.is_file() and outside not in path.resolve().parents:
            assert path.read_text() != "secret"


def test_devices_and_set_user_id_stay_in_the_container(box: Command, tmp_path: Path) -> None:
    shell(box, "mkdir /d; cp /bin/busybox /d/su; chmod 4755 /d/su; mknod -m 666 /d/sda b 8 0")

    done = box("cp", "box:/d", str(tmp_path / "d"))
    assert "sda was not copied: it is a device" in done.stderr
    assert os.listdir(tmp_path / "d") == ["su"]
    assert stat.S_IMODE((tmp_path / "d" / "su").stat().st_mode) == 0o755


def test_a_container_that_goes_away_meanwhile(box: Command, tmp_path: Path) -> None:
    """An answer or an error, never half of it called a success."""
    shell(box, "i=0; mkdir /d; while [ $i -lt 3000 ]; do echo > /d/$i; i=$((i+1)); done")
    box("stop", "-t", "0", "box")
    copying = box.start("cp", "box:/d", "-")
    assert copying.stdout is not None
    assert copying.stdout.read(100)
    box("rm", "box")
    rest = copying.stdout.read()
    code = copying.wait(20)
    assert copying.stderr is not None and copying.stdin is not None
    said = copying.stderr.read()
    for stream in (copying.stdin, copying.stdout, copying.stderr):
        stream.close()
    assert code == 1 and b"no such container" in said, (code, len(rest), said)


def test_where_stdin_or_stdout_is_a_terminal(box: Command) -> None:
    process, terminal = box.start_on_terminal("cp", "box:/etc", "-")
    said = os.read(terminal, 1000)
    os.close(terminal)
    assert process.wait(10) == 125
    assert b"terminal" in said


def test_progress_is_told_on_a_terminal(box: Command, tree: Path) -> None:
    process, terminal = box.start_on_terminal("cp", str(tree), "box:/tree")
    said = b""
    try:
        while chunk := os.read(terminal, 1000):
            said += chunk
    except OSError:
        pass
    os.close(terminal)
    assert process.wait(10) == 0
    assert b"Successfully copied 3MB to box:/tree" in said
    quiet, terminal = box.start_on_terminal("cp", "-q", str(tree), "box:/tree")
    assert quiet.wait(10) == 0
    os.close(terminal)


def test_compressed_archives(box: Command, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("new/dir/file")
        info.size, info.uid, info.mtime = 3, 7, 1_500_000_000
        archive.addfile(info, io.BytesIO(b"yes"))
    subprocess.run(
        box.argv("cp", "-", "box:/tmp"), input=gzip.compress(buffer.getvalue()), check=True
    )
    assert shell(box, "cat /tmp/new/dir/file; stat -c %u:%Y /tmp/new/dir/file") == "yes7:1500000000"
