"""Writing the members of a layer's tar into its directory.

The archive is hostile. A member's parent directory is reached by a descriptor that openat2
resolved beneath the layer's directory, and its last name by system calls that follow no link.
The directory belongs to the extraction alone while it lasts.
"""

from __future__ import annotations

import os
import stat
from errno import (
    EACCES,
    EDQUOT,
    EEXIST,
    EFBIG,
    EINVAL,
    EISDIR,
    ELOOP,
    EMLINK,
    ENAMETOOLONG,
    ENODATA,
    ENOENT,
    ENOSPC,
    ENOTDIR,
    ENOTSUP,
    EOVERFLOW,
    EPERM,
    EXDEV,
)

from proa.errors import (
    CorruptData,
    HostileData,
    LimitExceeded,
    NoSpace,
    PermissionDenied,
    ProaError,
    Unsupported,
)
from proa.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV, openat2
from proa.snapshot.remove import remove_tree
from proa.snapshot.tar import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMBOLIC_LINK,
    TarEntry,
)
from proa.snapshot.whiteout import META_PREFIX, OPAQUE, PREFIX, Marks, is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.snapshot.pack import Content

_BENEATH = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ID_LIMIT = (1 << 32) - 1  # the last number means "leave it" to chown
_OPEN_PARENTS = 64
_DEFAULT_ACL = b"system.posix_acl_default"
_NODES = {
    CHARACTER_DEVICE: stat.S_IFCHR,
    BLOCK_DEVICE: stat.S_IFBLK,
    FIFO: stat.S_IFIFO,
}


