"""Pushing: an image from the store to a registry. Only what the other side lacks is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proa.distribution.upload import Target
from proa.errors import (
    ImageNotFound,
    InvalidArgument,
    NotFound,
    Unauthorized,
)
from proa.image.compress import compress
from proa.image.progress import Meter, Progress
from proa.image.work import Work
from proa.lean.json import loads
from proa.lean.record import replace
from proa.oci import media_types
from proa.oci.document import LARGEST_MANIFEST
from proa.oci.manifest import Manifest
from proa.oci.reference import Reference
from proa.store.leases import BLOB

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.distribution.client import Client
    from proa.distribution.transport import Body
    from proa.oci.descriptor import Descriptor
    from proa.oci.digest import Digest
    from proa.store.store import Store

_WORKERS = 5
"""Blobs at a time, as Docker."""
_MOST_SOURCES = 3


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image that was pushed."""

    reference: Reference
    digest: Digest
    """of its manifest"""
    size: int
    """bytes of its manifest"""


def push(
    store: Store,
    client: Client,
    reference: Reference,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Pushed:
    """Send the image that `reference` means here to the registry and repository it names.

    The manifest goes as it came, to the byte. A blob that another repository of the same registry
    is known to have is taken over from there. Raises ImageNotFound, InvalidArgument for a
    reference with a digest, Unauthorized, Unavailable, TimedOut …
    """
    if reference.digest is not None:
        raise InvalidArgument(
            f"cannot push a digest reference: {reference.familiar}; leave the digest out"
        )
    wanted = reference.with_default_tag()
    progress(Progress(f"The push refers to repository [{wanted.repository}]"))
    return _push(store, client, wanted, progress)


def push_all(
    store: Store,
    client: Client,
    reference: Reference,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    pushed: Callable[[Pushed], None] = lambda _: None,
) -> list[Pushed]:
    """As `push`, for all tags that a repository has here. `pushed` is called after each."""
    names = sorted(store.images.of_repository(reference.repository))
    if not names:
        raise _nothing(reference)
    progress(Progress(f"The push refers to repository [{reference.repository}]"))
    done = []
    for name in names:
        done.append(_push(store, client, Reference.parse(name), progress))
        pushed(done[-1])
    return done


def _nothing(reference: Reference) -> ImageNotFound:
    return ImageNotFound(
        f"an image does not exist locally with the tag: {reference.familiar_name}; see"
        " 'proa images'"
    )


def _push(
    store: Store, client: Client, reference: Reference, progress: Callable[[Progress], None]
) -> Pushed:
    with Work(store, "push") as work:
        try:
            record = store.images.resolve(str(reference))
        except ImageNotFound:
            work.done(leftovers=False)
            raise _nothing(reference) from None
        work.lease.protect(BLOB, *record.content)
        assert record.manifest is not None
        manifest = Manifest.parse(store.blobs.read(record.manifest, LARGEST_MANIFEST))
        made = compress(store, work.lease, record, manifest)
        diff_ids = loads(store.blobs.read(made.config.digest, made.config.size))["rootfs"]
        short = {
            layer.digest: str(diff_id)[7:19]
            for layer, diff_id in zip(made.layers, diff_ids["diff_ids"], strict=True)
        }
        pushing = _Pushing(store, client, reference, short, progress)
        pushing.blobs((made.config, *made.layers))
        digest = pushing.target.put_manifest(made.data, made.media_type, reference.tag)
        pinned = replace(reference, tag=None, digest=digest)
        with store.database.transaction(durable=True):
            if store.images.has(record.id):
                store.images.refer(str(pinned), record.id)
                store.images.note("push", record.id, record.config, reference.familiar)
        work.done(leftovers=made is not manifest)
    return Pushed(reference, digest, len(made.data))


class _Pushing:
    def __init__(
        self,
        store: Store,
        client: Client,
        reference: Reference,
        short: dict[Digest, str],
        progress: Callable[[Progress], None],
    ) -> None:
        self._store = store
        self._transport = client.transport
        self.target = Target(client, reference)
        self._short = short
        self._tell = progress
        self._sources = _sources(store, reference)
        self._failures: list[BaseException] = []

    def blobs(self, descriptors: tuple[Descriptor, ...]) -> None:
        """See to it that they are there, several at a time."""
        unique = {descriptor.digest: descriptor for descriptor in descriptors}
        for descriptor in unique.values():
            self._say(descriptor, "Preparing")
        with ThreadPoolExecutor(min(_WORKERS, len(unique)), "proa-push") as pool:
            futures = [pool.submit(self._guarded, descriptor) for descriptor in unique.values()]
            try:
                wait(futures)
            except BaseException:
                self._transport.abort()
                raise
        # the first one in time: it made the others stop
        for error in self._failures:
            raise error

    def _guarded(self, descriptor: Descriptor) -> None:
        try:
            self._blob(descriptor)
        except BaseException as error:
            self._failures.append(error)
            self._transport.abort()
        finally:
            self._store.database.close()

    def _blob(self, descriptor: Descriptor) -> None:
        if descriptor.media_type in media_types.FOREIGN and descriptor.urls:
            self._say(descriptor, "Skipped foreign layer")
            return
        if self.target.has(descriptor.digest):
            self._say(descriptor, "Layer already exists")
            return
        place = None
        for source in self._sources.get(descriptor.digest, ())[:_MOST_SOURCES]:
            try:
                place = self.target.mount(descriptor.digest, source)
            except (NotFound, Unauthorized):
                continue
            if place is None:
                self._say(descriptor, f"Mounted from {source}")
                return
            break
        name = self._short.get(descriptor.digest, "")
        meter = Meter(self._tell if name else _silent, "Pushing", name, descriptor.size)
        opened: list[Body] = []

        def open(offset: int) -> Body:
            file = self._store.blobs.open(descriptor.digest)
            opened.append(file)
            file.seek(offset)
            return file

        try:
            self.target.upload(descriptor, open, sent=meter.reach, place=place)
        finally:
            for file in opened:
                file.close()  # type: ignore[attr-defined]
        self._say(descriptor, "Pushed")

    def _say(self, descriptor: Descriptor, status: str) -> None:
        name = self._short.get(descriptor.digest)
        if name is not None:
            self._tell(Progress(status, name))


def _silent(_: Progress) -> None:
    """The config is no layer, and nothing is told of it."""


def _sources(store: Store, reference: Reference) -> dict[Digest, list[str]]:
    """Repositories of the same registry that may have a blob, by what is known here."""
    found: dict[Digest, list[str]] = {}
    for record in store.images.list():
        paths = {
            other.path
            for other in map(Reference.parse, record.references)
            # by digest: it was pulled from there, or pushed to it
            if other.domain == reference.domain
            and other.path != reference.path
            and other.digest is not None
        }
        for digest in record.content:
            for path in sorted(paths):
                if path not in (known := found.setdefault(digest, [])):
                    known.append(path)
    return found
