"""Whether all is there that an engine's database speaks of, and nothing else; and mending it.

Blobs are looked for, and read to be hashed where that is wanted; layers that images or containers
need are looked for, containers' directories and what must be in them, volumes', and what nothing
refers to. A finding is `damaged` until it is `mended`. What cannot be mended says what was lost.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from proa.engine.check.finding import DAMAGED, MENDED, OK, Finding
from proa.errors import CorruptData, ProaError
from proa.oci.digest import Digest
from proa.store.collect import collect, in_use
from proa.store.images import BLOB, LAYER
from proa.store.weigh import weigh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proa.engine.engine import Engine
    from proa.store.containers import ContainerRow
    from proa.store.images import ImageRecord

_CHUNK = 1 << 20
_REPAIR = "'proa system check --repair'"


def check_store(engine: Engine, *, verify: bool = False, repair: bool = False) -> list[Finding]:
    """What is to be said of the engine's directory, part by part.

    `verify`: read all blobs, which takes as long as reading them does. `repair`: mend what can be
    mended, and verify for that.
    """
    return list(_Store(engine, verify=verify or repair, repair=repair).findings())


class _Store:
    def __init__(self, engine: Engine, *, verify: bool, repair: bool) -> None:
        self._engine = engine
        self._store = engine.store
        self._verify = verify
        self._repair = repair

    def findings(self) -> Iterator[Finding]:
        problems = [
            text for (text,) in self._store.database.all("PRAGMA quick_check") if text != "ok"
        ]
        if problems:
            yield Finding(
                "database",
                DAMAGED,
                f"{self._store.database.path}: {problems[0]}",
                "what it says may be wrong",
                "restore it from a backup",
                essential=True,
            )
            return
        yield Finding("database", OK, f"{self._store.database.path} is sound")
        # killed monitors first: what they have left is put in order by looking
        self._engine.containers.summaries(all=True)
        for name, part, good in (
            ("blobs", self._blobs, "all are there" + (" and right" if self._verify else "")),
            ("layers", self._layers, "all that is needed is there"),
            ("containers", self._containers, "all have what is theirs"),
            ("volumes", self._volumes, "all have their directories"),
            ("leftovers", self._leftovers, "there are none"),
        ):
            flaws = list(part())
            yield from flaws or [Finding(name, OK, good)]

    def _mend(
        self,
        name: str,
        detail: str,
        cost: str,
        action: Callable[[], str] | None,
        *,
        otherwise: str = f"mend it by {_REPAIR}",
    ) -> Finding:
        """The finding of a flaw, mended by `action`, which says what it has done.

        `otherwise`: the remedy where there is no action, or not yet.
        """
        if action is None or not self._repair:
            return Finding(name, DAMAGED, detail, cost, otherwise)
        try:
            return Finding(name, MENDED, f"{detail}; {action()}")
        except (ProaError, OSError) as error:
            return Finding(name, DAMAGED, f"{detail}; {error}", cost, "see what it says")

    # -- blobs

    def _blobs(self) -> Iterator[Finding]:
        store = self._store
        users: dict[str, list[ImageRecord]] = {}
        for image in store.images.list():
            for kind, digest in image.parts:
                if kind == BLOB:
                    users.setdefault(digest, []).append(image)
        for text, images in sorted(users.items()):
            digest = Digest.trusted(text)
            problem = self._problem_of(digest)
            if not problem:
                continue
            named = ", ".join(_name(image) for image in images)
            action = self._blob_action(digest, images, problem)
            yield self._mend(
                f"blob {digest.short}",
                f"{problem}; it belongs to {named}",
                f"{named} cannot be saved or pushed",
                action,
                otherwise=f"mend it by {_REPAIR}"
                if action is not None
                else f"load or pull {named} again",
            )

    def _problem_of(self, digest: Digest) -> str:
        if not self._store.blobs.exists(digest):
            return "it is missing"
        if not self._verify:
            return ""
        found = hashlib.new(digest.algorithm)
        with self._store.blobs.open(digest) as file:
            while data := file.read(_CHUNK):
                found.update(data)
        return "" if found.hexdigest() == digest.hex else "it was damaged on the disk"

    def _blob_action(
        self, digest: Digest, images: list[ImageRecord], problem: str
    ) -> Callable[[], str] | None:
        if any(image.id == digest for image in images):

            def rewrite() -> str:
                # an image's row has its config, too
                row = self._store.database.one("SELECT config FROM images WHERE id = ?1", (digest,))
                data = str(row[0] if row else "").encode()
                if Digest.of(data, digest.algorithm) != digest:
                    raise CorruptData("the database has another one; load or pull the image again")
                self._store.blobs.delete(digest)
                self._store.blobs.put(data, digest)
                return "it was made anew from the database"

            return rewrite
        if "missing" in problem:
            return None

        def remove() -> str:
            self._store.blobs.delete(digest)
            return "it was removed: load or pull the image again to have it"

        return remove

    # -- layers

    def _layers(self) -> Iterator[Finding]:
        store = self._store
        needed: dict[str, list[str]] = {}
        sources: dict[str, ImageRecord] = {}
        for image in store.images.list():
            for kind, diff_id in image.parts:
                if kind == LAYER:
                    needed.setdefault(diff_id, []).append(f"image {_name(image)}")
                    sources.setdefault(diff_id, image)
        for row in store.containers.list():
            for layer in row.layers:
                needed.setdefault(str(layer), []).append(f"container {row.name}")
        for text, users in sorted(needed.items()):
            diff_id = Digest.trusted(text)
            if store.layers.is_unpacked(diff_id):
                continue
            source = sources.get(text)
            yield self._mend(
                f"layer {diff_id.short}",
                f"it is missing; it belongs to {', '.join(users)}",
                f"no container runs of {', '.join(users)}",
                None if source is None else self._unpacking(source),
                otherwise="load or pull its image again"
                if source is None
                else f"mend it by {_REPAIR}",
            )

    def _unpacking(self, record: ImageRecord) -> Callable[[], str]:
        def unpack() -> str:
            from proa.image.unpack import bring_layers
            from proa.image.view import from_store
            from proa.image.work import Work

            with Work(self._store, "repair") as work:
                image = from_store(self._store, record)
                bring_layers(self._store, work.lease, image.layers)
                self._store.layers.settle(*(layer.diff_id for layer in image.layers))
                work.done(leftovers=False)
            return "it was unpacked again from its blob"

        return unpack

    # -- containers

    def _containers(self) -> Iterator[Finding]:
        for row in self._store.containers.list():
            directory = self._store.path("containers", row.id)
            if not os.path.isdir(directory):
                yield self._mend(
                    f"container {row.name}",
                    f"its directory {directory} is missing, and with it what it has written",
                    "it cannot be started",
                    self._removal(row),
                    otherwise=f"remove it with 'proa rm -f {row.name}', or by {_REPAIR}",
                )
                continue
            if problem := _problem_of_spec(f"{directory}/config.json"):
                yield self._mend(
                    f"container {row.name}",
                    f"its bundle's config.json {problem}",
                    "it cannot be started",
                    self._specification(row),
                )
            if not os.path.isdir(f"{directory}/snapshot"):
                yield self._mend(
                    f"container {row.name}",
                    "its snapshot is missing, and with it what it has written",
                    "it cannot be started",
                    self._snapshot(row),
                )

    def _removal(self, row: ContainerRow) -> Callable[[], str]:
        def remove() -> str:
            self._engine.containers.get(row.id).remove(force=True)
            return "it was removed"

        return remove

    def _specification(self, row: ContainerRow) -> Callable[[], str]:
        def write() -> str:
            from proa.engine.create import write_bundle

            write_bundle(self._store, row)
            return "it was made anew from the database"

        return write

    def _snapshot(self, row: ContainerRow) -> Callable[[], str]:
        def prepare() -> str:
            from proa.engine.rootless import snapshots

            path = self._store.path("containers", row.id, "snapshot")
            snapshots(self._store.root).prepare(path, [*map(str, row.layers)])
            return "it has an empty one now"

        return prepare

    # -- volumes

    def _volumes(self) -> Iterator[Finding]:
        for row in self._store.volumes.list():
            path = self._store.volumes.data(row.name)
            if os.path.isdir(path):
                continue

            def make(path: str = path) -> str:
                os.makedirs(path, 0o755)
                return "it has an empty one now"

            yield self._mend(
                f"volume {row.name}",
                f"its directory {path} is missing, and with it what it held",
                "no container that has it can be started",
                make,
            )

    # -- what nothing refers to

    def _leftovers(self) -> Iterator[Finding]:
        left, unused = self._left()
        abandoned = len(self._store.leases.abandoned())
        if not (left or unused or abandoned):
            return

        def clean() -> str:
            collect(self._store)
            for path in self._store.volumes.sweep():
                self._engine.volumes.discard(path)
            return "it was removed"

        yield self._mend(
            "leftovers",
            f"{left + unused} bytes that nothing refers to, of {abandoned} killed processes",
            "they take space",
            clean,
        )

    def _left(self) -> tuple[int, int]:
        """Bytes of what was never finished, and of blobs and layers that nothing refers to."""
        store = self._store
        weights = weigh(store)
        unused = 0
        for used, found in zip(in_use(store), (weights.blobs, weights.layers), strict=True):
            unused += sum(size for digest, size in found.items() if digest not in used)
        return weights.left, unused


def _problem_of_spec(path: str) -> str:
    import json

    try:
        with open(path, "rb") as file:
            return "" if isinstance(json.load(file), dict) else "is damaged"
    except FileNotFoundError:
        return "is missing"
    except (OSError, ValueError):
        return "is damaged"


def _name(image: ImageRecord) -> str:
    return image.tags[0] if image.tags else image.id.short
