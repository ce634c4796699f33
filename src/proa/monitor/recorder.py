"""Tells the database about a container, each time from a child of the monitor.

SQLite and the store take half a megabyte of a process for good. A monitor needs them for two
moments of its life, so a child has them instead; the monitor goes on meanwhile if it wants to.
"""

from __future__ import annotations

import posix

from proa.errors import NotFound, ProaError, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from proa.store.events import Happening
    from proa.store.store import Store


_LARGE = 256 * 1024
"""Bytes of the database's log from which on it is worth importing what looks after it."""


class Recorder:
    """Writes to the row of the container `id`; one thing after the other."""

    def __init__(self, root: str, id: str) -> None:
        self._root = root
        self._id = id
        self._child = 0
        self._answer = -1
        self._order = -1

    def prepare(self, changes: dict[str, Any], happenings: Sequence[Happening] = ()) -> None:
        """Get ready to write `changes` to the container's state, and what has happened to it.

        `finish` has it done, `drop` has not.
        """
        self._begin(lambda store: _write(store, self._id, changes, happenings))

    def write(self, changes: dict[str, Any], happenings: Sequence[Happening] = ()) -> None:
        """Write `changes` to the container's state, and what has happened. Raises Unavailable."""
        self.prepare(changes, happenings)
        self.finish()

    def remove(
        self, directory: str, happenings: Sequence[Happening], volumes: Sequence[str] = ()
    ) -> None:
        """Remove the container: its `directory`, then its row, and those of `volumes` that no
        other container has. Raises Unavailable.
        """
        self._begin(lambda store: _remove(store, self._id, directory, happenings, volumes))
        self.finish()

    def finish(self) -> None:
        """Do what was prepared, if anything. Raises Unavailable with the reason."""
        if self._answer < 0:
            return
        try:
            try:
                posix.write(self._order, b"!")
            except BrokenPipeError:
                pass  # it has not come so far, and says why
            reason = posix.read(self._answer, 4096)
        finally:
            self.drop()
        if reason:
            raise Unavailable(reason.decode("utf-8", "replace"))

    def drop(self) -> None:
        """Leave what was prepared undone."""
        for descriptor in (self._order, self._answer):
            if descriptor >= 0:
                posix.close(descriptor)
        self._order = self._answer = -1

    def rest(self) -> None:
        """Wait until the last child has ended: after its answer, it tidies the database up."""
        if self._child:
            posix.waitpid(self._child, 0)
            self._child = 0

    def tidy(self) -> None:
        """See that the database's log does not grow; for a process that is about to end."""
        try:
            if posix.stat(f"{self._root}/proa.db-wal").st_size < _LARGE:
                return
            from proa.store.store import Store

            tidy(Store(self._root))
        except (OSError, ProaError):
            return  # another one will do it

    def _begin(self, work: Callable[[Store], None]) -> None:
        self.finish()
        self.rest()
        self._answer, answer = posix.pipe2(posix.O_CLOEXEC)
        order, self._order = posix.pipe2(posix.O_CLOEXEC)
        self._child = posix.fork()
        if self._child == 0:
            posix.close(self._order)
            _work(self._root, work, order, answer)
        posix.close(order)
        posix.close(answer)


def _work(root: str, work: Callable[[Store], None], order: int, answer: int) -> None:
    """The child: wait for the word, do it, answer nothing or what went wrong, and end."""
    try:
        from proa.store.store import Store

        store = Store(root)
        if not posix.access(store.database.path, posix.F_OK):
            posix._exit(0)  # someone has removed the engine: nobody is to be told
        try:
            store.database.open()
            if not posix.read(order, 1):
                posix._exit(0)
            work(store)
        except Exception as error:
            posix.write(answer, f"{error}".encode()[:4096])
            posix._exit(1)
        posix.close(answer)
        tidy(store)
    finally:
        posix._exit(0)


def tidy(store: Store) -> None:
    """Do what commits leave undone, since it takes time: old events go, and the log is emptied."""
    if store.database.has_large_log():
        store.events.trim()
        store.database.checkpoint()


def _write(store: Store, id: str, changes: dict[str, Any], happenings: Sequence[Happening]) -> None:
    if not changes:
        store.containers.note(id, happenings)
        return
    try:
        with store.database.transaction():
            state = store.containers.find(id).state
            store.containers.set_state(id, {**state, **changes}, happenings)
            if changes.get("status") == "exited" and "ports" in changes:
                store.networks.release(id)  # it had a network: others may have its addresses
    except NotFound:
        return  # someone has removed it: there is nothing to be told, now or later


def _remove(
    store: Store, id: str, directory: str, happenings: Sequence[Happening], volumes: Sequence[str]
) -> None:
    from proa.snapshot.choose import choose_snapshots

    snapshots = choose_snapshots(store.root)
    snapshots.remove(directory)
    store.networks.release(id)
    if not volumes:
        store.containers.delete(id, happenings)
        return
    for path in store.volumes.forget(volumes, lambda: store.containers.delete(id, happenings)):
        snapshots.remove(path)
