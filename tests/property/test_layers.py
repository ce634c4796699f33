"""What a layer is for: applied to what was before, it gives what is now. apply(diff(a, b)) == b."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proa.snapshot.apply import apply_layer
from proa.snapshot.diff import Change, compare_trees, compare_upper
from proa.snapshot.overlay import OverlaySnapshots
from proa.snapshot.pack_layer import pack_changes, pack_stack
from proa.snapshot.stack import Stack

pytestmark = pytest.mark.root

NAMES = st.sampled_from(["a", "b", "c", "é", "n" * 120])
TIMES = st.sampled_from([0, 1, 1_700_000_000, 9_000_000_000, -5])
MODES = st.sampled_from([0o644, 0o600, 0o755, 0o4755, 0o2711, 0o1777, 0o000])
OWNERS = st.sampled_from([(0, 0), (7, 8), (3_000_000, 0)])
XATTRS = st.dictionaries(
    st.sampled_from(["user.x", "trusted.t", "trusted.overlay.opaque", "user.long"]),
    st.sampled_from([b"y", b"", b"\0\xff" * 60]),
    max_size=2,
)
CONTENT = st.sampled_from([b"", b"one", b"two", b"x" * 5000, b"\0" * 512, b"z" * 300_000])

attributes = st.tuples(MODES, OWNERS, TIMES)
leaf = st.one_of(
    st.tuples(st.just("file"), attributes, XATTRS, CONTENT),
    st.tuples(st.just("link"), attributes, st.just({}), st.sampled_from([b"a", b"/x" * 70])),
    st.tuples(st.just("fifo"), attributes, st.just({}), st.just(b"")),
    st.tuples(st.just("device"), attributes, st.just({}), st.just(b"")),
    # a further name of the file that has that one
    st.tuples(st.just("same"), attributes, st.just({}), st.sampled_from([b"a", b"b/a", b"c"])),
)
directory = st.deferred(
    lambda: st.tuples(
        st.just("directory"), attributes, XATTRS, st.dictionaries(NAMES, node, max_size=3)
    )
)
node = st.one_of(leaf, leaf, directory)
trees = st.dictionaries(NAMES, node, max_size=4)


def make(path: str, tree: dict[str, Any]) -> None:
    links: list[tuple[str, str]] = []
    _make(path, tree, links)
    for name, target in links:
        found = os.path.join(path, target)
        if os.path.isfile(found) and not os.path.islink(found):
            os.link(found, name)
    _finish(path, tree)


def _make(path: str, tree: dict[str, Any], links: list[tuple[str, str]]) -> None:
    for name, (kind, _, _, more) in tree.items():
        place = os.path.join(path, name)
        if kind == "file":
            Path(place).write_bytes(more)
        elif kind == "link":
            os.symlink(more, place)
        elif kind == "fifo":
            os.mkfifo(place)
        elif kind == "device":
            os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        elif kind == "same":
            links.append((place, os.fsdecode(more)))
        else:
            os.mkdir(place)
            _make(place, more, links)


def _finish(path: str, tree: dict[str, Any]) -> None:
    for name, (kind, (mode, owner, time), xattrs, more) in tree.items():
        place = os.path.join(path, name)
        if kind == "same" or not os.path.lexists(place):
            continue
        if kind == "directory":
            _finish(place, more)
        os.chown(place, *owner, follow_symlinks=False)
        if kind != "link":
            os.chmod(place, mode)
        for key, value in xattrs.items():
            os.setxattr(place, key, value)
        os.utime(place, (time, time), follow_symlinks=False)


def describe(stack: Stack) -> dict[str, Any]:
    """All that a container could see of the tree."""
    found: dict[str, Any] = {}
    names: dict[Any, list[str]] = {}
    pending = [("", stack.top)]
    while pending:
        path, levels = pending.pop()
        for entry in stack.scan(path, levels).values():
            here = f"{path}/{entry.name}" if path else entry.name
            status = entry.status
            content: Any = status.st_rdev
            if stat.S_ISREG(status.st_mode):
                file = stack.open_file(entry.level, here)
                assert file is not None
                with open(file, "rb") as opened:
                    content = opened.read()
            elif stat.S_ISLNK(status.st_mode):
                content = stack.read_link(entry.level, here)
            found[here] = (
                *(oct(status.st_mode), status.st_uid, status.st_gid),
                status.st_mtime_ns // 1_000_000_000,
                stack.xattrs(entry.level, here),
                content,
            )
            if entry.levels:
                pending.append((here, entry.levels))
            elif status.st_nlink > 1:
                names.setdefault(entry.identity, []).append(here)
    groups = frozenset(frozenset(paths) for paths in names.values() if len(paths) > 1)
    return {**found, "links": groups}


@contextmanager
def scratch() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="layers-")
    try:
        yield path
    finally:
        shutil.rmtree(path)


def apply(data: Iterator[bytes], place: str) -> None:
    os.mkdir(place)
    apply_layer(_Reader(data), place)


class _Reader:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._data = b"".join(pieces)
        self._at = 0

    def read(self, size: int, /) -> bytes:
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        return data


quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@quick
@given(before=trees, after=trees)
def test_the_difference_of_two_trees_makes_the_one_of_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    with scratch() as place:
        a, b, layer = (os.path.join(place, name) for name in ("a", "b", "layer"))
        for path, tree in ((a, before), (b, after)):
            os.mkdir(path)
            make(path, tree)
        with Stack([b], marked=False) as new, Stack([a], marked=False) as old:
            apply(pack_changes(compare_trees(new, old)), layer)
            expected = describe(new)
        # what was there before, as a layer: its own xattrs are escaped there
        below = os.path.join(place, "below")
        with Stack([a], marked=False) as old:
            apply(pack_stack(old), below)
        with Stack([layer, below]) as result:
            assert describe(result) == expected


operations = st.lists(
    st.tuples(
        st.sampled_from(
            "write remove mkdir replace rename chmod chown touch xattr link symlink append".split()
        ),
        st.sampled_from(["a", "b", "c", "a/a", "a/b", "b/a", "c/c", "a/a/a", "é"]),
        st.sampled_from(["a", "b", "c/x", "a/b", "b/a/x"]),
    ),
    min_size=1,
    max_size=12,
)


def act(root: str, operation: tuple[str, str, str]) -> None:
    what, first, second = operation
    path, other = os.path.join(root, first), os.path.join(root, second)
    try:
        if what == "write":
            Path(path).write_bytes(b"written anew")
        elif what == "append":
            with open(path, "ab") as file:
                file.write(b"more")
        elif what == "remove":
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        elif what == "mkdir":
            os.makedirs(path)
        elif what == "replace":
            shutil.rmtree(path)
            os.mkdir(path)
            Path(path, "only").write_bytes(b"this")
        elif what == "rename":
            os.rename(path, other)
        elif what == "chmod":
            os.chmod(path, 0o751)
        elif what == "chown":
            os.chown(path, 5, 6, follow_symlinks=False)
        elif what == "touch":
            os.utime(path, (77, 77), follow_symlinks=False)
        elif what == "xattr":
            os.setxattr(path, "user.new", b"value")
        elif what == "link":
            os.link(path, other)
        else:
            os.symlink("somewhere", path)
    except OSError:
        return  # cannot be done to what is there: a container's programs try such things, too


@quick
@given(before=trees, done=operations)
def test_what_overlayfs_wrote_becomes_a_layer(
    before: dict[str, Any], done: list[tuple[str, str, str]]
) -> None:
    with scratch() as place:
        source, key = os.path.join(place, "source"), os.path.join(place, "key")
        snapshots = OverlaySnapshots(place)
        lower = snapshots.layer_path("sha256:00")
        os.makedirs(os.path.dirname(lower))
        os.mkdir(source)
        for name in before:
            if before[name][0] == "fifo":  # opened by what is done, it would wait for a reader
                before = {**before, name: ("file", *before[name][1:])}
        make(source, before)
        with Stack([source], marked=False) as tree:
            apply(pack_stack(tree), lower)
        snapshots.prepare(key, ["sha256:00"])
        mount = snapshots.mount(key, ["sha256:00"])
        try:
            for operation in done:
                act(f"/proc/self/fd/{mount}", operation)
            with Stack([f"/proc/self/fd/{mount}/."], marked=False) as seen:
                expected = describe(seen)
        finally:
            os.close(mount)
        layer = os.path.join(place, "layer")
        below = snapshots.lower(["sha256:00"])
        changes: list[Change] = []
        apply(pack_changes(_noted(compare_upper([f"{key}/upper"], below), changes)), layer)
        with Stack([layer, *below]) as result:
            found = describe(result)
        # a copied-up file is no other name of what it was one of below
        expected.pop("links"), found.pop("links")
        assert found == expected
        assert [change.path for change in changes] == sorted(
            (change.path for change in changes), key=lambda path: os.fsencode(path).split(b"/")
        )


def _noted(changes: Iterator[Change], into: list[Change]) -> Iterator[Change]:
    for change in changes:
        into.append(change)
        yield change
