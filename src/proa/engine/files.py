"""The two sides of `cp`: the files of a container, and those of this machine.

A side is asked what lies at a path, and gives or takes tar archives. The rules by which both make
a copy are in `proa.engine.copy`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from proa.engine.container_tree import container_tree, is_running
from proa.engine.inside_stream import read_from, write_to
from proa.errors import NoSpace
from proa.lean.record import as_dict
from proa.monitor.inside import call
from proa.monitor.rootless import needed
from proa.monitor.user import look_up
from proa.snapshot.place import Rules, pieces_reader
from proa.snapshot.tree import PathStat, Tree
from proa.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Protocol

    from proa.snapshot.pack import Gatherer
    from proa.store.containers import ContainerRow

    Skipped = Callable[[str, str], None]
    Progress = Callable[[int], None]
    Gather = Callable[[Gatherer], Iterator[None]]

    class Side(Protocol):
        """Where files come from, or go to."""

        def stat(self, path: str) -> PathStat:
            """What lies at `path`; see `Tree.stat`."""

        def evaluate(self, path: str) -> str:
            """`path` without links; see `Tree.evaluate`."""

        def expand(self, pattern: str) -> list[str]:
            """The paths that `pattern` stands for; see `Tree.expand`."""

        def pack(self, path: str, member: str | None) -> Iterator[bytes]:
            """What lies at `path`, as an archive; see `Tree.pack`."""

        def place(
            self, path: str, pieces: Iterator[bytes], *, archive: bool, skipped: Skipped
        ) -> None:
            """Put an archive into the directory `path`. `archive`: as `cp -a`."""

        @property
        def is_here(self) -> bool:
            """Whether this process itself gets at the files: then no archive is needed."""

        def gather(self, path: str, member: str, gatherer: Gatherer) -> Iterator[None]:
            """As `pack`, into a gatherer; see `Tree.gather`."""

        def transfer(
            self,
            path: str,
            gather: Gather,
            *,
            archive: bool,
            skipped: Skipped,
            progress: Progress,
        ) -> None:
            """As `place`, of what is gathered."""


_HERE = "proa.engine.files"


class HostSide:
    """The files of this machine, as this user may use them. Paths are absolute."""

    def __init__(self) -> None:
        self._tree = Tree(
            os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), "", confined=True
        )

    def close(self) -> None:
        """Let go of the root directory."""
        self._tree.close()

    def stat(self, path: str) -> PathStat:
        """As `Tree.stat`."""
        return self._tree.stat(path)

    def evaluate(self, path: str) -> str:
        """As `Tree.evaluate`."""
        return self._tree.evaluate(path)

    def expand(self, pattern: str) -> list[str]:
        """Patterns are the shell's affair here."""
        return [pattern]

    def pack(self, path: str, member: str | None) -> Iterator[bytes]:
        """As `Tree.pack`. An ordinary user's files go into a container as its root's, which is the
        same user: as they would be seen in a bind mount.
        """
        return self._tree.pack(path, member, owner=(0, 0) if needed() else None)

    def place(self, path: str, pieces: Iterator[bytes], *, archive: bool, skipped: Skipped) -> None:
        """Put it there. Everything belongs to this user, or with `archive` to whom the archive
        says, where that is root's to decide.

        A container's devices are not made here, and its set-user-ID bits left away unless
        `archive` is asked for: either would let whoever finds them do what the container could.
        """
        self._tree.place(path, pieces_reader(pieces), _host_rules(archive), skipped)

    @property
    def is_here(self) -> bool:
        """Always."""
        return True

    def gather(self, path: str, member: str, gatherer: Gatherer) -> Iterator[None]:
        """As `Tree.gather`."""
        return self._tree.gather(path, member, gatherer)

    def transfer(
        self, path: str, gather: Gather, *, archive: bool, skipped: Skipped, progress: Progress
    ) -> None:
        """As `place`, of what is gathered."""
        self._tree.transfer(path, gather, _host_rules(archive), skipped, progress)


