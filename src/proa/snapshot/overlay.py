"""Snapshots by overlayfs: layers are shared, a container has an upper directory of its own.

Kernel facts, Documentation/filesystems/overlayfs.rst: layers are given one by one (`lowerdir+`,
Linux 6.7), topmost first, at most 500; without an upper directory there must be two of them;
inside a user namespace the kernel lets overlay keep its marks in `user.overlay.*` (`userxattr`,
Linux 5.11), outside in `trusted.overlay.*`.
"""

from __future__ import annotations

import posix
from errno import EACCES, EINVAL, ENODEV, ENOENT, EPERM

from proa.errors import KernelError, NotFound, PermissionDenied, Unsupported
from proa.kernel.mount import (
    FSCONFIG_STRING_LIMIT,
    MOUNT_ATTR_RDONLY,
    OPEN_TREE_CLONE,
    fsconfig_create,
    fsconfig_flag,
    fsconfig_string,
    fsmount,
    fsopen,
    mount_setattr,
    open_tree,
)
from proa.kernel.path import AT_FDCWD, encode
from proa.snapshot.protocol import Usage
from proa.snapshot.remove import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proa.snapshot.diff import Change
    from proa.snapshot.stack import Stack

BASE = ".base"
"""Among the layers, whose names are hex: what lies below every image; see `proa.snapshot.base`."""

_INITIAL_USER_NAMESPACE = "user:[4026531837]"
"""Its inode is a constant of the kernel: PROC_USER_INIT_INO, include/linux/proc_ns.h."""

OPTIONS = (
    # The kernel's defaults are a matter of its configuration. With redirects or with copies of
    # metadata alone, an upper directory would not say by itself what has changed.
    ("redirect_dir", "nofollow"),
    ("metacopy", "off"),
    ("index", "off"),
)


def in_user_namespace() -> bool:
    """Whether this process is in a user namespace other than the initial one."""
    return posix.readlink("/proc/self/ns/user") != _INITIAL_USER_NAMESPACE


class OverlaySnapshots:
    """The protocol `Snapshots` by overlayfs. Safe to use from several threads."""

    kind = "overlay"

    def __init__(self, root: str) -> None:
        self.root = root
        self._layers = f"{root}/layers"

    def layer_path(self, diff_id: str) -> str:
        """Where the layer's files lie."""
        return f"{self._layers}/{diff_id.partition(':')[2]}/fs"

    def prepare(self, key_dir: str, layers: Sequence[str] = ()) -> None:
        """Make `upper` and `work` in `key_dir`."""
        make_directory(key_dir, 0o700)
        make_directory(f"{key_dir}/work", 0o700)
        upper = f"{key_dir}/upper"
        if make_directory(upper, 0o755) and layers:
            take_owner(upper, self.layer_path(layers[-1]))

    def mount(self, key_dir: str, layers: Sequence[str], *, read_only: bool = False) -> int:
        """A detached overlay of `layers` and the snapshot's upper directory."""
        return self._overlay(self.lower(layers), key_dir, MOUNT_ATTR_RDONLY if read_only else 0)

    def lower(self, layers: Sequence[str]) -> list[str]:
        """The directories below a snapshot's own, topmost first."""
        return [*(self.layer_path(layer) for layer in reversed(layers)), f"{self._layers}/{BASE}"]

    def view(self, layers: Sequence[str]) -> int:
        """A detached read-only overlay of `layers`."""
        if not layers:
            return read_only_clone(self._empty())
        lower = [self.layer_path(layer) for layer in reversed(layers)]
        if len(lower) == 1:
            lower.append(self._empty())
        return self._overlay(lower, None, MOUNT_ATTR_RDONLY)

    def look(self, key_dir: str, layers: Sequence[str]) -> int:
        """A detached overlay in which the upper directory is but the topmost layer."""
        lower = [self.changed(key_dir), *self.lower(layers)]
        return self._overlay(lower, None, MOUNT_ATTR_RDONLY)

    def files(self, key_dir: str, layers: Sequence[str]) -> Stack:
        """The upper directory over the layers."""
        from proa.snapshot.stack import Stack

        return Stack([self.changed(key_dir), *self._present(layers)])

    def changed(self, key_dir: str) -> str:
        """The upper directory."""
        return f"{key_dir}/upper"

    def changes(self, key_dir: str, layers: Sequence[str]) -> Iterator[Change]:
        """What the upper directory changes of the layers below it."""
        from proa.snapshot.diff import compare_upper

        yield from compare_upper([self.changed(key_dir)], self._present(layers))

    def usage(self, key_dir: str) -> Usage:
        """What the upper directory takes."""
        return measure(f"{key_dir}/upper")

    def remove(self, key_dir: str) -> None:
        """Remove `key_dir` and all below it."""
        remove_tree(key_dir)

    def _present(self, layers: Sequence[str]) -> list[str]:
        lower = self.lower(layers)
        if not _is_directory(lower[-1]):
            del lower[-1]  # what lies below every image is made with the first mount
        return lower

    def _empty(self) -> str:
        """An empty directory, where the kernel wants a lower one and there is none.

        It lies among the layers; its name cannot be the hex of a digest.
        """
        path = f"{self._layers}/.empty"
        make_directory(self._layers, 0o700)
        make_directory(path, 0o755)
        return path

    def _has_made_base(self, lower: Sequence[str]) -> bool:
        """Make what lies below every image, the first time it is needed.

        Whether it may have been missing: someone else may just have made it.
        """
        base = f"{self._layers}/{BASE}"
        if lower[-1] != base:
            return False
        if not _is_directory(base):
            from proa.snapshot.base import make_base

            make_directory(self._layers, 0o700)
            make_base(base)
        return True

    def _overlay(self, lower: Sequence[str], key_dir: str | None, attributes: int) -> int:
        try:
            return self._mount_overlay(lower, key_dir, attributes)
        except OSError as error:
            failure = error
        if failure.errno == ENOENT and self._has_made_base(lower):
            try:
                return self._mount_overlay(lower, key_dir, attributes)
            except OSError as error:
                failure = error
        raise explain(failure, lower, key_dir)

    def _mount_overlay(self, lower: Sequence[str], key_dir: str | None, attributes: int) -> int:
        try:
            return _mount_by_descriptors(lower, key_dir, attributes)
        except OSError as error:
            if error.errno != EINVAL or _takes_layers_one_by_one():
                raise
        from proa.snapshot.overlay_legacy import mount_by_namespace

        return mount_by_namespace(lower, key_dir, attributes, target=self._layers)


