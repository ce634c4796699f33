from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proa.kernel import path as paths


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "outside").write_text("secret")
    inside = tmp_path / "root"
    inside.mkdir()
    (inside / "outside").write_text("own")
    (inside / "up").symlink_to("../outside")
    (inside / "absolute").symlink_to("/outside")
    (inside / "dangling").symlink_to("/nowhere")
    (inside / "d").mkdir()
    (inside / "to-d").symlink_to("/d")
    fd = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def read(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", ["up", "absolute", "/outside", "../../outside", "d/../up"])
def test_a_path_in_the_root_cannot_leave_it(root: int, name: str) -> None:
    assert read(paths.open_in_root(root, name, os.O_RDONLY)) == b"own"


@pytest.mark.parametrize("name", ["up", "absolute", "../outside", "/etc/passwd"])
def test_beneath_refuses_to_leave(root: int, name: str) -> None:
    with pytest.raises(OSError) as caught:
        paths.openat2(root, name, os.O_RDONLY, resolve=paths.RESOLVE_BENEATH)
    assert caught.value.errno == errno.EXDEV
    assert caught.value.filename == name


def test_links_are_refused_when_asked(root: int) -> None:
    with pytest.raises(OSError) as caught:
        paths.openat2(root, "to-d", os.O_PATH, resolve=paths.RESOLVE_NO_SYMLINKS)
    assert caught.value.errno == errno.ELOOP


def test_magic_links_are_refused(root: int) -> None:
    proc = os.open("/proc", os.O_PATH)
    try:
        with pytest.raises(OSError) as caught:
            paths.open_in_root(proc, "self/exe", os.O_RDONLY)
        assert caught.value.errno == errno.ELOOP
    finally:
        os.close(proc)


def test_descriptors_close_on_exec(root: int) -> None:
    fd = paths.open_in_root(root, "outside", os.O_RDONLY)
    try:
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_a_file_is_created_with_its_mode(root: int, tmp_path: Path) -> None:
    os.close(paths.open_in_root(root, "d/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
    assert (tmp_path / "root/d/new").stat().st_mode & 0o7777 == 0o640


def test_a_nul_is_not_a_shorter_path(root: int) -> None:
    with pytest.raises(ValueError, match="NUL"):
        paths.open_in_root(root, "outside\0x", os.O_RDONLY)


def test_directories_are_made_below_links(root: int, tmp_path: Path) -> None:
    os.close(paths.mkdirs_in_root(root, "/to-d/x/./y"))
    os.close(paths.mkdirs_in_root(root, "/to-d/x/y"))
    assert (tmp_path / "root/d/x/y").is_dir()
    fd = paths.mkdirs_in_root(root, "/")
    assert os.fstat(fd).st_ino == os.fstat(root).st_ino
    os.close(fd)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("dangling/x", errno.ELOOP),
        ("outside/x", errno.ENOTDIR),
        ("missing/../x", errno.EINVAL),
    ],
)
def test_directories_are_not_made_where_it_is_unclear(root: int, name: str, number: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as caught:
        paths.mkdirs_in_root(root, name)
    assert caught.value.errno == number
    assert len(os.listdir("/proc/self/fd")) == before
