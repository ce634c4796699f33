"""The volumes and images that are mounted in a container, when it starts.

A volume that is but a directory, and has its content, needs nothing of this: the spec names it.
"""

from __future__ import annotations

import fcntl
import posix

from proa.errors import CorruptData, KernelError, ProaError, Unsupported
from proa.kernel import mount
from proa.kernel.path import open_in_root
from proa.lean.channel import checked, pair
from proa.volume import local
from proa.volume.draft import COPIED, has, is_due
from proa.volume.subtree import open_subtree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.lean.channel import Channel
    from proa.monitor.job import Job
    from proa.snapshot.protocol import Snapshots

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_MOUNTED = "mounted"
"""A file beside a volume's data: which file system in memory it is at present."""


class Volumes:
    """What `job.volumes` says, opened for one start of the container."""

    def __init__(self, job: Job, snapshots: Snapshots) -> None:
        self._job = job
        self._snapshots = snapshots
        self._locks: dict[str, int] = {}
        self._shared: dict[str, int] = {}
        self._rootfs = -1

    def open(self, rootfs: int, sources: dict[str, int], *, first: bool) -> None:
        """Open all, into `sources` by destination; fill what is empty from the root file system.

        `first`: the container has not run before. Volumes in memory stay locked until `release`:
        then the next container can share them. Raises errors of the kinds of `proa.errors`.
        """
        self._rootfs = rootfs
        for entry in self._sorted():
            found = self._opened(entry, copy=entry["copy"] and first)
            if found >= 0:
                sources[entry["target"]] = found

    def fill(self, rootfs: int) -> None:
        """Fill what is empty, for a container that is not started. Raises as `open` does."""
        self._rootfs = rootfs
        for entry in self._sorted():
            if self._resolve(str(entry["target"])) is not None:
                found = self._opened(entry, copy=True)
                if found >= 0:
                    posix.close(found)

    def release(self) -> None:
        """The container runs, or will not: let others go on."""
        while self._locks:
            posix.close(self._locks.popitem()[1])
        while self._shared:
            posix.close(self._shared.popitem()[1])

    def _sorted(self) -> list[Mapping[str, Any]]:
        # in the same order everywhere: two containers that wait for each other would do so forever
        return sorted(self._job.volumes, key=lambda entry: str(entry["source"]))

    def _opened(self, entry: Mapping[str, Any], *, copy: bool) -> int:
        """A detached mount for the container; -1: the spec names the directory."""
        try:
            return self._mounted(entry, copy)
        except FileNotFoundError as error:
            raise CorruptData(
                f"volume {entry['source']} has lost its directory ({error.filename}): restore it,"
                f" or remove the volume with 'proa volume rm {entry['source']}'"
            ) from None

    def _mounted(self, entry: Mapping[str, Any], copy: bool) -> int:
        name, subpath = str(entry["source"]), str(entry["subpath"])
        if entry["kind"] == "image":
            return _part(self._snapshots.view(entry["layers"]), subpath, f"image {name}")
        directory = f"{self._job.root}/volumes/{name}"
        options: Mapping[str, str] = entry["options"]
        what = f"volume {name}"
        if local.is_in_memory(options):
            return _part(self._in_memory(entry, directory), subpath, what)
        if local.is_mounted(options):
            mounted = local.open_mount(name, options)
            if copy:
                try:
                    self._fill_locked(directory, mounted, mounted, str(entry["target"]))
                except BaseException:
                    posix.close(mounted)
                    raise
            return _part(mounted, subpath, what)
        data = posix.open(f"{directory}/_data", _DIRECTORY)
        try:
            if copy:
                place = posix.open(directory, _DIRECTORY)
                try:
                    self._fill_locked(directory, data, place, str(entry["target"]))
                finally:
                    posix.close(place)
            return open_subtree(data, subpath, what) if subpath else -1
        finally:
            posix.close(data)

    def _fill_locked(self, directory: str, target: int, place: int, path: str) -> None:
        """Fill the volume, while nobody else does."""
        lock = posix.open(directory, _DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._fill(target, place, path)
        finally:
            posix.close(lock)

    def _fill(self, target: int, place: int, path: str) -> None:
        """Fill the volume with what the container's root file system has at `path`.

        A child does it: what it imports would stay with the monitor for good.
        """
        if not is_due(target, place):
            return
        source = self._resolve(path)
        if source is None and not has(place, COPIED):
            return
        ours, theirs = pair()
        try:
            child = posix.fork()
            if child == 0:
                ours.close()
                self._fill_in_child(source, target, place, theirs)
            theirs.close()
            received = ours.receive()
            posix.waitpid(child, 0)
        finally:
            ours.close()
            theirs.close()
        if received is None:
            raise KernelError(f"the process that fills the volume at {path} was killed; try again")
        checked(received[0])

    def _resolve(self, path: str) -> str | None:
        """The path of the directory that `path` leads to in the root file system; None: no such.

        Without links: what is then opened by it layer by layer follows none.
        """
        try:
            found = open_in_root(self._rootfs, path, posix.O_PATH | posix.O_DIRECTORY)
        except OSError:
            return None
        try:
            return posix.readlink(f"/proc/self/fd/{found}").strip("/")
        finally:
            posix.close(found)

    def _fill_in_child(self, source: str | None, target: int, place: int, channel: Channel) -> None:
        try:
            from proa.volume.fill import finish

            if not finish(target, place) and source is not None:
                self._copy(source, target, place)
            channel.send({})
        except BaseException as error:
            from proa.monitor.control import describe

            channel.send(describe(error))
        finally:
            posix._exit(0)

    def _copy(self, source: str, target: int, place: int) -> None:
        from proa.snapshot.stack import Stack
        from proa.volume.fill import fill

        job = self._job
        directories = [self._snapshots.changed(f"{job.root}/containers/{job.id}/snapshot")]
        layered = self._snapshots.kind == "overlay"
        if layered:
            directories += self._snapshots.lower(job.layers)
        # from the layers themselves: what can share blocks with its copy does so only there
        with Stack(directories, marked=layered) as stack:
            below = stack.below(source)
            if below is not None:
                with below:
                    fill(below, target, place)

    def _in_memory(self, entry: Mapping[str, Any], directory: str) -> int:
        """A file system in memory: that of the containers which have the volume now, or a new one.

        The lock is kept, so that nobody looks for it before it is to be found in this container.
        """
        name = str(entry["source"])
        if name in self._shared:
            # before Linux 6.15 only what is attached can be cloned
            try:
                return mount.open_tree(self._shared[name], b"", mount.OPEN_TREE_CLONE)
            except OSError:
                raise Unsupported(
                    f"volume {name} is in memory: it can be mounted once in a container"
                ) from None
        lock = self._locks[name] = posix.open(directory, _DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = self._borrow(name, directory)
        if found < 0:
            # empty, as with Docker: it has no room for more than what its options say
            found = local.open_mount(name, entry["options"])
            _write(f"{directory}/{_MOUNTED}", _identity(found))
        self._shared[name] = posix.dup(found)
        return found

    def _borrow(self, name: str, directory: str) -> int:
        """The volume's file system from a container that has it; -1: none has."""
        from proa.runtime.borrow import borrow
        from proa.store.store import Store

        store = Store.open(self._job.root)
        known = _read(f"{directory}/{_MOUNTED}")
        refusal: Exception | None = None
        for id, other in store.volumes.users(name):
            row = store.containers.find(id)
            pid = int(row.state.get("pid", 0))
            if not pid or id == self._job.id or row.state.get("status") not in _RUNNING:
                continue
            for target in _targets(row.config["request"], name):
                try:
                    found = borrow(pid, target)
                except ProaError as error:
                    refusal = Unsupported(
                        f"volume {name} is in memory, and cannot be had from container {other},"
                        f" which has it now ({error}); stop that one first"
                    )
                    continue
                # whoever has the right may have put something else there
                if _identity(found) == known:
                    mount.mount_setattr(found, b"", attr_clear=mount.MOUNT_ATTR_RDONLY)
                    return found
                posix.close(found)
        if refusal is not None:
            raise refusal
        return -1


_RUNNING = ("running", "paused")


def _part(mounted: int, subpath: str, what: str) -> int:
    if not subpath:
        return mounted
    try:
        return open_subtree(mounted, subpath, what)
    finally:
        posix.close(mounted)


def _targets(request: Mapping[str, Any], name: str) -> list[str]:
    return [
        str(item["target"])
        for item in request.get("mounts") or ()
        if item["kind"] == "volume" and item["source"] == name and not item.get("subpath")
    ]


def _identity(descriptor: int) -> str:
    status = posix.fstat(descriptor)
    return f"{status.st_dev}:{status.st_ino}"


def _read(path: str) -> str:
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        return posix.read(descriptor, 128).decode("ascii", "replace")
    finally:
        posix.close(descriptor)


def _write(path: str, text: str) -> None:
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    descriptor = posix.open(path, flags, 0o600)
    try:
        posix.write(descriptor, text.encode())
    finally:
        posix.close(descriptor)