def _mount_by_descriptors(lower: Sequence[str], key_dir: str | None, attributes: int) -> int:
    context = fsopen("overlay")
    handles: list[int] = []
    try:
        for path in lower:
            fsconfig_string(context, "lowerdir+", _reference(path, handles))
        if key_dir is not None:
            fsconfig_string(context, "upperdir", _reference(f"{key_dir}/upper", handles))
            fsconfig_string(context, "workdir", _reference(f"{key_dir}/work", handles))
        for key, value in OPTIONS:
            fsconfig_string(context, key, value)
        if in_user_namespace():
            fsconfig_flag(context, "userxattr")
        fsconfig_create(context)
        return fsmount(context, attributes)
    finally:
        posix.close(context)
        for handle in handles:
            posix.close(handle)


def _reference(path: str, handles: list[int]) -> str:
    """`path` in a form that fsconfig takes as it is.

    It takes 255 bytes, and unescapes backslashes in some of the options and not in others.
    """
    if "\\" not in path and len(encode(path)) <= FSCONFIG_STRING_LIMIT:
        return path
    handle = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    handles.append(handle)
    return f"/proc/self/fd/{handle}"


def _takes_layers_one_by_one() -> bool:
    major, minor = posix.uname().release.split(".", 2)[:2]
    digits = "".join(character for character in minor if character.isdigit())
    return (int(major), int(digits or 0)) >= (6, 7)


def explain(error: OSError, lower: Sequence[str], key_dir: str | None) -> Exception:
    """The kind of error that stands for a failed overlay mount."""
    if error.errno == ENOENT:
        for path in lower:
            if not _is_directory(path):
                return NotFound(
                    f"no such layer: {path} is missing; load the image again to restore it"
                )
        if key_dir is not None and not _is_directory(f"{key_dir}/upper"):
            return NotFound(f"no such snapshot: {key_dir}/upper is missing")
    text = f"cannot mount the overlay of {len(lower)} layers"
    if key_dir is not None:
        text += f" for {key_dir}"
    text += f": {error.strerror}"
    if error.errno in (EPERM, EACCES):
        return PermissionDenied(f"{text}; it takes root, or a user namespace")
    if error.errno == ENODEV:
        return Unsupported(f"{text}; this kernel has no overlayfs: try 'modprobe overlay'")
    return KernelError(text)


def _is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except OSError:
        return False


def read_only_clone(path: str) -> int:
    """A detached read-only mount of the directory `path` alone."""
    fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE)
    try:
        mount_setattr(fd, "", attr_set=MOUNT_ATTR_RDONLY)
    except OSError:
        posix.close(fd)
        raise
    return fd


def make_directory(path: str, mode: int) -> bool:
    """Make the directory `path` with exactly `mode`; whether it was not there before."""
    try:
        posix.mkdir(path, mode)
    except FileExistsError:
        return False
    posix.chmod(path, mode)  # whatever the umask is
    return True


def take_owner(path: str, model: str) -> None:
    """Give the directory `path` the owner that `model` has, if it has another."""
    try:
        like, own = posix.stat(model), posix.stat(path)
    except FileNotFoundError:
        return  # the mount will tell which layer is missing
    if (like.st_uid, like.st_gid) != (own.st_uid, own.st_gid):
        posix.chown(path, like.st_uid, like.st_gid)


def measure(path: str) -> Usage:
    """Add up what lies below the directory `path`. Links are not followed."""
    size = disk = entries = 0
    seen: set[tuple[int, int]] = set()
    pending = [path]
    while pending:
        directory = pending.pop()
        try:
            with posix.scandir(directory) as found:
                for entry in found:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{directory}/{entry.name}")
                    else:
                        if status.st_nlink > 1:
                            if (status.st_dev, status.st_ino) in seen:
                                continue
                            seen.add((status.st_dev, status.st_ino))
                        size += status.st_size
                    disk += status.st_blocks * 512
                    entries += 1
        except (FileNotFoundError, NotADirectoryError):
            if directory == path:
                raise NotFound(f"no such snapshot: {path} is missing") from None
            # a running container removed it meanwhile
    return Usage(size, disk, entries)
