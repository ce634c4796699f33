"""The files of a container as one tree, running or not.

Of a running container it is what its processes see: the mount namespace of its first process, with
volumes, binds and tmpfs. Of one that does not run it is its root file system with the binds of its
bundle, mounted for as long as somebody looks. Whoever writes to that holds the lock of the
container's monitor, so that nobody starts it meanwhile: overlayfs takes no upper directory that is
in use twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
from errno import EACCES, EAGAIN
from typing import TYPE_CHECKING

from proa.errors import Conflict, CorruptData, NotFound
from proa.monitor.lock import FILE, FLOCK, MonitorLocks
from proa.snapshot.assemble import Bind, assemble
from proa.snapshot.choose import choose_snapshots
from proa.snapshot.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proa.store.containers import ContainerRow
    from proa.store.store import Store

_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def is_running(row: ContainerRow) -> bool:
    """Whether it has processes, by whose mount namespace its files are reached."""
    return row.state["status"] in ("running", "paused") and bool(row.state.get("pid"))


@contextlib.contextmanager
def container_tree(store: Store, row: ContainerRow, *, write: bool = False) -> Iterator[Tree]:
    """The files of the container; `write`: to put something into them.

    Raises Conflict where it can be written to only later, NotFound where it has been removed, also
    while this lasted.
    """
    where = f" in container {row.name}"
    if is_running(row):
        with Tree(_root_of(store, row), where) as tree:
            yield tree
        return
    try:
        with _exclusively(store, row) if write else contextlib.nullcontext():
            if not write and not row.state.get("started_at"):
                _make_targets(store, row)
            with Tree(_mounted(store, row, write=write), where) as tree:
                yield tree
    finally:
        require(store, row)


def require(store: Store, row: ContainerRow) -> None:
    """Raises NotFound where the container has been removed, or is just being removed."""
    if store.containers.find(row.id).state["status"] == "removing":
        raise NotFound(f"container {row.name} is being removed")


def _root_of(store: Store, row: ContainerRow) -> int:
    pid = int(row.state["pid"])
    locks = MonitorLocks(store.root)
    try:
        root = os.open(f"/proc/{pid}/root", _ROOT)
        try:
            # the number is that of the container's process as long as its parent, the monitor,
            # has not waited for it
            monitor = locks.holder(row.row)
            ours = os.stat("/")
            found = os.fstat(root)
            if (
                not monitor
                or (monitor > 0 and _parent(pid) != monitor)
                # it is still being set up, and sees the host's files
                or (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
            ):
                raise ProcessLookupError
        except BaseException:
            os.close(root)
            raise
    except (FileNotFoundError, ProcessLookupError):
        raise Conflict(f"container {row.name} is just being started or ended; try again") from None
    finally:
        locks.close()
    return root


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


@contextlib.contextmanager
def _exclusively(store: Store, row: ContainerRow) -> Iterator[None]:
    """Hold the lock of the container's monitor. Raises Conflict where there is one."""
    # of the open file, not of this process: whoever else closes that file here does not end it
    descriptor = os.open(store.path(*FILE.split("/")), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        request = struct.pack(FLOCK, fcntl.F_WRLCK, 0, row.row, 1, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
        except OSError as error:
            if error.errno not in (EACCES, EAGAIN):
                raise
            raise Conflict(
                f"container {row.name} is just being started, ended or copied into; try again"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _make_targets(store: Store, row: ContainerRow) -> None:
    """Make the places that are mounted on, which a container has from its first start on."""
    try:
        with _exclusively(store, row):
            os.close(_mounted(store, row, write=True))
    except Conflict:
        return  # somebody is about to start it


def _mounted(store: Store, row: ContainerRow, *, write: bool) -> int:
    snapshots = choose_snapshots(store.root)
    key_dir = store.path("containers", row.id, "snapshot")
    layers = [str(layer) for layer in row.layers]
    if write:
        read_only = bool(row.config["request"].get("read_only"))
        mount = snapshots.mount(key_dir, layers, read_only=read_only)
    else:
        mount = snapshots.look(key_dir, layers)
    try:
        binds = _binds(store.path("containers", row.id, "config.json"))
        if not binds:
            return os.dup(mount)
        return assemble(mount, binds, at=store.root)
    finally:
        os.close(mount)


def _binds(path: str) -> Sequence[Bind]:
    try:
        with open(path, encoding="utf-8") as file:
            mounts = json.load(file)["mounts"]
        return [
            Bind(
                source=mount["source"],
                target=mount["destination"],
                read_only=bool({"ro", "rro"}.intersection(mount.get("options") or ())),
            )
            for mount in mounts
            if mount.get("type") == "bind" and mount["source"].startswith("/")
        ]
    except FileNotFoundError:
        raise NotFound(f"no such container: {path} is missing") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptData(f"{path} of the container is damaged: {error}") from None
