"""The operations of a build, each with its key and its work."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proa.build.fingerprint import Digests, fingerprint
from proa.build.graph import ContextOp, CopyOp, DirectoryOp, FetchOp, RunOp
from proa.build.tree import Tree, literal
from proa.build.workspace import Workspace
from proa.errors import BuildFailed, InvalidArgument
from proa.lean.record import record
from proa.snapshot.choose import choose_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proa.build.cache import Parts
    from proa.build.context import Directory
    from proa.build.graph import Vertex
    from proa.build.options import BuildOptions
    from proa.build.run import Runner
    from proa.build.tree import Item
    from proa.image.view import Layer
    from proa.store.leases import Lease
    from proa.store.store import Store


@record
class Result:
    """What a vertex has come to: layers, or for a context its files."""

    layers: tuple[Layer, ...] = ()
    own: Layer | None = None
    """the layer that it added"""
    created: str = ""
    context: Directory | None = None

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Of its layers, each once, as they are mounted."""
        ids = [str(layer.diff_id) for layer in self.layers]
        return tuple(reversed(dict.fromkeys(reversed(ids))))


@dataclass(slots=True)
class Selection:
    """What a COPY copies: found out for its key, and used when it is done."""

    groups: list[tuple[Tree, list[Item]]] = field(default_factory=list)

    def close(self) -> None:
        """Let go of the trees."""
        while self.groups:
            self.groups.pop()[0].close()


