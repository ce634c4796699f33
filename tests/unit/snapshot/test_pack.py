"""Packing files that change while they are read."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from proa.errors import NotFound
from proa.snapshot.diff import compare_trees
from proa.snapshot.pack import Packer
from proa.snapshot.pack_layer import pack_changes, pack_stack
from proa.snapshot.pack_tree import pack_tree
from proa.snapshot.stack import Stack


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {}
        for info in archive:
            opened = archive.extractfile(info) if info.isreg() else None
            found[info.name] = opened.read() if opened is not None else b""
        return found


def packed(top: Path) -> dict[str, bytes]:
    parent = os.open(top.parent, os.O_RDONLY)
    try:
        return members(b"".join(pack_tree(parent, top.name, os.fsencode(top.name))))
    finally:
        os.close(parent)


@pytest.mark.parametrize("size", [100, 3_000_000])
@pytest.mark.parametrize("change", ["shrink", "grow", "remove", "replace"])
def test_a_file_that_changes(tmp_path: Path, size: int, change: str) -> None:
    """What was said of its size in the header holds, and what follows it is in its place."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "file").write_bytes(b"a" * size)
    parent = os.open(top, os.O_RDONLY)
    packer = Packer()
    try:
        pieces = []
        assert packer.add(parent, "file", b"file", os.lstat(top / "file"))
        if change == "shrink":
            os.truncate(top / "file", 10)
        elif change == "grow":
            with open(top / "file", "ab") as file:
                file.write(b"b" * 1000)
        elif change == "remove":
            (top / "file").unlink()
        else:
            (top / "file").unlink()
            (top / "file").write_bytes(b"c" * size)
        pieces += packer.pieces()
        (top / "after").write_bytes(b"after")
        packer.add(parent, "after", b"after", os.lstat(top / "after"))
        pieces += packer.pieces()
        pieces.append(packer.end())
    finally:
        packer.close()
        os.close(parent)
    found = members(b"".join(pieces))
    assert found["after"] == b"after"
    assert len(found["file"]) == size
    if change == "shrink" and size > 1000:
        assert found["file"] == b"a" * 10 + bytes(size - 10)
    else:
        assert found["file"] == b"a" * size


def test_what_is_gone_or_something_else_by_now(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    status = os.lstat(tmp_path / "file")
    (tmp_path / "file").unlink()
    parent = os.open(tmp_path, os.O_RDONLY)
    try:
        assert not Packer().add(parent, "file", b"file", status)
        (tmp_path / "file").symlink_to("/etc/passwd")
        assert not Packer().add(parent, "file", b"file", status)
        (tmp_path / "file").unlink()
        os.mkfifo(tmp_path / "file")
        assert not Packer().add(parent, "file", b"file", status)
        with pytest.raises(NotFound):
            list(pack_tree(parent, "none", b"none"))
    finally:
        os.close(parent)


def test_sockets_are_left_out(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(top / "socket"))
    (top / "file").write_bytes(b"x")
    assert packed(top) == {"top": b"", "top/file": b"x"}
    named: list[str] = []
    empty = tmp_path / "empty"
    empty.mkdir()
    with Stack([str(top)], marked=False) as new, Stack([str(empty)], marked=False) as old:
        data = b"".join(
            pack_changes(compare_trees(new, old), skipped=lambda path, _why: named.append(path))
        )
    assert (list(members(data)), named) == (["file"], ["socket"])


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    archives = []
    for name, order in (("one", ("b", "a", "é")), ("two", ("é", "a", "b"))):
        top = tmp_path / name
        top.mkdir()
        for file in order:
            (top / file).write_bytes(b"x")
            os.utime(top / file, (5, 5))
        with Stack([str(top)]) as stack:
            archives.append(b"".join(pack_stack(stack)))
    assert archives[0] == archives[1]
    assert list(members(archives[0])) == ["a", "b", "é"]


def test_no_changes_are_the_layer_that_everybody_knows(tmp_path: Path) -> None:
    with Stack([str(tmp_path)]) as new, Stack([str(tmp_path)]) as old:
        assert b"".join(pack_changes(compare_trees(new, old))) == bytes(1024)


def test_names_that_became_one_file(tmp_path: Path) -> None:
    """Nothing else tells them from two files that are alike."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        for file in ("x", "y"):
            (tmp_path / name / file).write_bytes(b"same")
            os.utime(tmp_path / name / file, (5, 5))
    new = tmp_path / "new"
    (new / "y").unlink()
    os.link(new / "x", new / "y")
    with Stack([str(new)]) as now, Stack([str(tmp_path / "old")]) as before:
        changes = list(compare_trees(now, before))
        assert [change.path for change in changes] == ["x", "y"]


def test_a_deep_tree(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    here = os.getcwd()
    try:
        os.chdir(top)
        for _ in range(300):
            os.mkdir("d")
            os.chdir("d")
        Path("leaf").write_bytes(b"deep")
    finally:
        os.chdir(here)
    assert packed(top)["top/" + "d/" * 300 + "leaf"] == b"deep"
