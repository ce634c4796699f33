"""Saving images as an archive.

Both formats are an OCI image layout in a tar archive, with manifests and layers byte for byte as
they came. `docker` adds manifest.json, by which every version of Docker, Podman and skopeo reads
it, too.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tarfile
from typing import TYPE_CHECKING, Protocol

from proa.errors import (
    AlreadyExists,
    CorruptData,
    ImageNotFound,
    InvalidArgument,
    NoSpace,
    PermissionDenied,
)
from proa.image import docker_archive, oci_layout
from proa.image.view import Image, from_store
from proa.lean.json import dumps
from proa.lean.record import replace
from proa.oci.index import Index
from proa.oci.reference import Reference
from proa.store.leases import BLOB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from proa.oci.descriptor import Descriptor
    from proa.oci.digest import Digest
    from proa.oci.platform import Platform
    from proa.store.images import ImageRecord
    from proa.store.leases import Lease
    from proa.store.store import Store

    Item = tuple[Image, list[Reference]]

_FORMATS = {
    "docker": "docker",
    "docker-archive": "docker",
    "oci": "oci",
    "oci-archive": "oci",
}
_CHUNK = 1 << 20
_ENOSPC, _EDQUOT = 28, 122


class Sink(Protocol):
    """Where an archive is written to."""

    def write(self, data: bytes, /) -> int | None:
        """Take all of `data`, or as much as is returned."""


def save(
    store: Store,
    names: Iterable[str],
    sink: Sink,
    format: str = "docker",
    *,
    platform: Platform | None = None,
) -> None:
    """Write the images `names` as one archive to `sink`; see `archive`.

    Raises NoSpace besides.
    """
    try:
        for piece in archive(store, names, format, platform=platform):
            view = memoryview(piece)
            while view:
                # an unbuffered sink may take less than it was offered
                taken = sink.write(view)  # type: ignore[arg-type]
                view = view[len(view) if taken is None else taken :]
    except OSError as error:
        if error.errno in (_ENOSPC, _EDQUOT):
            raise NoSpace("no space left for the archive") from None
        raise


def archive(
    store: Store,
    names: Iterable[str],
    format: str = "docker",
    *,
    platform: Platform | None = None,
) -> Iterator[bytes]:
    """The images `names` as one archive, in pieces.

    A name that is a repository without a tag stands for all its tags. An image that is named by
    its id goes without a name. `format`: docker or oci. `platform`: refuse images of another
    one. Raises ImageNotFound, InvalidArgument.
    """
    if format not in _FORMATS:
        raise InvalidArgument(f"unknown format {format!r} of archives: give docker or oci")
    with store.leases.take("save") as lease:
        items = _take(store, lease, names, platform)
        tar = _Tar()
        for path in _directories(items):
            yield tar.directory(path)
        for path, content in _files(items, with_manifest=_FORMATS[format] == "docker"):
            if isinstance(content, bytes):
                yield tar.file(path, content)
            else:
                yield from tar.copy(store, path, content)
        yield tar.end()


def save_layout(
    store: Store, names: Iterable[str], directory: str, *, platform: Platform | None = None
) -> None:
    """Write the images `names` as an OCI image layout into `directory`; see `archive`.

    It is made where it is missing, and must be empty otherwise: it is complete, or it is not
    there. Raises AlreadyExists, ImageNotFound, InvalidArgument, NoSpace, PermissionDenied.
    """
    place = os.path.abspath(directory)
    if os.path.lexists(place) and (not os.path.isdir(place) or os.listdir(place)):
        raise AlreadyExists(f"{directory} is there, and is not an empty directory")
    temporary = ""
    try:
        with store.leases.take("save") as lease:
            items = _take(store, lease, names, platform)
            beside = f"{os.path.dirname(place)}/.{os.path.basename(place)}.{secrets.token_hex(8)}"
            os.mkdir(beside, 0o755)
            temporary = beside
            for path in _directories(items):
                os.mkdir(f"{temporary}/{path}", 0o755)
            for path, content in _files(items, with_manifest=False):
                with open(f"{temporary}/{path}", "xb") as file:
                    if isinstance(content, bytes):
                        file.write(content)
                    else:
                        with store.blobs.open(content) as blob:
                            shutil.copyfileobj(blob, file, _CHUNK)
        # takes the place of an empty directory, never of one that got files meanwhile
        os.rename(temporary, place)
        temporary = ""
    except OSError as error:
        if error.errno in (_ENOSPC, _EDQUOT):
            raise NoSpace(f"no space left for the layout {directory}") from None
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise AlreadyExists(f"{directory} is there, and is not an empty directory") from None
        if isinstance(error, PermissionError):
            raise PermissionDenied(f"no permission to write the layout {directory}") from None
        raise
    finally:
        if temporary:
            shutil.rmtree(temporary)


def _take(
    store: Store, lease: Lease, names: Iterable[str], platform: Platform | None
) -> list[Item]:
    """The images, kept from being removed by `lease`, and what they are to be called."""
    with store.database.transaction():
        chosen = _choose(store, names)
        # from now on they can be removed without harm to the archive
        for record, _ in chosen.values():
            lease.protect(BLOB, *record.content)
            name = record.tags[0] if record.tags else str(record.id)
            store.images.note("save", record.id, record.config, name)
    if not chosen:
        raise InvalidArgument("no image to save: name one at least")
    items = []
    for record, references in chosen.values():
        image = from_store(store, record)
        if platform is not None and platform.choose([image.platform]) is None:
            raise ImageNotFound(
                f"image {record.id.short} is for {image.platform}, not for {platform}"
            )
        items.append((image, references))
    return items


def _choose(
    store: Store, names: Iterable[str]
) -> dict[Digest, tuple[ImageRecord, list[Reference]]]:
    chosen: dict[Digest, tuple[ImageRecord, list[Reference]]] = {}
    for name in names:
        for record, reference in _find(store, name):
            _, references = chosen.setdefault(record.id, (record, []))
            if reference is not None and reference not in references:
                references.append(reference)
    return chosen


def _find(store: Store, name: str) -> list[tuple[ImageRecord, Reference | None]]:
    try:
        reference = Reference.parse(name)
    except InvalidArgument:
        return [(store.images.resolve(name), None)]
    if reference.tag is None and reference.digest is None:
        tags = store.images.of_repository(reference.repository)
        if tags:
            return [
                (store.images.resolve(id), Reference.parse(text))
                for text, id in sorted(tags.items())
            ]
    record = store.images.resolve(name)
    tagged = reference.without_digest().with_default_tag()
    if reference.tag is None and reference.digest is not None:
        return [(record, None)]
    # an id looks like a name, too
    return [(record, tagged if str(tagged) in record.references else None)]


def _directories(items: list[Item]) -> list[str]:
    algorithms = {"sha256"}
    for image, _ in items:
        assert image.manifest is not None
        algorithms.add(image.manifest.config.digest.algorithm)
        algorithms.update(layer.digest.algorithm for layer in image.manifest.layers)
    return ["blobs", *(f"blobs/{algorithm}" for algorithm in sorted(algorithms))]


def _files(items: list[Item], *, with_manifest: bool) -> Iterator[tuple[str, bytes | Digest]]:
    """The files of a layout, each with its content or the digest of its blob."""
    written: set[Digest] = set()
    entries: list[Descriptor] = []
    listing: list[dict[str, Any]] = []
    for image, references in items:
        manifest = image.manifest
        assert manifest is not None
        parts: list[tuple[Digest, bytes | Digest]] = [
            (manifest.digest, manifest.data),
            (manifest.config.digest, image.config.data),
            *((layer.digest, layer.digest) for layer in manifest.layers),
        ]
        for digest, content in parts:
            if digest not in written:
                yield _path(digest), content
                written.add(digest)
        entries += _entries(image, references)
        listing.append(
            {
                "Config": _path(manifest.config.digest),
                "RepoTags": [reference.familiar for reference in references] or None,
                "Layers": [_path(layer.digest) for layer in manifest.layers],
            }
        )
    yield oci_layout.INDEX, Index.build(tuple(entries)).data
    if with_manifest:
        yield docker_archive.MANIFEST, dumps(listing).encode()
    yield oci_layout.LAYOUT, b'{"imageLayoutVersion":"1.0.0"}'


def _entries(image: Image, references: list[Reference]) -> list[Descriptor]:
    """What index.json says of an image: an entry for each of its names."""
    assert image.manifest is not None
    plain = replace(image.manifest.descriptor, platform=image.platform)
    full, short = oci_layout.NAME_ANNOTATIONS
    return [
        replace(plain, annotations={full: str(reference), short: reference.tag or ""})
        for reference in references
    ] or [plain]


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


class _Tar:
    """The pieces of a tar archive that is the same whenever and by whomever it is written."""

    def __init__(self) -> None:
        self._size = 0

    def directory(self, name: str) -> bytes:
        return self._counted(_header(name, 0, tarfile.DIRTYPE, 0o755))

    def file(self, name: str, data: bytes) -> bytes:
        header = _header(name, len(data), tarfile.REGTYPE, 0o644)
        return self._counted(header + data + _padding(len(data)))

    def copy(self, store: Store, name: str, digest: Digest) -> Iterator[bytes]:
        size = store.blobs.size(digest)
        yield self._counted(_header(name, size, tarfile.REGTYPE, 0o644))
        left = size
        with store.blobs.open(digest) as file:
            while left:
                data = file.read(min(left, _CHUNK))
                if not data:
                    raise CorruptData(f"blob {digest} was cut off on the disk; load it again")
                left -= len(data)
                yield self._counted(data)
        yield self._counted(_padding(size))

    def end(self) -> bytes:
        size = self._size + 2 * tarfile.BLOCKSIZE
        return bytes(2 * tarfile.BLOCKSIZE + -size % tarfile.RECORDSIZE)

    def _counted(self, data: bytes) -> bytes:
        self._size += len(data)
        return data


def _header(name: str, size: int, kind: bytes, mode: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mode = size, kind, mode
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
