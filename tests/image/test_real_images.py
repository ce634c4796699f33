"""Real images through the command: in, looked at, renamed, out, gone."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support import images
from tests.support.command import Command

pytestmark = pytest.mark.root


def archive(images_dir: str, name: str) -> str:
    return os.path.join(images_dir, name)


@pytest.fixture
def busybox(proa: Command, images_dir: str) -> Command:
    """`proa` with the image busybox:1.38.0-musl."""
    proa("load", "-i", archive(images_dir, images.BUSYBOX))
    return proa


def leftovers(proa: Command) -> list[str]:
    return [
        f"{place}/{name}"
        for place in ("blobs/sha256", "ingest", "layers", "run/leases", "run/locks")
        for name in os.listdir(os.path.join(proa.root, place))
        if name != ".base"  # lies below every image, and below containers that run
    ]


def test_load(proa: Command, images_dir: str) -> None:
    for name, tag in ((images.BUSYBOX, "musl"), (images.BUSYBOX_GLIBC, "glibc")):
        path = archive(images_dir, name)
        assert proa.output("load", "-i", path) == f"Loaded image: busybox:1.38.0-{tag}"
        assert proa.output("load", "--quiet", "--input", path) == ""
    lines = proa.output("images").splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert sorted(line.split()[:2] for line in lines[1:]) == [
        ["busybox", "1.38.0-glibc"],
        ["busybox", "1.38.0-musl"],
    ]
    # ids are those that every other engine shows
    with tarfile.open(archive(images_dir, images.BUSYBOX)) as source:
        entry = json.load(source.extractfile("index.json"))["manifests"][0]  # type: ignore[arg-type]
        path = f"blobs/sha256/{entry['digest'][7:]}"
        manifest = json.load(source.extractfile(path))  # type: ignore[arg-type]
    shown = proa.output("images", "--no-trunc", "-q", "busybox:1.38.0-musl")
    assert shown == manifest["config"]["digest"]
    facts = json.loads(proa.output("image", "inspect", "busybox:1.38.0-musl"))[0]
    assert facts["Descriptor"]["digest"] == entry["digest"]
    assert os.access(f"{facts['GraphDriver']['Data']['UpperDir']}/bin/busybox", os.X_OK)


@pytest.mark.parametrize("packed", [False, True])
def test_load_from_a_pipe(proa: Command, images_dir: str, packed: bool) -> None:
    data = Path(archive(images_dir, images.BUSYBOX)).read_bytes()
    done = subprocess.run(
        proa.argv("load"),
        input=gzip.compress(data, 1) if packed else data,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"Loaded image: busybox:1.38.0-musl\n"
    assert not os.listdir(f"{proa.root}/ingest")


def test_load_of_a_directory(proa: Command, images_dir: str, tmp_path: Path) -> None:
    (tmp_path / "layout").mkdir()
    path = archive(images_dir, images.BUSYBOX)
    subprocess.run(["tar", "-xf", path, "-C", tmp_path / "layout"], check=True)
    assert "musl" in proa.output("load", "-i", str(tmp_path / "layout"))


def test_load_of_what_is_none(proa: Command, images_dir: str, tmp_path: Path) -> None:
    for source, words in (
        (archive(images_dir, images.ALPINE), "proa import"),
        (archive(images_dir, images.HELLO), "not a tar archive"),
        (str(tmp_path), "not an OCI layout"),
        (str(tmp_path / "gone"), "no such file"),
        ("/dev/zero", "no images"),
    ):
        done = proa("load", "-i", source, code=1)
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
        assert leftovers(proa) == []


def test_import(proa: Command, images_dir: str) -> None:
    id = proa.output(
        "import", "-c", 'CMD ["/bin/sh"]', "--change", "ENV PATH=/bin:/sbin", "-m", "from a file",
        archive(images_dir, images.ALPINE), "alpine:3.20",
    )  # fmt: skip
    facts = json.loads(proa.output("image", "inspect", "alpine:3.20"))[0]
    assert facts["Id"] == id
    assert facts["Config"]["Cmd"] == ["/bin/sh"]
    tree = Path(facts["GraphDriver"]["Data"]["UpperDir"])
    assert "Alpine" in (tree / "etc/os-release").resolve().read_text() or os.path.islink(
        tree / "etc/os-release"
    )
    assert (tree / "bin/busybox").stat().st_mode & 0o777 == 0o755
    history = proa.output("history", "--format", "{{.ID}}|{{.Comment}}", "alpine:3.20")
    assert history == f"{id[7:19]}|from a file"


def test_hello_world(proa: Command, images_dir: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as root:
        root.add(archive(images_dir, images.HELLO), "hello")
    done = subprocess.run(
        proa.argv("import", "-c", 'CMD ["/hello"]', "-", "hello-world"),
        input=buffer.getvalue(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"sha256:")
    shown = proa.output("image", "inspect", "-f", "{{.RepoTags}} {{.Config.Cmd}}", "hello-world")
    assert shown == "[hello-world:latest] [/hello]"


def test_tag_and_remove(busybox: Command) -> None:
    id = busybox.output("images", "-q", "--no-trunc")
    busybox("tag", "busybox:1.38.0-musl", "localhost:5000/deep/path/bb")
    assert busybox("rmi", id[7:19], code=1).stderr == (
        f"proa: conflict: unable to delete {id[7:19]} (must be forced) - image is referenced in"
        " multiple repositories\n"
    )
    said = busybox.output("rmi", "busybox:1.38.0-musl")
    assert said == "Untagged: busybox:1.38.0-musl"
    said = busybox.output("image", "rm", "localhost:5000/deep/path/bb")
    assert said.splitlines()[:2] == [
        "Untagged: localhost:5000/deep/path/bb:latest",
        f"Deleted: {id}",
    ]
    assert leftovers(busybox) == []
    done = busybox("rmi", "busybox:1.38.0-musl", code=1)
    assert "no such image: busybox:1.38.0-musl" in done.stderr


def test_save(busybox: Command, tmp_path: Path) -> None:
    path = str(tmp_path / "saved.tar")
    busybox("save", "-o", path, "busybox:1.38.0-musl")
    assert os.stat(path).st_mode & 0o777 == 0o600
    through_pipe = subprocess.run(
        busybox.argv("save", "busybox:1.38.0-musl"), stdout=subprocess.PIPE, check=True
    ).stdout
    assert through_pipe == Path(path).read_bytes()
    other = Command(busybox.path, str(tmp_path / "other"))
    assert other.output("load", "-i", path) == "Loaded image: busybox:1.38.0-musl"
    assert other.output("images", "-q") == busybox.output("images", "-q")
    busybox("save", "--format", "oci-dir", "-o", str(tmp_path / "layout"), "busybox:1.38.0-musl")
    assert "musl" in other.output("load", "-i", str(tmp_path / "layout"))


def test_save_refuses_a_terminal(busybox: Command) -> None:
    process, terminal = busybox.start_on_terminal("save", "busybox:1.38.0-musl")
    assert process.wait(20) == 125
    assert b"refusing to write an archive to a terminal" in os.read(terminal, 4096)
    os.close(terminal)


def test_a_reader_that_goes_away(busybox: Command) -> None:
    process = busybox.start("save", "busybox:1.38.0-musl")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1000)
    process.stdout.close()
    assert process.wait(20) == -13
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()
    assert busybox("images", "-q").returncode == 0


def test_several_loads_and_removals_at_once(proa: Command, images_dir: str) -> None:
    path = archive(images_dir, images.BUSYBOX)
    for _ in range(3):
        running = [proa.start("load", "-i", path, stdin=None) for _ in range(6)]
        running += [proa.start("rmi", "-f", "busybox:1.38.0-musl", stdin=None) for _ in range(3)]
        for process in running:
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0 or b"no such image" in said, said
        proa("load", "-i", path)
        facts = json.loads(proa.output("image", "inspect", "busybox:1.38.0-musl"))[0]
        assert os.path.exists(f"{facts['GraphDriver']['Data']['UpperDir']}/bin/busybox")
        with open(os.devnull, "wb") as sink:
            subprocess.run(proa.argv("save", facts["Id"]), stdout=sink, check=True)
    proa("rmi", "-f", "busybox:1.38.0-musl")
    assert leftovers(proa) == []


def test_bootstrap_busybox(proa: Command) -> None:
    if images.busybox() is None:
        pytest.skip("no statically linked busybox on this machine")
    assert proa.output("image", "bootstrap", "busybox") == "busybox:latest"
    facts = json.loads(proa.output("image", "inspect", "busybox"))[0]
    tree = Path(facts["GraphDriver"]["Data"]["UpperDir"])
    assert (tree / "bin/busybox").stat().st_nlink > 100
    assert (tree / "bin/sh").samefile(tree / "bin/busybox")
    done = proa("image", "bootstrap", "windows", code=1)
    assert "give busybox, debian:SUITE or ubuntu:SUITE" in done.stderr