class Steps:
    """Knows how to do each operation."""

    def __init__(
        self, store: Store, options: BuildOptions, contexts: dict[str, Directory], runner: Runner
    ) -> None:
        self._store = store
        self._options = options
        self._contexts = contexts
        self._runner = runner
        self._snapshots = choose_snapshots(store.root)
        self._digests: dict[str, Digests] = {}
        self.failed: tuple[Vertex, Layer | None] | None = None
        """a RUN that has failed, and what it changed until then"""

    def context(self, op: ContextOp) -> Directory:
        """The context that is meant. Raises InvalidArgument."""
        found = self._contexts.get(op.name)
        if found is None:
            raise InvalidArgument("this build has no context: nothing can be copied from it")
        return found

    def save(self) -> None:
        """Keep what was learned about the files of contexts."""
        for digests in self._digests.values():
            digests.save()

    # -- keys

    def parts(
        self, vertex: Vertex, inputs: Sequence[Result | None]
    ) -> tuple[Parts, Selection | None]:
        """What the key of a vertex is made of, and what was found out on the way.

        Raises NotFound, InvalidArgument, Conflict.
        """
        match vertex.op:
            case RunOp() as op:
                return self._run_parts(op, inputs), None
            case CopyOp() as op:
                return self._copy_parts(op, inputs)
            case DirectoryOp() as op:
                parent = _chain(inputs[0])
                return {"kind": "directory", "path": op.path, "user": op.user, **parent}, None
            case _:
                raise AssertionError(vertex.op)

    def _run_parts(self, op: RunOp, inputs: Sequence[Result | None]) -> Parts:
        return {
            "kind": "run",
            "command": repr(op.arguments),
            "build arguments and environment": {
                name: value for name, _, value in (item.partition("=") for item in op.environment)
            },
            "working directory": op.working_dir,
            "user": op.user,
            "network": op.network,
            "security": op.security,
            "script": repr(op.script),
            "mounts": repr(op.mounts),
            "mounted files": {
                str(number): "\n".join(result.diff_ids)
                for number, result in enumerate(inputs[1:])
                if result is not None
            },
            "hosts": repr(op.hosts),
            **self._epoch(),
            **_chain(inputs[0]),
        }

    def _copy_parts(
        self, op: CopyOp, inputs: Sequence[Result | None]
    ) -> tuple[Parts, Selection | None]:
        parts: Parts = {
            "kind": "copy",
            "destination": op.destination,
            "flags": repr((op.chown, op.chmod, op.link, op.parents, op.add, op.unpack)),
            "heredocs": {heredoc.name: heredoc.data for heredoc in op.heredocs},
            **self._epoch(),
        }
        if not op.link:
            parts.update(_chain(inputs[0]))
        selection = Selection()
        digests = []
        files: dict[str, str] = {}
        try:
            for number, source in enumerate(inputs[1:]):
                patterns = op.sources
                if number and source is not None and source.context is not None:
                    patterns = (literal(source.context.only) or "/",)
                if source is None or not patterns:
                    continue
                tree, known, keep_owners = self._tree(source)
                selection.groups.append((tree, []))
                items = selection.groups[-1][1]
                for pattern in patterns:
                    items += tree.select(pattern, parents=op.parents, excludes=op.excludes)
                digest, found = fingerprint(
                    tree, items, known, with_owners=keep_owners and not op.chown
                )
                digests.append(digest)
                files.update(found)
        except BaseException:
            selection.close()
            raise
        if selection.groups:
            parts["content"] = " ".join(digests)
            parts["file"] = files
        return parts, selection if selection.groups else None

    def fetch(self, op: FetchOp) -> Directory:
        """What is fetched, as a tree to copy from. Raises NotFound, Unavailable, CorruptData."""
        from proa.build.context import Directory
        from proa.build.remote import fetch

        found = fetch(self._store, op.url, checksum=op.checksum, keep_git_dir=op.keep_git_dir)
        return Directory(found.root, op.url, only=found.name)

    def _tree(self, source: Result | None) -> tuple[Tree, Digests, bool]:
        if source is not None and source.context is not None:
            directory = source.context
            digests = self._digests.get(directory.path)
            if digests is None:
                digests = self._digests[directory.path] = directory.digests(self._store)
            return directory.open(), digests, False
        layers = source.diff_ids if source is not None else ()
        return Tree(self._snapshots.view(layers), "the stage that is copied from"), Digests(), True

    def _epoch(self) -> Parts:
        epoch = self._options.epoch
        return {} if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch)}

    # -- work

    def execute(
        self,
        vertex: Vertex,
        inputs: Sequence[Result | None],
        selection: Selection | None,
        lease: Lease,
        output: Callable[[int, bytes], None],
    ) -> Layer | None:
        """Do what a vertex is about; the layer of what changed, None where nothing did.

        Raises BuildFailed, NotFound, Conflict, InvalidArgument, NoSpace …
        """
        from proa.image.unpack import explain

        base = inputs[0].diff_ids if inputs[0] is not None else ()
        if isinstance(vertex.op, CopyOp) and vertex.op.link:
            base = ()
        try:
            with Workspace(self._store) as space:
                self._snapshots.prepare(space.snapshot, base)
                match vertex.op:
                    case RunOp() as op:
                        layers = [base]
                        for result in inputs[1:]:
                            layers.append(result.diff_ids if result is not None else ())
                        try:
                            self._runner.run(op, space, layers, output)
                        except BuildFailed:
                            if self._options.keep_failed:
                                self.failed = vertex, self._layer(space, base, lease)
                            raise
                    case CopyOp() as op:
                        self._copy(op, space, base, selection, inputs[1:])
                    case DirectoryOp() as op:
                        self._directory(op, space, base)
                return self._layer(space, base, lease)
        except OSError as error:
            raise explain(error, self._store, f"the step {vertex.name}") from error

    def _layer(self, space: Workspace, base: tuple[str, ...], lease: Lease) -> Layer | None:
        from proa.image.new_layer import EMPTY, make_layer, take_layer

        directory = self._snapshots.changed(space.snapshot)
        if self._options.epoch is not None:
            _clamp(directory, self._options.epoch)
        changes = self._snapshots.changes(space.snapshot, base)
        if self._snapshots.kind == "overlay":
            layer = take_layer(self._store, lease, changes, directory)
        else:
            layer = make_layer(self._store, lease, changes)
        return None if layer.diff_id == EMPTY else layer

    def _copy(
        self,
        op: CopyOp,
        space: Workspace,
        base: tuple[str, ...],
        selection: Selection | None,
        sources: Sequence[Result | None],
    ) -> None:
        from proa.build.copying import Copying

        root = self._snapshots.mount(space.snapshot, base)
        try:
            source = sources[0]
            Copying(
                op,
                root,
                selection.groups if selection is not None else [],
                count=len(op.sources) + len(op.heredocs) + len(sources) - 1,
                keep_owners=source is not None and source.context is None,
                epoch=self._options.epoch,
            ).run()
        finally:
            os.close(root)

    def _directory(self, op: DirectoryOp, space: Workspace, base: tuple[str, ...]) -> None:
        from proa.build.place_files import Placement, is_directory

        root = self._snapshots.mount(space.snapshot, base)
        try:
            if is_directory(root, op.path):
                return
            owner = find_owner_of_user(root, op.user)
            Placement(root, op.path, owner=owner).close()
        finally:
            os.close(root)


def find_owner_of_user(root: int, user: str) -> tuple[int, int]:
    """Whose the directories are that a WORKDIR makes. Raises NotFound."""
    from proa.monitor.user import look_up

    found = look_up(root, user)
    return found.uid, found.gid


def _chain(result: Result | None) -> Parts:
    return {"parent": "\n".join(result.diff_ids) if result is not None else ""}


def _clamp(directory: str, epoch: int) -> None:
    """No time in a layer is later than SOURCE_DATE_EPOCH."""
    latest = epoch * 1_000_000_000
    for path, directories, files, descriptor in os.fwalk(directory, follow_symlinks=False):
        del path
        for name in (*directories, *files):
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if status.st_mtime_ns > latest:
                os.utime(name, ns=(latest, latest), dir_fd=descriptor, follow_symlinks=False)
