"""Base images without a registry: what is asked of the host, and what is made of its answers."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from proa.engine.images import Images
from proa.errors import InvalidArgument, Unavailable, Unsupported
from proa.image import bootstrap
from tests.unit.image.archives import layer

DEB822 = """\
# the release
Types: deb deb-src
URIs: http://deb.example.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://deb.example.org/security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://deb.example.org/disabled
Suites: bookworm

Types: deb-src
URIs: http://deb.example.org/sources
Suites: bookworm

Types: deb
URIs: http://deb.example.org/other
Suites: trixie
"""
ONE_LINE = """\
deb http://a.example.org/debian bookworm main non-free # comment
#deb http://b.example.org/debian bookworm main
deb-src http://c.example.org/debian bookworm main
deb [arch=amd64,arm64 signed-by=/k.gpg trusted=yes] http://d.example.org/ bookworm/updates main
deb http://e.example.org/debian trixie main
deb http://f.example.org/flat ./
"""


def place_sources(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "sources.list.d").mkdir()
    (directory / "sources.list.d" / "debian.sources").write_text(DEB822)
    (directory / "sources.list").write_text(ONE_LINE)
    (directory / "sources.list.d" / "old.list.disabled").write_text(ONE_LINE)
    monkeypatch.setattr(bootstrap, "_SOURCES", str(directory))


def commands(directory: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Programs of the host, written for the test, and no others but the shell's."""
    binaries = directory / "bin"
    binaries.mkdir()
    for name, script in scripts.items():
        path = binaries / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(binaries))


def test_debian(images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_sources(tmp_path, monkeypatch)
    root = tmp_path / "root.tar"
    root.write_bytes(layer(etc_debian_version="12"))
    commands(
        tmp_path,
        monkeypatch,
        mmdebstrap=f'echo "$@" >{tmp_path}/args; eval last=\\${{$#}}; /bin/cat $last >{tmp_path}'
        f"/sources; echo I: working >&2; /bin/cat {root}",
    )
    said: list[str] = []
    image = images.bootstrap("debian:bookworm", progress=said.append)
    assert image.tags == ["debian:bookworm"]
    assert image.attrs["Config"]["Cmd"] == ["bash"]
    assert (tmp_path / "args").read_text().startswith("--variant=minbase --format=tar bookworm - ")
    assert (tmp_path / "sources").read_text().split("\n\n") == [
        "Types: deb\nURIs: http://a.example.org/debian\nSuites: bookworm\n"
        "Components: main non-free",
        "Types: deb\nURIs: http://d.example.org/\nSuites: bookworm/updates\nComponents: main\n"
        "Architectures: amd64 arm64\nSigned-By: /k.gpg\nTrusted: yes",
        "Types: deb\nURIs: http://deb.example.org/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main contrib\nSigned-By: /usr/share/keyrings/debian.gpg",
        "Types: deb\nURIs: http://deb.example.org/security\nSuites: bookworm-security\n"
        "Components: main\n",
    ]
    assert "I: working" in said


def test_a_suite_that_there_is_not(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_sources(tmp_path, monkeypatch)
    root = tmp_path / "root.tar"
    root.write_bytes(layer(a="1" * 10_000)[:4000])
    commands(
        tmp_path,
        monkeypatch,
        mmdebstrap=f"/bin/cat {root}; echo 'W: hm' >&2; echo 'E: no such suite' >&2; exit 25",
    )
    with pytest.raises(Unavailable, match="could not make debian:nosuch: E: no such suite; see"):
        images.bootstrap("debian:nosuch")
    assert images.list() == []


def test_what_is_missing(images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands(tmp_path, monkeypatch)
    monkeypatch.setattr(bootstrap, "_BUSYBOX", (str(tmp_path / "gone"), "/bin/ls"))
    with pytest.raises(Unsupported, match="apt-get install mmdebstrap"):
        images.bootstrap("debian:bookworm")
    with pytest.raises(Unsupported, match="install busybox-static"):
        images.bootstrap("busybox")


@pytest.mark.root
def test_busybox_from_a_package(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = bytearray(4096)
    program[:6] = b"\x7fELF\x02\x01"
    script = "#!/bin/sh\nprintf 'busybox\\nls\\nsh\\nlinuxrc\\n'\n"
    (tmp_path / "static").write_text(script)
    (tmp_path / "static").chmod(0o755)
    commands(
        tmp_path,
        monkeypatch,
        apt_get="[ $1 = download ] && : >busybox-static_1_amd64.deb",
        dpkg_deb=f"/bin/mkdir -p $3/bin; /bin/cp {tmp_path}/static $3/bin/busybox",
    )
    monkeypatch.setattr(bootstrap, "_BUSYBOX", ())
    monkeypatch.setattr(bootstrap, "_is_static", os.path.exists)
    image = images.bootstrap("busybox:1.35")
    assert image.tags == ["busybox:1.35"]
    assert image.history()[0]["Comment"] == "busybox from the package busybox-static"
    tree = Path(image.attrs["GraphDriver"]["Data"]["UpperDir"])
    assert (tree / "bin/sh").samefile(tree / "bin/busybox")
    assert (tree / "bin/busybox").read_text() == script


def test_the_same_busybox_is_the_same_layer() -> None:
    first = bootstrap._busybox_tree(b"program", ["ls", "sh", "busybox"])
    assert first == bootstrap._busybox_tree(b"program", ["sh", "ls"])
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert archive.getmember("tmp").mode == 0o1777
        assert archive.getmember("bin/ls").linkname == "bin/busybox"
        owners = {(member.uid, member.gid) for member in archive}
    assert owners == {(0, 0)}


def test_names(images: Images) -> None:
    for name in ("fedora:40", "busybox@sha256:" + "1" * 64, "alpine", "UPPER"):
        with pytest.raises(InvalidArgument):
            images.bootstrap(name)
