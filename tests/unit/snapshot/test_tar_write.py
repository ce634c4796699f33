"""Headers that are written are read by everybody, and are the same each time."""

from __future__ import annotations

import io
import subprocess
import tarfile

import pytest

from proa.snapshot.tar import DIRECTORY, SYMBOLIC_LINK, TarReader
from proa.snapshot.tar_write import END, header, padding

LONG = b"directory/" * 30 + b"name"


@pytest.mark.parametrize(
    "field",
    [
        {},
        {"uid": 2_097_151, "gid": 2_097_151},
        {"uid": 2_097_152, "gid": 4_294_967_294},
        {"mtime": 0o77777777777},
        {"mtime": 0o77777777777 + 1},
        {"mtime": -1},
        {"mode": 0o7777},
        {"xattrs": {b"user.b": b"\0\n=\xff", b"user.a": b""}},
        {"xattrs": {b"user.x": b"x" * 64_000}},
    ],
)
@pytest.mark.parametrize("name", [b"a", b"n" * 100, b"n" * 101, LONG, b"\xff\xfe/\x80" * 33])
def test_what_is_written_is_read(name: bytes, field: dict[str, object]) -> None:
    data = header(name, size=5, **field) + b"12345" + padding(5) + END  # type: ignore[arg-type]

    chunks = iter([data, b""])
    entry = TarReader(lambda: next(chunks)).next()
    assert entry is not None
    assert (entry.name, entry.size, entry.mode) == (name, 5, field.get("mode", 0o644))
    assert (entry.uid, entry.gid) == (field.get("uid", 0), field.get("gid", 0))
    assert entry.mtime == field.get("mtime", 0) * 1_000_000_000  # type: ignore[operator]
    assert entry.xattrs == (field.get("xattrs") or None)
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        (member,) = archive.getmembers()
        assert member.name.encode("utf-8", "surrogateescape") == name
        assert (member.uid, member.mtime) == (field.get("uid", 0), field.get("mtime", 0))
        opened = archive.extractfile(member)
        assert opened is not None and opened.read() == b"12345"


def test_links_directories_and_devices() -> None:
    data = (
        header(b"d/", DIRECTORY, mode=0o1777)
        + header(b"d/l", SYMBOLIC_LINK, link=LONG)
        + header(b"d/c", b"3", device=(300, 5000))
        + END
    )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        directory, link, device = archive.getmembers()
    assert directory.isdir() and link.linkname.encode() == LONG
    assert (device.devmajor, device.devminor) == (300, 5000)


def test_a_size_beyond_the_header() -> None:
    size = 0o77777777777 + 1
    chunks = iter([header(b"large", size=size), b""])
    entry = TarReader(lambda: next(chunks)).next()
    assert entry is not None and entry.size == size


def test_gnu_tar_reads_it() -> None:
    data = header(LONG, uid=3_000_000, size=1, xattrs={b"user.x": b"y"}) + b"1" + padding(1) + END
    done = subprocess.run(
        ["tar", "tv", "--numeric-owner"], input=data, capture_output=True, check=True
    )
    assert LONG in done.stdout and b"3000000/0" in done.stdout
    assert done.stderr == b""


def test_lengths_of_records_count_themselves() -> None:
    for length in range(80, 1100):
        name = b"n" * length
        chunks = iter([header(name) + END, b""])
        entry = TarReader(lambda chunks=chunks: next(chunks)).next()  # type: ignore[misc]
        assert entry is not None and entry.name == name
