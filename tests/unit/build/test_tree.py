from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from proa import Conflict, NotFound
from proa.build import tree as trees
from proa.build.dockerfile.ignore import Ignore
from proa.build.fingerprint import Digests, fingerprint
from proa.build.tree import Tree, literal


def tree_of(path: Path, ignore: str = "") -> Tree:
    return Tree(os.open(path, os.O_PATH | os.O_DIRECTORY), "it", Ignore.parse(ignore))


def targets(tree: Tree, pattern: str, **options: object) -> list[str]:
    return [item.target for item in tree.select(pattern, **options)]  # type: ignore[arg-type]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("a", "d/x", "d/e/y", "skip/s", "skip/deep/kept", "odd [1]"):
        path = tmp_path / "context" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "context"


def test_what_is_ignored_is_never_looked_at(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = trees.open_in_root

    def recording(root: int, path: str, flags: int) -> int:
        opened.append(path)
        return real(root, path, flags)

    monkeypatch.setattr(trees, "open_in_root", recording)
    with tree_of(files, "skip") as tree:
        assert targets(tree, "/") == ["", "a", "d", "d/e", "d/e/y", "d/x", "odd [1]"]
    assert not [path for path in opened if path.startswith("skip")]
    with tree_of(files, "skip\n!skip/deep") as tree:
        assert [name for name in targets(tree, "/") if name.startswith("skip")] == [
            "skip",
            "skip/deep",
            "skip/deep/kept",
        ]
        with pytest.raises(NotFound, match="excluded"):
            tree.select("skip/s")


def test_names_with_wildcards_in_them(files: Path) -> None:
    with tree_of(files) as tree:
        assert targets(tree, literal("odd [1]")) == ["odd [1]"]
        assert targets(tree, "odd*") == ["odd [1]"]
        assert targets(tree, "nothing*") == []


def test_a_file_that_changes_meanwhile_is_noticed(files: Path) -> None:
    with tree_of(files) as tree:
        items = tree.select("d")
        (files / "d/x").write_text("other")
        with pytest.raises(Conflict, match="/d/x in it changed while it was read"):
            fingerprint(tree, items, Digests(), with_owners=False)


def test_files_are_read_once(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = str(tmp_path / "kept")
    # as if some time had passed
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)

    def digest() -> str:
        with tree_of(files) as tree:
            digests = Digests(kept)
            found, _ = fingerprint(tree, tree.select("/"), digests, with_owners=False)
            digests.save()
            return found

    first = digest()
    reads: list[int] = []
    real = os.read
    monkeypatch.setattr(os, "read", lambda file, size: reads.append(file) or real(file, size))
    assert digest() == first
    assert reads == []
    times = os.stat(files / "a")
    (files / "a").write_text("b")
    os.utime(files / "a", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest() != first
    assert reads


def test_a_file_too_new_to_tell_is_read_again(files: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with tree_of(files) as tree:
        digests = Digests(str(kept))
        fingerprint(tree, tree.select("/"), digests, with_owners=False)
        digests.save()
    assert not kept.exists()
