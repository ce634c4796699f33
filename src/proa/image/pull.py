"""Pulling: an image from a registry into the store, unpacked while it arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proa.distribution.repository import Repository
from proa.errors import CorruptData, ImageNotFound
from proa.image.documents import check
from proa.image.progress import Meter, Progress, Stop
from proa.image.unpack import add
from proa.image.variants import choose
from proa.image.view import Image, assemble
from proa.image.work import Work
from proa.lean.record import replace
from proa.oci.document import LARGEST_CONFIG
from proa.oci.image_config import ImageConfig
from proa.oci.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.distribution.blob import BlobReader
    from proa.distribution.client import Client
    from proa.distribution.repository import Content
    from proa.image.view import Layer
    from proa.oci.descriptor import Descriptor
    from proa.oci.digest import Digest
    from proa.oci.reference import Reference
    from proa.store.images import ImageRecord
    from proa.store.store import Store

_WORKERS = 3
"""Layers at a time, as Docker: more would not make the network faster, and take memory."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that was pulled."""

    image: ImageRecord
    reference: Reference
    """as it was asked for, with a tag or a digest"""
    digest: Digest
    """of what the reference means in the registry: a manifest, or an index"""
    is_newer: bool
    """it was not what the reference meant here before"""


def pull(
    store: Store,
    client: Client,
    reference: Reference,
    platform: Platform | None = None,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Pulled:
    """Get the image that `reference` means in its registry, for `platform` or this machine.

    Of a reference with tag and digest, the digest decides. `progress` is called in any thread.
    What has arrived of a layer stays where this raises, and the next pull goes on from there.

    Raises ImageNotFound, Unauthorized, Unavailable, TimedOut, CorruptData, HostileData,
    LimitExceeded, Unsupported, NoSpace.
    """
    wanted = reference.with_default_tag()
    return _Pull(store, client, wanted, platform, progress).run()


def pull_all(
    store: Store,
    client: Client,
    reference: Reference,
    platform: Platform | None = None,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    pulled: Callable[[Pulled], None] = lambda _: None,
) -> list[Pulled]:
    """As `pull`, for all tags of a repository. `pulled` is called after each of them."""
    found = []
    for tag in sorted(Repository(client, reference).tags()):
        item = pull(store, client, replace(reference, tag=tag), platform, progress=progress)
        pulled(item)
        found.append(item)
    if not found:
        raise ImageNotFound(f"repository {reference.familiar_name} has no tags")
    return found


class _Pull:
    def __init__(
        self,
        store: Store,
        client: Client,
        reference: Reference,
        platform: Platform | None,
        progress: Callable[[Progress], None],
    ) -> None:
        self._store = store
        self._client = client
        self._reference = reference
        self._platform = platform
        self._tell = progress
        self._repository = Repository(client, reference)
        self._former = self._find()
        self._settled: set[Digest] = set()

    def run(self) -> Pulled:
        reference = self._reference
        wanted = reference.digest or reference.tag
        assert wanted is not None
        found = self._up_to_date(wanted)
        content = self._repository.get(wanted) if found is None else None
        self._tell(Progress(f"Pulling from {reference.path}", wanted))
        if content is None:
            assert found is not None
            return found
        image = self._image(content)
        tagged = reference.without_digest()
        names = [replace(tagged, tag=None, digest=content.digest)]
        if reference.digest is None:
            names.insert(0, tagged)
        self._announce(image)
        replaces = self._replaces(image)
        with Work(self._store, "pull") as work:
            record = add(
                self._store,
                work.lease,
                image,
                names,
                progress=self._complete,
                workers=_WORKERS,
                event="pull",
                cancelled=Stop(self._client.transport.abort),
            )
            work.done(leftovers=replaces)
        is_newer = self._former is None or self._former.id != record.id
        return Pulled(record, reference, content.digest, is_newer)

    def _find(self) -> ImageRecord | None:
        """What the reference means here."""
        try:
            return self._store.images.resolve(str(self._reference))
        except ImageNotFound:
            return None

    def _up_to_date(self, wanted: str) -> Pulled | None:
        """What is here, if the registry still has the same under that name.

        Asking for a manifest's digest does not count where pulls are counted.
        """
        former = self._former
        if former is None:
            return None
        platform = self._platform or Platform.host()
        text = former.config.get
        actual = Platform.of(
            text("os") or "linux", text("architecture") or "", text("variant") or ""
        )
        if (actual.os, actual.architecture, actual.variant) != (
            platform.os,
            platform.architecture,
            platform.variant,
        ):
            return None
        digest = self._reference.digest or self._repository.resolve(wanted)
        if f"{self._reference.repository}@{digest}" not in former.references:
            return None
        if not all(self._store.blobs.exists(blob) for blob in former.content):
            return None
        if not all(self._store.layers.is_unpacked(layer) for layer in former.layers):
            return None
        assert digest is not None
        return Pulled(former, self._reference, digest, is_newer=False)

    def _replaces(self, image: Image) -> bool:
        """Whether the same image is here by another manifest, whose blobs are of no use then."""
        assert image.manifest is not None
        try:
            return self._store.images.resolve(image.id).manifest != image.manifest.digest
        except ImageNotFound:
            return False

    def _image(self, content: Content) -> Image:
        variant = choose(content, self._platform, self._fetch, self._reference.familiar)
        manifest = variant.manifest
        config = self._repository.read(manifest.config, LARGEST_CONFIG)
        check(config, f"image config {manifest.config.digest.short}")
        self._check_platform(ImageConfig.parse(config).platform)
        return assemble(
            manifest,
            config,
            lambda descriptor: self._open(descriptor, 0),
            self._open,
            variant.index,
        )

    def _fetch(self, descriptor: Descriptor) -> Content:
        content = self._repository.get(str(descriptor.digest))
        if len(content.data) != descriptor.size:
            raise CorruptData(
                f"manifest {descriptor.digest.short} has {len(content.data)} bytes; its index"
                f" tells of {descriptor.size}"
            )
        return content

    def _check_platform(self, actual: Platform) -> None:
        if self._platform is not None and self._platform.choose([actual]) is None:
            raise ImageNotFound(
                f"image {self._reference.familiar} was found but does not match the specified"
                f" platform: wanted {self._platform}, actual {actual}"
            )

    def _announce(self, image: Image) -> None:
        seen = set()
        for layer in image.layers:
            assert layer.descriptor is not None
            if layer.descriptor.digest in seen:
                continue
            seen.add(layer.descriptor.digest)
            here = self._store.layers.is_unpacked(layer.diff_id)
            here = here and self._store.blobs.exists(layer.descriptor.digest)
            status = "Already exists" if here else "Pulling fs layer"
            self._tell(Progress(status, layer.descriptor.digest.short))
            if here:
                self._settled.add(layer.diff_id)

    def _complete(self, layer: Layer) -> None:
        assert layer.descriptor is not None
        if layer.diff_id not in self._settled:
            self._tell(Progress("Pull complete", layer.descriptor.digest.short))

    def _open(self, descriptor: Descriptor, offset: int) -> _Metered:
        reader = self._repository.open(descriptor, offset)
        return _Metered(reader, descriptor, offset, self._tell)


class _Metered:
    """A blob's reader that tells how far it has got."""

    def __init__(
        self,
        reader: BlobReader,
        descriptor: Descriptor,
        offset: int,
        tell: Callable[[Progress], None],
    ) -> None:
        self._reader = reader
        self._id = descriptor.digest.short
        self._tell = tell
        self._meter = Meter(tell, "Downloading", self._id, descriptor.size, offset)
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        data = self._reader.read(size)
        if data:
            self._meter.add(len(data))
        elif not self._ended:
            self._ended = True
            self._tell(Progress("Verifying Checksum", self._id))
            self._tell(Progress("Download complete", self._id))
        return data
