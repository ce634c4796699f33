"""Tells the database about a container, each time from a child of the monitor.

SQLite and the store take half a megabyte of a process for good. A monitor needs them for two
moments of its life, so a child has them instead; the monitor goes on meanwhile if it wants to.
"""

from __future__ import annotations

import posix

from proa.errors import NotFound, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proa.store.store import Store


class Recorder:
    """Writes to the row of the container `id`; one thing after the other."""

    def __init__(self, root: str, id: str) -> None:
        self._root = root
        self._id = id
        self._child = 0
        self._answer = -1

    def begin(self, changes: dict[str, Any]) -> None:
        """Begin to write `changes` to the container's state; `finish` waits for it."""
        self._begin(lambda store: _write(store, self._id, changes))

    def write(self, changes: dict[str, Any]) -> None:
        """Write `changes` to the container's state. Raises Unavailable."""
        self.begin(changes)
        self.finish()

    def remove(self, directory: str) -> None:
        """Remove the container: its `directory`, then its row. Raises Unavailable."""
        self._begin(lambda store: _remove(store, self._id, directory))
        self.finish()

    def finish(self) -> None:
        """Wait for what was begun, if anything. Raises Unavailable with the reason."""
        if self._answer < 0:
            return
        try:
            reason = posix.read(self._answer, 4096)
        finally:
            posix.close(self._answer)
            self._answer = -1
        if reason:
            raise Unavailable(reason.decode("utf-8", "replace"))

    def rest(self) -> None:
        """Wait until the last child has ended: after its answer, it tidies the database up."""
        if self._child:
            posix.waitpid(self._child, 0)
            self._child = 0

    def _begin(self, work: Callable[[Store], None]) -> None:
        self.finish()
        self.rest()
        self._answer, answer = posix.pipe2(posix.O_CLOEXEC)
        self._child = posix.fork()
        if self._child == 0:
            _work(self._root, work, answer)
        posix.close(answer)


def _work(root: str, work: Callable[[Store], None], answer: int) -> None:
    """The child: do it, answer nothing or what went wrong, and end."""
    try:
        from proa.store.store import Store

        store = Store.open(root)
        try:
            work(store)
        except Exception as error:
            posix.write(answer, f"{error}".encode()[:4096])
            posix._exit(1)
        posix.close(answer)
        store.database.checkpoint_if_large()
    finally:
        posix._exit(0)


def _write(store: Store, id: str, changes: dict[str, Any]) -> None:
    try:
        state = store.containers.find(id).state
        store.containers.set_state(id, {**state, **changes})
    except NotFound:
        return  # someone has removed it: there is nothing to be told, now or later


def _remove(store: Store, id: str, directory: str) -> None:
    from proa.snapshot.choose import choose_snapshots

    choose_snapshots(store.root).remove(directory)
    store.containers.delete(id)
