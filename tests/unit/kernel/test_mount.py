from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from proa.kernel import mount


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_an_error_names_what_it_is_about(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(OSError) as caught:
        mount.umount(missing)
    assert caught.value.filename == missing
    with pytest.raises(OSError) as caught:
        mount.open_tree(mount.AT_FDCWD, missing)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, missing)


def test_a_nul_is_not_a_shorter_path() -> None:
    with pytest.raises(ValueError, match="NUL"):
        mount.mount(None, "/tmp\0x")


def test_mount_ids_tell_mounts_apart() -> None:
    assert mount.mount_id(mount.AT_FDCWD, "/proc") != mount.mount_id(mount.AT_FDCWD, "/sys")
    fd = os.open("/proc", os.O_PATH)
    try:
        assert mount.mount_id(fd) == mount.mount_id(mount.AT_FDCWD, "/proc")
    finally:
        os.close(fd)


@pytest.mark.root
def test_a_detached_mount_is_seen_by_nobody_else() -> None:
    mounts = Path("/proc/self/mountinfo")
    before = mounts.read_text()
    descriptors = open_descriptors()
    context = mount.fsopen("tmpfs")
    mount.fsconfig_string(context, "size", "64k")
    mount.fsconfig_create(context)
    tree = mount.fsmount(context, mount.MOUNT_ATTR_NOSUID)
    os.close(context)
    os.mkdir("d", dir_fd=tree)
    mount.mount_setattr(tree, "", attr_set=mount.MOUNT_ATTR_RDONLY)
    with pytest.raises(OSError) as caught:
        os.mkdir("e", dir_fd=tree)
    assert caught.value.errno == errno.EROFS
    clone = mount.open_tree(tree, "d", mount.OPEN_TREE_CLONE)
    assert mount.mount_id(clone) != mount.mount_id(tree)
    assert mounts.read_text() == before
    os.close(clone)
    os.close(tree)
    assert open_descriptors() == descriptors


@pytest.mark.root
def test_the_kernel_explains_itself() -> None:
    context = mount.fsopen("overlay")
    try:
        with pytest.raises(OSError) as caught:
            mount.fsconfig_string(context, "bogus", "x")
        assert "Unknown parameter 'bogus'" in str(caught.value)
        assert caught.value.filename == "bogus=x"
    finally:
        os.close(context)


@pytest.mark.root
def test_a_mount_is_attached_and_detached(tmp_path: Path) -> None:
    context = mount.fsopen("tmpfs")
    mount.fsconfig_create(context)
    tree = mount.fsmount(context)
    os.close(context)
    mount.mount_setattr(tree, "", propagation=mount.MS_PRIVATE)
    mount.attach(tree, str(tmp_path))
    try:
        assert os.path.ismount(tmp_path)
        again = mount.fspick(mount.AT_FDCWD, str(tmp_path))
        mount.fsconfig_flag(again, "ro")
        mount.fsconfig_reconfigure(again)
        os.close(again)
        with pytest.raises(OSError) as caught:
            (tmp_path / "x").touch()
        assert caught.value.errno == errno.EROFS
    finally:
        mount.umount(str(tmp_path), mount.MNT_DETACH)
        os.close(tree)
    assert not os.path.ismount(tmp_path)