class ContainerSide:
    """The files of a container. `user`: whom `cp -a` gives what it puts there, as in an image."""

    def __init__(self, store: Store, row: ContainerRow, *, user: str = "") -> None:
        self._store = store
        self._row = row
        self._user = user

    def stat(self, path: str) -> PathStat:
        """As `Tree.stat`."""
        if needed():
            return PathStat(**self._ask("stat", path))
        with container_tree(self._store, self._row) as tree:
            return tree.stat(_absolute(path))

    def evaluate(self, path: str) -> str:
        """As `Tree.evaluate`."""
        if needed():
            return str(self._ask("evaluate", path))
        with container_tree(self._store, self._row) as tree:
            return tree.evaluate(_absolute(path))

    def expand(self, pattern: str) -> list[str]:
        """As `Tree.expand`."""
        if needed():
            return list(self._ask("expand", pattern))
        with container_tree(self._store, self._row) as tree:
            return tree.expand(_absolute(pattern))

    def pack(self, path: str, member: str | None = None) -> Iterator[bytes]:
        """As `Tree.pack`."""
        if needed():
            arguments = {**self._arguments(), "path": path, "member": member}
            yield from read_from(f"{_HERE}:pack_inside", arguments, join=self._pid())
            return
        with container_tree(self._store, self._row) as tree:
            yield from tree.pack(_absolute(path), member)
        self._note("archive-path")

    def place(self, path: str, pieces: Iterator[bytes], *, archive: bool, skipped: Skipped) -> None:
        """Put it there. Owners are those that the archive says; with `archive`, as in Docker, the
        user whom the container's processes run as.
        """
        if needed():
            write_to(
                f"{_HERE}:place_inside",
                {**self._arguments(), "path": path, "archive": archive},
                pieces,
                join=self._pid(),
                notify=lambda notice: skipped(*notice),
            )
            return
        with container_tree(self._store, self._row, write=True) as tree:
            rules = self._rules(tree, archive)
            tree.place(_absolute(path), pieces_reader(pieces), rules, skipped)
        self._note("extract-to-dir")

    @property
    def is_here(self) -> bool:
        """Not of an ordinary user's container: its files are reached in a user namespace."""
        return not needed()

    def gather(self, path: str, member: str, gatherer: Gatherer) -> Iterator[None]:
        """As `Tree.gather`."""
        with container_tree(self._store, self._row) as tree:
            yield from tree.gather(_absolute(path), member, gatherer)
        self._note("archive-path")

    def transfer(
        self, path: str, gather: Gather, *, archive: bool, skipped: Skipped, progress: Progress
    ) -> None:
        """As `place`, of what is gathered."""
        with container_tree(self._store, self._row, write=True) as tree:
            rules = self._rules(tree, archive)
            tree.transfer(_absolute(path), gather, rules, skipped, progress)
        self._note("extract-to-dir")

    def _note(self, action: str) -> None:
        """Note it as an event, by Docker's name."""
        try:
            self._store.containers.note(self._row.id, ((action, 0, {}),))
        except NoSpace:
            pass  # what was asked for is done all the same

    def _rules(self, tree: Tree, archive: bool) -> Rules:
        if not (archive and self._user):
            return Rules()
        found = look_up(tree.root, self._user, ())
        return Rules(owner=(found.uid, found.gid))

    def _pid(self) -> int:
        return int(self._row.state["pid"]) if is_running(self._row) else 0

    def _arguments(self) -> dict[str, Any]:
        return {"root": self._store.root, "id": self._row.id, "user": self._user}

    def _ask(self, operation: str, path: str) -> Any:
        arguments = {**self._arguments(), "operation": operation, "path": path}
        return call(f"{_HERE}:ask_inside", arguments, join=self._pid())


def _host_rules(archive: bool) -> Rules:
    keeps = archive and os.geteuid() == 0
    return Rules(own=not keeps, devices=False, set_ids=keeps)


def ask_inside(root: str, id: str, user: str, operation: str, path: str) -> Any:
    """Inside: what lies at `path`, and where it leads."""
    found = getattr(_side(root, id, user), operation)(path)
    return as_dict(found) if isinstance(found, PathStat) else found


def pack_inside(
    *, root: str, id: str, user: str, path: str, member: str | None, descriptors: Sequence[int]
) -> None:
    """Inside: pack into a pipe."""
    write_pieces(descriptors[0], _side(root, id, user).pack(path, member))


def place_inside(
    *,
    root: str,
    id: str,
    user: str,
    path: str,
    archive: bool,
    descriptors: Sequence[int],
    notify: Callable[[Any], None],
) -> None:
    """Inside: place what comes from a pipe."""
    pieces = iter(lambda: os.read(descriptors[0], 1 << 20), b"")
    _side(root, id, user).place(
        path, pieces, archive=archive, skipped=lambda name, why: notify([name, why])
    )


def write_pieces(descriptor: int, pieces: Iterator[bytes]) -> None:
    """Write all of `pieces`, and close the descriptor; a reader who has gone ends it silently."""
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        return
    finally:
        os.close(descriptor)


def _side(root: str, id: str, user: str) -> ContainerSide:
    store = Store.open(root)
    return ContainerSide(store, store.containers.find(id), user=user)


def _absolute(path: str) -> str:
    """A path in a container: those that are relative begin at the root, as in Docker."""
    return path if path.startswith("/") else f"/{path}"
