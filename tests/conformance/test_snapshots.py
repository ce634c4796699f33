"""What every way of putting layers together does alike: `proa.snapshot.protocol`."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proa.errors import KernelError, NotFound, ProaError
from proa.snapshot import overlay
from proa.snapshot.copy import CopySnapshots
from proa.snapshot.diff import ADDED, DELETED, MODIFIED
from proa.snapshot.overlay import OverlaySnapshots

if TYPE_CHECKING:
    from proa.snapshot.protocol import Snapshots

pytestmark = pytest.mark.root

Fill = Callable[[Path], object]


@pytest.fixture(params=["overlay", "overlay of Linux 5", "copy"])
def snapshots(
    request: pytest.FixtureRequest, engine_root: str, monkeypatch: pytest.MonkeyPatch
) -> Snapshots:
    """Each implementation, on an empty store."""
    os.makedirs(f"{engine_root}/layers", mode=0o700)
    if request.param == "copy":
        return CopySnapshots(engine_root)
    if request.param != "overlay":

        def refuse(*_: object) -> int:
            raise OSError(22, "Invalid argument")  # what they say about `lowerdir+`

        monkeypatch.setattr(overlay, "_mount_by_descriptors", refuse)
        monkeypatch.setattr(overlay, "_takes_layers_one_by_one", lambda: False)
    return OverlaySnapshots(engine_root)


def layer(snapshots: Snapshots, name: str, fill: Fill) -> str:
    """A layer with what `fill` makes; its diff ID."""
    diff_id = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    path = Path(snapshots.layer_path(diff_id))
    path.mkdir(parents=True)
    path.chmod(0o755)
    fill(path)
    return diff_id


@contextmanager
def seen(descriptor: int) -> Iterator[Path]:
    """The detached mount `descriptor` as a directory."""
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def opaque(path: Path) -> None:
    path.mkdir()
    os.setxattr(path, "trusted.overlay.opaque", b"y")


def names(path: Path) -> set[str]:
    # what lies below every image is not of the image
    return set(os.listdir(f"{path}/.")) - {".dockerenv", "dev", "etc", "proc", "sys"}


@pytest.fixture
def layers(snapshots: Snapshots) -> list[str]:
    def base(path: Path) -> None:
        (path / "kept").write_text("base")
        (path / "changed").write_text("old")
        (path / "deleted").write_text("gone")
        (path / "emptied").mkdir()
        (path / "emptied" / "below").write_text("hidden")
        (path / "both").mkdir()
        (path / "both" / "one").write_text("1")
        os.symlink("kept", path / "link")

    def top(path: Path) -> None:
        (path / "changed").write_text("new")
        (path / "changed").chmod(0o4711)
        whiteout(path / "deleted")
        opaque(path / "emptied")
        (path / "emptied" / "anew").write_text("shown")
        (path / "both").mkdir()
        (path / "both" / "two").write_text("2")

    return [layer(snapshots, "base", base), layer(snapshots, "top", top)]


@pytest.fixture
def key(engine_root: str, snapshots: Snapshots, layers: list[str]) -> str:
    """A prepared snapshot."""
    directory = f"{engine_root}/key"
    snapshots.prepare(directory, layers)
    return directory


def test_upper_layers_change_lower_ones(snapshots: Snapshots, layers: list[str], key: str) -> None:
    with seen(snapshots.mount(key, layers)) as root:
        assert names(root) == {"kept", "changed", "emptied", "both", "link"}
        assert (root / "kept").read_text() == "base"
        assert (root / "changed").read_text() == "new"
        assert stat.S_IMODE((root / "changed").stat().st_mode) == 0o4711
        assert names(root / "emptied") == {"anew"}
        assert names(root / "both") == {"one", "two"}
        assert os.readlink(root / "link") == "kept"


def test_there_is_what_a_container_needs_below_every_image(
    snapshots: Snapshots, layers: list[str], key: str
) -> None:
    with seen(snapshots.mount(key, layers)) as root:
        assert (root / "proc").is_dir() and (root / "etc" / "hosts").is_file()


def test_what_is_written_stays_in_the_snapshot(
    snapshots: Snapshots, layers: list[str], key: str
) -> None:
    with seen(snapshots.mount(key, layers)) as root:
        (root / "kept").write_text("mine")
        (root / "made").write_text("mine too")
        (root / "changed").unlink()
    for diff_id in layers:
        assert "made" not in os.listdir(snapshots.layer_path(diff_id))
    assert Path(snapshots.layer_path(layers[0]), "kept").read_text() == "base"

    with seen(snapshots.mount(key, layers)) as root:
        assert (root / "kept").read_text() == "mine"
        assert names(root) == {"kept", "made", "emptied", "both", "link"}
    with seen(snapshots.view(layers)) as root:
        assert (root / "kept").read_text() == "base"


def test_changes_are_told(snapshots: Snapshots, layers: list[str], key: str) -> None:
    with seen(snapshots.mount(key, layers)) as root:
        (root / "made").write_text("1")
        (root / "both" / "one").write_text("2")
        (root / "kept").unlink()

    told = {change.path: change.kind for change in snapshots.changes(key, layers)}
    told.pop("both", None)  # a directory in which something is new

    assert told == {"made": ADDED, "both/one": MODIFIED, "kept": DELETED}


def test_of_nothing_changed_nothing_is_told(
    snapshots: Snapshots, layers: list[str], key: str
) -> None:
    assert list(snapshots.changes(key, layers)) == []
    os.close(snapshots.mount(key, layers))
    assert list(snapshots.changes(key, layers)) == []


def test_files_are_there_without_a_mount(snapshots: Snapshots, layers: list[str], key: str) -> None:
    with seen(snapshots.mount(key, layers)) as root:
        (root / "made").write_text("1")
    with seen(snapshots.look(key, layers)) as root:
        assert names(root) == {"kept", "changed", "emptied", "both", "link", "made"}
        with pytest.raises(OSError):
            (root / "more").write_text("no")


@pytest.mark.parametrize("way", ["read-only", "view"])
def test_read_only_is_read_only(
    snapshots: Snapshots, layers: list[str], key: str, way: str
) -> None:
    mounted = (
        snapshots.view(layers) if way == "view" else snapshots.mount(key, layers, read_only=True)
    )
    with seen(mounted) as root:
        assert (root / "kept").read_text() == "base"
        with pytest.raises(OSError):
            (root / "kept").write_text("no")
        with pytest.raises(OSError):
            (root / "more").mkdir()


def test_a_mount_is_attached_nowhere(snapshots: Snapshots, layers: list[str], key: str) -> None:
    with seen(snapshots.mount(key, layers)), open("/proc/self/mountinfo") as file:
        assert key not in file.read()


def test_the_root_belongs_to_whom_the_image_says(snapshots: Snapshots, engine_root: str) -> None:
    owned = layer(snapshots, "owned", lambda path: os.chown(path, 7, 8))
    snapshots.prepare(f"{engine_root}/owned", [owned])

    with seen(snapshots.mount(f"{engine_root}/owned", [owned])) as root:
        status = os.stat(f"{root}/.")
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (7, 8, 0o755)


def test_many_layers(snapshots: Snapshots, engine_root: str) -> None:
    # a page of mount(2) holds some 500 descriptors; by paths it would hold some 50 layers
    def fill(number: int) -> Fill:
        return lambda path: (path / f"file-{number}").write_text(str(number))

    many = [layer(snapshots, f"many-{number}", fill(number)) for number in range(150)]
    snapshots.prepare(f"{engine_root}/many", many)

    with seen(snapshots.mount(f"{engine_root}/many", many)) as root:
        assert len(names(root)) == 150


def test_no_layer_at_all(snapshots: Snapshots, engine_root: str) -> None:
    snapshots.prepare(f"{engine_root}/none", ())
    with seen(snapshots.mount(f"{engine_root}/none", ())) as root:
        (root / "made").write_text("1")
        assert names(root) == {"made"}


def test_a_missing_layer_is_named(snapshots: Snapshots, layers: list[str], key: str) -> None:
    missing = "sha256:" + "0" * 64

    with pytest.raises(NotFound, match="0" * 64):
        snapshots.mount(key, [*layers, missing])


def test_a_missing_snapshot_is_an_error(
    snapshots: Snapshots, layers: list[str], engine_root: str
) -> None:
    with pytest.raises((NotFound, KernelError)) as caught:
        snapshots.mount(f"{engine_root}/nobody", layers)
    assert isinstance(caught.value, ProaError) and "nobody" in str(caught.value)


def test_removed_is_removed(snapshots: Snapshots, layers: list[str], key: str) -> None:
    outside = Path(f"{key}-outside")
    outside.write_text("kept")
    with seen(snapshots.mount(key, layers)) as root:
        (root / "deep" / "er").mkdir(parents=True)
        os.symlink(outside, root / "out")

    snapshots.remove(key)
    snapshots.remove(key)

    assert not os.path.exists(key)
    assert outside.read_text() == "kept"


@pytest.mark.parametrize("name", ["a,b", "a:b", "a\\b", "a b", "é" * 60])
def test_names_mean_nothing(
    snapshots: Snapshots, layers: list[str], engine_root: str, name: str
) -> None:
    key = f"{engine_root}/{name}"
    snapshots.prepare(key, layers)

    with seen(snapshots.mount(key, layers)) as root:
        assert (root / "kept").read_text() == "base"