class Extraction:
    """One layer on its way into the directory `root_fd`.

    `ignore_chown_errors` gives files whose owner this user namespace does not have to the
    namespace's root instead of refusing them. `depth`: how many names a path may have.
    """

    def __init__(
        self,
        root_fd: int,
        *,
        ignore_chown_errors: bool = False,
        path_length: int = 4095,
        depth: int = 512,
    ) -> None:
        self._root = root_fd
        self._ignore_chown_errors = ignore_chown_errors
        self._path_length = path_length
        self._depth = depth
        self._marks = Marks()
        self._ids = os.geteuid(), os.getegid()
        """whose a new file is, as long as all directories are of our group"""
        self._masked = 0o7777 if _has_default_acl(root_fd) else 0o7000 | _umask()
        """bits of a mode that a new file may not get"""
        self._parents: dict[bytes, int] = {b"": root_fd}
        self._times: dict[bytes, int] = {}
        self._make = {
            REGULAR: self._file,
            DIRECTORY: self._directory,
            SYMBOLIC_LINK: self._symbolic_link,
            HARD_LINK: self._hard_link,
            CHARACTER_DEVICE: self._device,
            BLOCK_DEVICE: self._device,
            FIFO: self._fifo,
        }
        self.disk = 0
        """Bytes that the files take, in blocks of 4096."""

    def add(self, entry: TarEntry, reader: Content) -> None:
        """Write one member. Raises CorruptData, HostileData, NoSpace, PermissionDenied, …"""
        name = entry.name
        try:
            path = self._clean(name)
            parent, _, base = path.rpartition(b"/")
            if base[:4] == PREFIX:
                self._whiteout(parent, base)
                return
            if not base:
                self._root_directory(entry)
                return
            fd = self._parents.get(parent)
            if fd is None:
                fd = self._open_parent(parent)
            self._make[entry.kind](fd, base, path, entry, reader)
        except OSError as error:
            raise self._explain(error, entry) from None
        except OverflowError:
            raise CorruptData(f"corrupt layer: a number of {_show(name)} is too large") from None

    def finish(self) -> None:
        """Give directories their times, now that nothing is made in them any more."""
        for path, mtime in self._times.items():
            try:
                fd = self._parents.get(path)
                if fd is not None:
                    os.utime(fd, ns=(mtime, mtime))
                    continue
                fd = openat2(self._root, path, _OPEN_DIRECTORY, resolve=_BENEATH)
                try:
                    os.utime(fd, ns=(mtime, mtime))
                finally:
                    os.close(fd)
            except OverflowError:
                raise CorruptData(f"corrupt layer: the time of {_show(path)} is too far") from None
            except OSError as error:
                if error.errno not in (ENOENT, ENOTDIR, ELOOP, EXDEV):  # else: replaced since
                    raise
        self._times.clear()

    def close(self) -> None:
        """Let go of all directories; the root's descriptor stays the caller's."""
        self._forget_parents()

    # Paths

    def _clean(self, name: bytes) -> bytes:
        """`name` relative to the layer's root, without `.`, `..`, and doubled slashes."""
        if name[-1:] == b"/":
            name = name.rstrip(b"/")
        if name[:2] == b"./":
            name = name[2:]
        if len(name) > self._path_length:
            raise LimitExceeded(f"the path {_show(name)} has more than {self._path_length} bytes")
        if name.count(b"/") >= self._depth:
            raise LimitExceeded(f"the path {_show(name)} is deeper than {self._depth} names")
        if name[:1] != b"/" and b"//" not in name and b"/." not in name and name[:1] != b".":
            return name
        parts: list[bytes] = []
        for part in name.split(b"/"):
            if part == b"..":
                if not parts:
                    raise HostileData(
                        f"hostile layer: {_show(name)} reaches out of the layer's directory"
                    )
                parts.pop()
            elif part not in (b"", b"."):
                parts.append(part)
        return b"/".join(parts)

    def _open_parent(self, path: bytes) -> int:
        """A descriptor of the directory `path`, which is made where it is missing."""
        missing: list[bytes] = []
        while True:
            fd = self._parents.get(path)
            if fd is None:
                fd = self._open_existing(path)
            if fd is not None:
                break
            path, _, base = path.rpartition(b"/")
            missing.append(base)
        while missing:
            base = missing.pop()
            path = path + b"/" + base if path else base
            fd = self._make_parent(fd, base, path)
            self._keep(path, fd)
        return fd

    def _open_existing(self, path: bytes) -> int | None:
        try:
            fd = openat2(self._root, path, _OPEN_DIRECTORY & ~os.O_NOFOLLOW, resolve=_BENEATH)
        except OSError as error:
            if error.errno in (EXDEV, ELOOP):
                raise HostileData(
                    f"hostile layer: {_show(path)} leads through a link out of the layer's"
                    " directory"
                ) from None
            if error.errno not in (ENOENT, ENOTDIR):
                raise
            return None
        self._keep(path, fd)
        return fd

    def _keep(self, path: bytes, fd: int) -> None:
        parents = self._parents
        if len(parents) > _OPEN_PARENTS:
            oldest = next(known for known in parents if known)
            os.close(parents.pop(oldest))
        parents[path] = fd

    def _make_parent(self, fd: int, base: bytes, path: bytes) -> int:
        """Make a directory that the archive did not mention before something in it."""
        opaque = False
        try:
            os.mkdir(base, 0o755, dir_fd=fd)
        except FileExistsError:
            found = os.stat(base, dir_fd=fd, follow_symlinks=False)
            if not is_whiteout(found):
                if stat.S_ISLNK(found.st_mode):
                    raise HostileData(
                        f"hostile layer: {_show(path)} is a link that leads nowhere, and is used"
                        " as a directory"
                    ) from None
                raise CorruptData(
                    f"corrupt layer: {_show(path)} is no directory, and is used as one"
                ) from None
            os.unlink(base, dir_fd=fd)
            os.mkdir(base, 0o755, dir_fd=fd)
            opaque = True
        made = os.open(base, _OPEN_DIRECTORY, dir_fd=fd)
        try:
            os.fchown(made, 0, 0)
        except OSError:
            pass  # it is whoever runs this, then
        os.fchmod(made, 0o755)
        if opaque:
            os.setxattr(made, self._marks.opaque, b"y")
        self.disk += 4096
        return made

    def _forget_parents(self) -> None:
        for path, fd in self._parents.items():
            if path:
                os.close(fd)
        self._parents = {b"": self._root}

    def _make_room(self, fd: int, base: bytes, path: bytes) -> None:
        """Remove what an earlier member, or whiteout, of this layer put there."""
        found = os.stat(base, dir_fd=fd, follow_symlinks=False)
        # a directory or a link to one may be among the parents
        if stat.S_ISDIR(found.st_mode):
            keep = os.dup(fd)
            try:
                self._forget_parents()
                below = path + b"/"
                for known in [p for p in self._times if p == path or p.startswith(below)]:
                    del self._times[known]
                remove_tree(f"/proc/self/fd/{keep}/{os.fsdecode(base)}")
            finally:
                os.close(keep)
            return
        if stat.S_ISLNK(found.st_mode):
            os.unlink(base, dir_fd=fd)
            self._forget_parents()
            return
        os.unlink(base, dir_fd=fd)

    # Kinds

    def _file(self, fd: int, base: bytes, path: bytes, entry: TarEntry, reader: Content) -> None:
        # made with its mode, where the mask lets it have that: a system call less for each file
        mode = entry.mode
        plain = not mode & self._masked
        try:
            file = os.open(base, _NEW_FILE, mode if plain else 0o600, dir_fd=fd)
        except FileExistsError:
            fd = self._replace(fd, base, path)
            file = os.open(base, _NEW_FILE, mode if plain else 0o600, dir_fd=fd)
        try:
            if entry.sparse is not None:
                self._holes(file, entry, reader)
            elif size := entry.size:
                while size:
                    size -= _write(file, reader.read(size))
                self.disk += (entry.size + 4095) & -4096
            if (entry.uid, entry.gid) != self._ids:
                self._own(file, entry)
            if not plain:
                os.fchmod(file, mode)
            if entry.xattrs is not None:
                self._xattrs(file, entry)
            os.utime(file, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(file)

    def _replace(self, fd: int, base: bytes, path: bytes) -> int:
        """Make room for `path`; a descriptor of its parent, which may be another one then."""
        self._make_room(fd, base, path)
        parent = path.rpartition(b"/")[0]
        known = self._parents.get(parent)
        return self._open_parent(parent) if known is None else known

    def _holes(self, file: int, entry: TarEntry, reader: Content) -> None:
        for offset, length in entry.sparse or ():
            os.lseek(file, offset, os.SEEK_SET)
            left = length
            while left:
                left -= _write(file, reader.read(left))
            self.disk += (length + 4095) & -4096
        os.ftruncate(file, entry.size)

    def _directory(self, fd: int, base: bytes, path: bytes, entry: TarEntry, _: Content) -> None:
        opaque = False
        try:
            os.mkdir(base, 0o700, dir_fd=fd)
            self.disk += 4096
        except FileExistsError:
            found = os.stat(base, dir_fd=fd, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                opaque = is_whiteout(found)
                fd = self._replace(fd, base, path)
                os.mkdir(base, 0o700, dir_fd=fd)
                self.disk += 4096
        known = self._parents.get(path)
        directory = os.open(base, _OPEN_DIRECTORY, dir_fd=fd) if known is None else known
        if known is None:
            self._keep(path, directory)
        self._attributes(directory, entry)
        if opaque:
            os.setxattr(directory, self._marks.opaque, b"y")
        self._times[path] = entry.mtime

    def _root_directory(self, entry: TarEntry) -> None:
        if entry.kind != DIRECTORY:
            raise HostileData(
                f"hostile layer: {_show(entry.name)} would replace the layer's root directory"
            )
        self._attributes(self._root, entry)
        self._times[b""] = entry.mtime

    def _attributes(self, directory: int, entry: TarEntry) -> None:
        self._own(directory, entry)
        os.fchmod(directory, entry.mode)
        if entry.gid != self._ids[1]:
            self._ids = (
                -1,
                -1,
            )  # by its set-group-ID bit, or by a mount option, files take its group
        if entry.xattrs is not None:
            self._xattrs(directory, entry)
            if _DEFAULT_ACL in entry.xattrs:
                self._masked = 0o7777

    def _symbolic_link(
        self, fd: int, base: bytes, path: bytes, entry: TarEntry, _: Content
    ) -> None:
        if not entry.link:
            raise CorruptData(f"corrupt layer: the link {_show(entry.name)} leads nowhere")
        try:
            os.symlink(entry.link, base, dir_fd=fd)
        except FileExistsError:
            fd = self._replace(fd, base, path)
            os.symlink(entry.link, base, dir_fd=fd)
        self._finish_by_name(fd, base, entry)

    def _hard_link(
        self, fd: int, base: bytes, path: bytes, entry: TarEntry, _reader: Content
    ) -> None:
        target = self._clean(entry.link)
        if target == path:
            return
        if path.startswith(target + b"/"):
            raise CorruptData(f"corrupt layer: {_show(entry.name)} is a link to its own directory")
        parent, _, name = target.rpartition(b"/")
        try:
            # making room for the link may close the directories held open
            held = os.dup(fd)
            try:
                source = openat2(
                    self._root, parent or b".", os.O_PATH | os.O_DIRECTORY, resolve=_BENEATH
                )
                try:
                    self._link(source, name, held, base, path)
                finally:
                    os.close(source)
            finally:
                os.close(held)
        except OSError as error:
            if error.errno in (EXDEV, ELOOP):
                raise HostileData(
                    f"hostile layer: the hard link {_show(entry.name)} leads through a link out"
                    " of the layer's directory"
                ) from None
            if error.errno in (ENOENT, ENOTDIR):
                raise CorruptData(
                    f"corrupt layer: {_show(entry.name)} is a hard link to {_show(target)},"
                    " which the layer does not hold"
                ) from None
            if error.errno == EPERM:
                raise CorruptData(
                    f"corrupt layer: {_show(entry.name)} is a hard link to the directory"
                    f" {_show(target)}"
                ) from None
            raise

    def _link(self, source: int, name: bytes, fd: int, base: bytes, path: bytes) -> None:
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if is_whiteout(found):
            raise OSError(ENOENT, os.strerror(ENOENT))
        try:
            os.link(name, base, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)
        except FileExistsError:
            there = os.stat(base, dir_fd=fd, follow_symlinks=False)
            if os.path.samestat(found, there):
                return
            self._make_room(fd, base, path)
            os.link(name, base, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)

    def _device(self, fd: int, base: bytes, path: bytes, entry: TarEntry, _: Content) -> None:
        if entry.kind == CHARACTER_DEVICE and not entry.major and not entry.minor:
            raise HostileData(
                f"hostile layer: {_show(entry.name)} is a character device 0:0, by which"
                " overlayfs means that a file is gone"
            )
        if not (0 <= entry.major < 1 << 12 and 0 <= entry.minor < 1 << 20):
            raise CorruptData(
                f"corrupt layer: no device has the number {entry.major}:{entry.minor}"
                f" of {_show(entry.name)}"
            )
        try:
            self._node(fd, base, path, entry)
        except PermissionError:
            # A user namespace makes no devices. An image's are of no use in a container, which
            # has its own /dev: rootless engines leave them out
            if not self._marks.user:
                raise

    def _fifo(self, fd: int, base: bytes, path: bytes, entry: TarEntry, _: Content) -> None:
        self._node(fd, base, path, entry)

    def _node(self, fd: int, base: bytes, path: bytes, entry: TarEntry) -> None:
        kind = _NODES[entry.kind] | 0o600
        device = os.makedev(entry.major, entry.minor)
        try:
            os.mknod(base, kind, device, dir_fd=fd)
        except FileExistsError:
            fd = self._replace(fd, base, path)
            os.mknod(base, kind, device, dir_fd=fd)
        self._finish_by_name(fd, base, entry)

    def _finish_by_name(self, fd: int, base: bytes, entry: TarEntry) -> None:
        """Owner, mode, xattrs and times of what was just made and cannot be opened."""
        try:
            os.chown(base, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            self._refuse_owner(error, entry)
        path = b"/proc/self/fd/%d/%s" % (fd, base)
        if entry.kind != SYMBOLIC_LINK:
            os.chmod(path, entry.mode)  # no link: it was just made, and is ours alone
        if entry.xattrs is not None:
            self._xattrs(path, entry)
        os.utime(base, ns=(entry.mtime, entry.mtime), dir_fd=fd, follow_symlinks=False)

    # Whiteouts

    def _whiteout(self, parent: bytes, base: bytes) -> None:
        if base == OPAQUE:
            fd = self._parents.get(parent)
            if fd is None:
                fd = self._open_parent(parent)
            os.setxattr(fd, self._marks.opaque, b"y")
            return
        if base.startswith(META_PREFIX):
            return  # aufs's own bookkeeping
        name = base[len(PREFIX) :]
        if name in (b"", b".", b".."):
            raise HostileData(f"hostile layer: {_show(base)} would hide a directory from within")
        fd = self._parents.get(parent)
        if fd is None:
            fd = self._open_parent(parent)
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=fd)
        except FileExistsError:
            # A whiteout is about lower layers only. What this layer has itself hides those
            # anyway, but for a directory, which would be merged with theirs
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                directory = os.open(name, _OPEN_DIRECTORY, dir_fd=fd)
                try:
                    os.setxattr(directory, self._marks.opaque, b"y")
                finally:
                    os.close(directory)

    # Attributes

    def _own(self, fd: int, entry: TarEntry) -> None:
        try:
            os.fchown(fd, entry.uid, entry.gid)
        except OSError as error:
            self._refuse_owner(error, entry)

    def _refuse_owner(self, error: OSError, entry: TarEntry) -> None:
        if not (0 <= entry.uid < _ID_LIMIT and 0 <= entry.gid < _ID_LIMIT):
            raise CorruptData(
                f"corrupt layer: {_show(entry.name)} has the impossible owner"
                f" {entry.uid}:{entry.gid}"
            )
        if error.errno not in (EPERM, EINVAL):
            raise error
        if self._ignore_chown_errors:
            return
        why = (
            "this user namespace does not have that id: add subordinate ids in /etc/subuid and"
            " /etc/subgid, or let all files be yours (ignore_chown_errors)"
            if error.errno == EINVAL
            else "that takes root, or a user namespace"
        )
        raise PermissionDenied(
            f"cannot give {_show(entry.name)} the owner {entry.uid}:{entry.gid}: {why}"
        )

    def _xattrs(self, target: int | bytes, entry: TarEntry) -> None:
        for name, value in (entry.xattrs or {}).items():
            stored = self._marks.escape(name)
            try:
                if isinstance(target, int):
                    os.setxattr(target, stored, value)
                else:
                    os.setxattr(target, stored, value, follow_symlinks=False)
            except OSError as error:
                if error.errno in (ENOTSUP, ENODATA):
                    continue  # this file system has no such xattrs, as elsewhere
                if error.errno in (EPERM, EACCES) and (
                    self._marks.user or name.startswith(b"user.")
                ):
                    # trusted ones in a user namespace; user ones of links and devices
                    continue
                if error.errno in (ENOSPC, EDQUOT):
                    raise NoSpace(
                        f"no space for the xattr {_show(name)} of {_show(entry.name)}, which"
                        f" has {len(value)} bytes"
                    ) from None
                raise

    def _explain(self, error: OSError, entry: TarEntry) -> ProaError:
        name = _show(entry.name)
        number = error.errno
        if number in (ENOSPC, EDQUOT):
            return NoSpace(f"no space left to unpack {name}; see 'proa system df'")
        if number in (ENAMETOOLONG, EFBIG, EOVERFLOW, EMLINK):
            return CorruptData(f"corrupt layer: {name} cannot be made: {error.strerror}")
        if number in (ELOOP, EXDEV):
            return HostileData(f"hostile layer: {name} leads out of the layer's directory")
        if number in (ENOTDIR, EISDIR, ENOENT, EEXIST, EINVAL):
            return CorruptData(f"corrupt layer: {name} cannot be made: {error.strerror}")
        if number in (EPERM, EACCES):
            return PermissionDenied(
                f"cannot unpack {name}: {error.strerror}; it takes root, or a user namespace"
            )
        return Unsupported(f"cannot unpack {name}: {error.strerror}")


def _has_default_acl(directory: int) -> bool:
    """Whether what is made there gets other modes than were asked for (acl(5))."""
    try:
        return bool(os.getxattr(directory, _DEFAULT_ACL))
    except OSError:
        return False


def _umask() -> int:
    """The process's umask, without changing it; 0777 where it is not to be known."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return 0o777


def _write(fd: int, data: memoryview) -> int:
    written = os.write(fd, data)
    while written < len(data):  # a signal, or nearly no space: the next call tells
        written += os.write(fd, data[written:])
    return written


def _show(name: bytes) -> str:
    """A hostile name fit for one line of a message."""
    text = name[:200].decode("utf-8", "backslashreplace")
    return repr(text) if len(name) <= 200 else repr(text) + "…"
