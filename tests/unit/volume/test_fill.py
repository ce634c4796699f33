from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proa.snapshot.stack import Stack
from proa.volume import fill as module
from proa.volume.draft import COPIED, COPYING, is_due
from proa.volume.fill import fill


@contextmanager
def opened(*paths: Path) -> Iterator[list[int]]:
    descriptors = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in paths]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    (path / "d").mkdir(parents=True)
    (path / "d" / "deep").write_text("deep")
    (path / "a").write_text("a")
    os.symlink("/nowhere", path / "link")
    path.chmod(0o751)
    return path


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume" / "_data").mkdir(parents=True)
    return tmp_path / "volume"


def run(source: Path, volume: Path, *, inside: bool = False) -> None:
    place = volume / "_data" if inside else volume
    with Stack([str(source)], marked=False) as stack, opened(volume / "_data", place) as found:
        fill(stack, *found)


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


@pytest.mark.parametrize("inside", [False, True])
def test_a_copy(source: Path, volume: Path, inside: bool) -> None:
    run(source, volume, inside=inside)
    data = volume / "_data"
    assert names(data) == ["a", "d", "link"] and names(volume) == ["_data"]
    assert (data / "d" / "deep").read_text() == "deep"
    assert os.readlink(data / "link") == "/nowhere"
    assert data.stat().st_mode & 0o7777 == 0o751
    assert data.stat().st_mtime_ns == source.stat().st_mtime_ns


def test_what_is_there_stays(source: Path, volume: Path) -> None:
    (volume / "_data" / "mine").write_text("x")
    run(source, volume)
    assert names(volume / "_data") == ["mine"]


@pytest.mark.parametrize("inside", [False, True])
def test_an_incomplete_copy_is_made_anew(source: Path, volume: Path, inside: bool) -> None:
    draft = (volume / "_data" if inside else volume) / COPYING
    (draft / "old").mkdir(parents=True)
    run(source, volume, inside=inside)
    assert names(volume / "_data") == ["a", "d", "link"] and names(volume) == ["_data"]


@pytest.mark.parametrize("inside", [False, True])
def test_a_complete_copy_is_moved_to_the_end(source: Path, volume: Path, inside: bool) -> None:
    draft = (volume / "_data" if inside else volume) / COPIED
    draft.mkdir()
    (draft / "rest").write_text("rest")
    (draft / "taken").write_text("of the image")
    draft.chmod(0o711)
    (volume / "_data" / "moved").write_text("moved")
    (volume / "_data" / "taken").write_text("of somebody")
    run(source, volume, inside=inside)
    data = volume / "_data"
    assert names(data) == ["moved", "rest", "taken"] and names(volume) == ["_data"]
    assert (data / "taken").read_text() == "of somebody"
    assert data.stat().st_mode & 0o7777 == 0o711


def test_whether_it_is_due(volume: Path) -> None:
    with opened(volume / "_data", volume) as (data, place):
        assert is_due(data, place)
        (volume / "_data" / "x").write_text("")
        assert not is_due(data, place)
        (volume / COPIED).mkdir()
        assert is_due(data, place)


def test_one_that_fails_leaves_nothing(
    source: Path, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(module, "copy_tree", broken)
    with pytest.raises(OSError):
        run(source, volume)
    assert names(volume) == ["_data"] and names(volume / "_data") == []


def test_the_tree_below_a_directory_of_layers(tmp_path: Path) -> None:
    for name in ("top/a/b", "low/a/b", "low/a/c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "top/a/b/new").write_text("")
    (tmp_path / "low/a/b/old").write_text("")
    os.symlink("/etc", tmp_path / "top/a/away")
    with Stack([str(tmp_path / "top"), str(tmp_path / "low")]) as stack:
        below = stack.below("a/b")
        assert below is not None
        with below:
            assert sorted(below.scan("", below.top)) == ["new", "old"]
        for missing in ("a/x", "a/away", "a/b/new", "x/y"):
            assert stack.below(missing) is None
        whole = stack.below("")
        assert whole is not None
        with whole:
            assert list(whole.scan("", whole.top)) == ["a"]
