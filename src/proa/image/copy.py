"""Copying images, indexes and artifacts from place to place, byte for byte, without unpacking."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from proa.distribution.repository import Content
from proa.errors import CorruptData, InvalidArgument, LimitExceeded
from proa.image import places
from proa.image.documents import check
from proa.image.progress import Meter, Progress
from proa.image.reader import read_exactly
from proa.image.unpack import add
from proa.image.variants import choose, kind_of
from proa.image.view import assemble
from proa.image.work import Work
from proa.oci import media_types
from proa.oci.descriptor import Descriptor
from proa.oci.document import LARGEST_CONFIG, Fields, parse_object
from proa.oci.index import Index
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.distribution.client import Client
    from proa.image.view import Layer
    from proa.oci.digest import Digest
    from proa.oci.platform import Platform
    from proa.store.images import ImageRecord
    from proa.store.store import Store

_WORKERS = 4
_MOST_MANIFESTS = 2000
_DEEPEST = 8
TRANSPORTS = ("docker", "docker-archive", "oci-archive", "oci", "store")


def split(text: str) -> tuple[str, str]:
    """Transport and the rest of `docker://a/b:1`, `oci:dir:name`; none is a registry's.

    Raises InvalidArgument.
    """
    transport, colon, rest = text.partition(":")
    if colon and transport in TRANSPORTS:
        if transport == "docker" and not rest.startswith("//"):
            return "docker", text
        if not rest.removeprefix("//"):
            raise InvalidArgument(f"{text!r} names no image; write {transport}:PATH[:NAME]")
        return transport, rest.removeprefix("//") if transport == "docker" else rest
    if "://" in text:
        raise InvalidArgument(
            f"{text[:200]!r}: unknown transport; there are {', '.join(TRANSPORTS)}"
        )
    return "docker", text


def copy(
    source: places.Source,
    sink: places.Sink,
    *,
    platform: Platform | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Digest:
    """Copy what `source` stands for; the digest of its manifest.

    `platform`: of an index, only the variant for this one, as an image of its own. An index
    without it is copied with all that it lists. Raises ImageNotFound, CorruptData, LimitExceeded,
    Unauthorized, Unavailable …
    """
    content = source.root()
    if platform is not None:
        found = choose(content, platform, source.manifest, "the image")
        data = found.manifest.data
        content = Content(data, found.manifest.media_type, found.manifest.digest)
    copying = _Copying(source, sink, progress)
    copying.parts(content, 0)
    sink.root(content, kind_of(content))
    return content.digest


def copy_part(
    source: places.Source,
    sink: places.Sink,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
) -> None:
    """As `copy`, without a name: for what an index is about to refer to."""
    content = source.root()
    _Copying(source, sink, progress).parts(content, 0)
    sink.manifest(content, kind_of(content))


def copy_to_store(
    source: places.Source,
    store: Store,
    reference: Reference,
    *,
    platform: Platform | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> ImageRecord:
    """Make an image of the store's of what `source` stands for, and let `reference` mean it.

    As every image of the store, it is unpacked. Raises as `copy`, and NoSpace, Unsupported.
    """
    variant = choose(source.root(), platform, source.manifest, reference.familiar)
    manifest = variant.manifest
    if manifest.config.size > LARGEST_CONFIG:
        raise LimitExceeded(f"the config of {reference.familiar} is larger than {LARGEST_CONFIG}")
    config = read_exactly(source.blob(manifest.config, 0), manifest.config.size)
    check(config, f"image config {manifest.config.digest.short}")
    image = assemble(manifest, config, lambda layer: source.blob(layer, 0), index=variant.index)

    def done(layer: Layer) -> None:
        progress(Progress("Copied", layer.descriptor.digest.short if layer.descriptor else ""))

    with Work(store, "copy") as work:
        return add(store, work.lease, image, [reference.with_default_tag()], progress=done)


class _Copying:
    def __init__(
        self, source: places.Source, sink: places.Sink, progress: Callable[[Progress], None]
    ) -> None:
        self._source = source
        self._sink = sink
        self._tell = progress
        self._seen: set[Digest] = set()

    def parts(self, content: Content, depth: int) -> None:
        """All that a manifest refers to, what these refer to first."""
        if depth > _DEEPEST:
            raise LimitExceeded("the indexes are nested too deeply")
        what = f"manifest {content.digest.short}"
        kind = kind_of(content)
        if kind in media_types.INDEXES:
            for entry in Index.parse(content.data, kind).manifests:
                self._child(entry, depth)
            return
        fields = Fields(parse_object(content.data, what), what)
        blobs = [Descriptor.parse(layer, what) for layer in fields.objects("layers")]
        if fields.has("config"):
            blobs.insert(0, Descriptor.parse(fields.object("config"), what))
        if not blobs and fields.number("schemaVersion", 0) != 2:
            raise CorruptData(f"{what} is of a kind that cannot be copied")
        self._blobs(blobs)

    def _child(self, entry: Descriptor, depth: int) -> None:
        if entry.digest in self._seen:
            return
        self._seen.add(entry.digest)
        if len(self._seen) > _MOST_MANIFESTS:
            raise LimitExceeded(f"the index leads to more than {_MOST_MANIFESTS} manifests")
        content = self._source.manifest(entry)
        content = Content(content.data, entry.media_type, content.digest)
        self.parts(content, depth + 1)
        self._sink.manifest(content, entry.media_type)
        self._tell(Progress("Copied", entry.digest.short))

    def _blobs(self, descriptors: list[Descriptor]) -> None:
        unique = {
            blob.digest: blob
            for blob in descriptors
            if not (blob.media_type in media_types.FOREIGN and blob.urls)
        }
        workers = 1 if hasattr(self._sink, "one_at_a_time") else min(_WORKERS, len(unique) or 1)
        with ThreadPoolExecutor(workers, "proa-copy") as pool:
            for _ in pool.map(self._blob, unique.values()):
                pass

    def _blob(self, descriptor: Descriptor) -> None:
        meter = Meter(self._tell, "Copying", descriptor.digest.short, descriptor.size)
        done = self._sink.blob(descriptor, self._source, meter.reach)
        self._tell(Progress(done, descriptor.digest.short))


def open_source(stack: ExitStack, store: Store, client: Client, text: str) -> places.Source:
    """The place that `text` names, to copy from."""
    transport, rest = split(text)
    if transport == "docker":
        return places.RegistryPlace(client, Reference.parse(rest))
    if transport == "store":
        return places.StorePlace(store, rest)
    path, name = path_and_name(rest)
    return stack.enter_context(places.FilesPlace(path, name))


def open_sink(stack: ExitStack, client: Client, text: str) -> places.Sink:
    """The place that `text` names, to copy to: all but the store."""
    transport, rest = split(text)
    if transport == "docker":
        return places.RegistrySink(client, Reference.parse(rest))
    path, name = path_and_name(rest)
    if transport == "oci":
        return places.LayoutSink(path, name)
    if transport == "oci-archive":
        return stack.enter_context(places.ArchiveSink(path, name))
    raise InvalidArgument(
        f"cannot copy to {transport}: write oci-archive:PATH, which docker reads as well; or"
        " 'proa save' an image of the store"
    )


def path_and_name(text: str) -> tuple[str, str]:
    """A path, and the name of an image in what is there: `image.tar:a/b:1`."""
    path, colon, name = text.partition(":")
    return path, name if colon else ""
