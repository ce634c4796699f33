"""Loading images from an archive, a stream or a directory into the store."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proa.errors import CorruptData, InvalidArgument, NotFound, PermissionDenied
from proa.image import docker_archive, oci_layout
from proa.image.files import DirectoryFiles, SpooledFiles, TarFiles
from proa.image.reader import SNIFF, BinaryReader, decompressed
from proa.image.unpack import add_all, explain
from proa.image.work import Work
from proa.snapshot.decompress import sniff

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.image.files import Files
    from proa.image.oci_layout import SourceImage
    from proa.image.view import Layer
    from proa.oci.digest import Digest
    from proa.oci.platform import Platform
    from proa.store.images import ImageRecord
    from proa.store.leases import Lease
    from proa.store.store import Store


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that was loaded."""

    image: ImageRecord
    references: tuple[str, ...]
    """what it is called in the archive, as Docker shows references; may be empty"""


def load(
    store: Store,
    source: BinaryReader | str,
    platform: Platform | None = None,
    *,
    progress: Callable[[Layer], None] = lambda _: None,
) -> list[str]:
    """Load all images of `source`; their references, or the id of one that has none.

    `source`: the path of a docker-archive, an oci-archive or an OCI layout directory, or a
    stream with one of the former (compressed or not, seekable or not). `platform`: which variant
    of an image of several to load; None: the one this machine runs. `progress` is called after
    each layer, in any thread.

    All of them are loaded or none is. Raises NotFound, CorruptData, HostileData, LimitExceeded,
    ImageNotFound (no such platform), NoSpace.
    """
    names: list[str] = []
    for loaded in load_images(store, source, platform, progress=progress):
        names += loaded.references or (str(loaded.image.id),)
    return names


def load_images(
    store: Store,
    source: BinaryReader | str,
    platform: Platform | None = None,
    *,
    progress: Callable[[Layer], None] = lambda _: None,
    renamed: Callable[[str, Digest], None] = lambda _name, _id: None,
) -> list[Loaded]:
    """As `load`, with the records of the images.

    `renamed` is called for each name that meant another image before, with that image's id.
    """
    told = _Told(progress, renamed)
    try:
        with Work(store, "load") as work:
            loaded, spooled = _from(store, work.lease, source, platform, told)
            # of a stream, also what is in none of its images was stored
            work.done(leftovers=spooled)
    except OSError as error:
        raise explain(error, store, "the archive") from error
    return loaded


@dataclass(frozen=True, slots=True)
class _Told:
    """Whom to tell of what."""

    progress: Callable[[Layer], None]
    renamed: Callable[[str, Digest], None]


def _from(
    store: Store,
    lease: Lease,
    source: BinaryReader | str,
    platform: Platform | None,
    told: _Told,
) -> tuple[list[Loaded], bool]:
    """What was loaded, and whether blobs may be left over."""
    if not isinstance(source, str):
        return _from_stream(store, lease, source, platform, told)
    if os.path.isdir(source):
        directory = DirectoryFiles(source)
        try:
            if not oci_layout.is_layout(directory):
                raise CorruptData(f"{source} is not an OCI layout: it has no oci-layout file")
            found = oci_layout.images(directory, platform)
            return _add(store, lease, found, told), False
        finally:
            directory.close()
    try:
        file = io.FileIO(source)
    except FileNotFoundError:
        raise NotFound(f"no such archive: {source}") from None
    except PermissionError:
        raise PermissionDenied(f"no permission to read {source}") from None
    except OSError as error:
        raise InvalidArgument(f"cannot read {source}: {error.strerror}") from None
    with file:
        return _from_stream(store, lease, file, platform, told)


def _from_stream(
    store: Store,
    lease: Lease,
    stream: BinaryReader,
    platform: Platform | None,
    told: _Told,
) -> tuple[list[Loaded], bool]:
    descriptor = _plain_file(stream)
    files: Files
    if descriptor is not None:
        files = TarFiles(descriptor)
    else:
        files = SpooledFiles(store, lease, decompressed(stream, "the archive")[0])
    return _add(store, lease, _images(files, platform), told), descriptor is None


def _plain_file(stream: BinaryReader) -> int | None:
    """The descriptor of a stream that can be read at any place, and is not compressed."""
    try:
        descriptor: int = stream.fileno()  # type: ignore[attr-defined]
        position: int = stream.tell()  # type: ignore[attr-defined]
        # Python may have read ahead of the position the kernel knows of
        os.lseek(descriptor, position, os.SEEK_SET)
        start = os.pread(descriptor, SNIFF, position)
    except (AttributeError, OSError, ValueError):
        return None
    return descriptor if sniff(start) == "plain" else None


def _images(files: Files, platform: Platform | None) -> list[SourceImage]:
    if oci_layout.is_layout(files):
        if docker_archive.is_archive(files):
            return docker_archive.combined(files, platform)
        return oci_layout.images(files, platform)
    if docker_archive.is_archive(files):
        return docker_archive.images(files, platform)
    raise CorruptData(
        "the archive holds no images: it has neither manifest.json (docker-archive) nor"
        " oci-layout; a root file system is loaded with 'proa import'"
    )


def _add(
    store: Store,
    lease: Lease,
    found: list[SourceImage],
    told: _Told,
) -> list[Loaded]:
    records = add_all(
        store,
        lease,
        [(item.image, item.references) for item in found],
        progress=told.progress,
        renamed=told.renamed,
    )
    return [
        Loaded(record, tuple(reference.familiar for reference in item.references))
        for record, item in zip(records, found, strict=True)
    ]
