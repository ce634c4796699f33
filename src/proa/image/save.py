"""Saving images as an archive.

Both formats are an OCI image layout in a tar archive, with manifests and layers byte for byte as
they came. `docker` adds manifest.json, by which every version of Docker, Podman and skopeo reads
it, too.
"""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING, Protocol

from proa.errors import CorruptData, ImageNotFound, InvalidArgument, NoSpace
from proa.image import docker_archive, oci_layout
from proa.image.view import Image, from_store
from proa.lean.json import dumps
from proa.lean.record import replace
from proa.oci.digest import is_hex
from proa.oci.index import Index
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from proa.oci.descriptor import Descriptor
    from proa.oci.digest import Digest
    from proa.oci.platform import Platform
    from proa.store.images import ImageRecord
    from proa.store.store import Store

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
        with store.database.transaction():
            chosen = _choose(store, names)
            # from now on they can be removed without harm to the archive
            for record, _ in chosen.values():
                lease.protect("blob", *record.content)
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
        yield from _write(store, items, with_manifest=_FORMATS[format] == "docker")


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
    if reference.digest is not None and reference.tag is None:
        return [(record, None)]
    if str(tagged) not in record.references and is_hex(name):
        return [(record, None)]
    return [(record, tagged)]


def _write(
    store: Store,
    items: list[tuple[Image, list[Reference]]],
    *,
    with_manifest: bool,
) -> Iterator[bytes]:
    archive = _Archive()
    written: set[Digest] = set()
    yield archive.directory("blobs")
    algorithms = {"sha256"}
    for image, _ in items:
        assert image.manifest is not None
        algorithms.update(layer.digest.algorithm for layer in image.manifest.layers)
    for algorithm in sorted(algorithms):
        yield archive.directory(f"blobs/{algorithm}")
    entries: list[Descriptor] = []
    listing: list[dict[str, Any]] = []
    for image, references in items:
        manifest = image.manifest
        assert manifest is not None
        for digest, data in (
            (manifest.digest, manifest.data),
            (manifest.config.digest, image.config.data),
        ):
            if digest not in written:
                yield archive.file(_path(digest), data)
                written.add(digest)
        for layer in manifest.layers:
            if layer.digest not in written:
                yield from archive.blob(_path(layer.digest), store.blobs.path(layer.digest))
                written.add(layer.digest)
        entries += _entries(image, references)
        listing.append(
            {
                "Config": _path(manifest.config.digest),
                "RepoTags": list(map(str, references)) or None,
                "Layers": [_path(layer.digest) for layer in manifest.layers],
            }
        )
    yield archive.file(oci_layout.INDEX, Index.build(tuple(entries)).data)
    if with_manifest:
        yield archive.file(docker_archive.MANIFEST, dumps(listing).encode())
    yield archive.file(oci_layout.LAYOUT, b'{"imageLayoutVersion":"1.0.0"}')
    yield archive.end()


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


class _Archive:
    """The pieces of a tar archive that is the same whenever and by whomever it is written."""

    def __init__(self) -> None:
        self._size = 0

    def directory(self, name: str) -> bytes:
        return self._counted(_header(name, 0, tarfile.DIRTYPE, 0o755))

    def file(self, name: str, data: bytes) -> bytes:
        header = _header(name, len(data), tarfile.REGTYPE, 0o644)
        return self._counted(header + data + _padding(len(data)))

    def blob(self, name: str, path: str) -> Iterator[bytes]:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            yield self._counted(_header(name, size, tarfile.REGTYPE, 0o644))
            left = size
            while left:
                data = file.read(min(left, _CHUNK))
                if not data:
                    raise CorruptData(f"blob {path} was cut off while it was read")
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
