"""Directories in which steps of builds work, and what killed builds have left in them.

ROOT/build/work/<id>/     one step: a snapshot and the files of its container; gone afterwards
ROOT/build/mounts/<hash>/ what `RUN --mount=type=cache` keeps
ROOT/build/files/<hash>   what is known of the files of a build context; may be deleted
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from typing import TYPE_CHECKING

from proa.errors import ProaError
from proa.snapshot.choose import choose_snapshots

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from proa.store.store import Store

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Workspace:
    """A directory of one step's own, within `with`."""

    def __init__(self, store: Store) -> None:
        self.id = secrets.token_hex(32)
        self.path = store.path("build", "work", self.id)
        self._root = store.root
        self._lock = -1

    @property
    def snapshot(self) -> str:
        """Where its snapshot lies."""
        return f"{self.path}/snapshot"

    def __enter__(self) -> Self:
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        os.mkdir(self.path, 0o710)
        # as long as this is locked, nobody takes it for what a killed build has left
        self._lock = os.open(self.path, _DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            choose_snapshots(self._root).remove(self.path)
        finally:
            os.close(self._lock)


def sweep(store: Store) -> None:
    """End and remove what killed builds have left."""
    directory = store.path("build", "work")
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        path = f"{directory}/{name}"
        try:
            lock = os.open(path, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            end_container(store, name)
            choose_snapshots(store.root).remove(path)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def files_path(store: Store, context: str) -> str:
    """Where it is kept what is known of the files of the context at `context`."""
    directory = store.path("build", "files")
    os.makedirs(directory, 0o700, exist_ok=True)
    return f"{directory}/{_hash(context)}"


def mount_path(store: Store, id: str) -> str:
    """The directory of a cache mount, with a `data` in it once it was used."""
    return store.path("build", "mounts", _hash(id))


def fetched_path(store: Store, what: str) -> str:
    """The directory for what was fetched from elsewhere."""
    return store.path("build", "fetched", _hash(what))


def _hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def end_container(store: Store, id: str) -> None:
    """Kill the container of a step whose worker was killed."""
    from proa.runtime.container import Container

    try:
        Container.load(id, store.path("run", "oci")).delete(force=True)
    except (ProaError, OSError, ValueError):
        return  # there is none
