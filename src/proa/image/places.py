"""Where images can be copied from and to: registries, archives and layouts, the store.

A place gives and takes manifests and blobs as they are, whatever they are of: images, indexes,
artifacts. None of it is unpacked.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tarfile
from typing import TYPE_CHECKING, Protocol

from proa.distribution.repository import Content, Repository
from proa.distribution.upload import Target
from proa.errors import AlreadyExists, CorruptData, ImageNotFound, InvalidArgument, NotFound
from proa.image import docker_archive, oci_layout
from proa.image.files import DirectoryFiles, TarFiles, read, read_document
from proa.oci.digest import Digest
from proa.oci.document import LARGEST_CONFIG, LARGEST_MANIFEST
from proa.oci.index import Index
from proa.oci.manifest import Manifest
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import IO, Self

    from proa.distribution.client import Client
    from proa.image.files import Files
    from proa.image.reader import BinaryReader
    from proa.oci.descriptor import Descriptor
    from proa.store.store import Store

_CHUNK = 1 << 20
LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'


class Source(Protocol):
    """Where something is copied from."""

    def root(self) -> Content:
        """The manifest or index that is to be copied."""

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest that another one refers to, verified."""

    def blob(self, descriptor: Descriptor, offset: int) -> BinaryReader:
        """A blob from a byte on; it is not verified."""


class Sink(Protocol):
    """Where something is copied to."""

    def blob(self, descriptor: Descriptor, source: Source, sent: Callable[[int], None]) -> str:
        """Take a blob, if it is not there; what was done, in a word: `Pushed`."""

    def manifest(self, content: Content, media_type: str) -> None:
        """Take a manifest that another one refers to; all that it refers to is there."""

    def root(self, content: Content, media_type: str) -> None:
        """Take the manifest that was to be copied."""


class RegistryPlace:
    """A repository of a registry, and a tag or digest in it."""

    def __init__(self, client: Client, reference: Reference) -> None:
        self.reference = reference.with_default_tag()
        self._client = client
        self._repository = Repository(client, reference)

    def root(self) -> Content:
        """See `Source.root`."""
        wanted = self.reference.digest or self.reference.tag
        assert wanted is not None
        return self._repository.get(wanted)

    def manifest(self, descriptor: Descriptor) -> Content:
        """See `Source.manifest`."""
        return self._repository.get(str(descriptor.digest))

    def blob(self, descriptor: Descriptor, offset: int) -> BinaryReader:
        """See `Source.blob`."""
        return self._repository.open(descriptor, offset)


class RegistrySink:
    """A repository of a registry, to be written to."""

    def __init__(self, client: Client, reference: Reference) -> None:
        self._reference = reference.with_default_tag()
        if self._reference.digest is not None:
            raise InvalidArgument(
                f"cannot copy to a digest: {reference.familiar}; give a tag or nothing"
            )
        self._target = Target(client, reference)

    def blob(self, descriptor: Descriptor, source: Source, sent: Callable[[int], None]) -> str:
        """See `Sink.blob`."""
        if self._target.has(descriptor.digest):
            return "Already exists"
        place = None
        if isinstance(source, RegistryPlace) and source.reference.domain == self._target.domain:
            place = self._target.mount(descriptor.digest, source.reference.path)
            if place is None:
                return f"Mounted from {source.reference.path}"
        self._target.upload(
            descriptor, lambda offset: _All(source.blob(descriptor, offset)), sent=sent, place=place
        )
        return "Pushed"

    def manifest(self, content: Content, media_type: str) -> None:
        """See `Sink.manifest`."""
        # as what refers to it calls it
        self._target.put_manifest(content.data, media_type, algorithm=content.digest.algorithm)

    def root(self, content: Content, media_type: str) -> None:
        """See `Sink.root`."""
        self._target.put_manifest(content.data, media_type, self._reference.tag)


class _All:
    """A reader whose size may be left out."""

    def __init__(self, reader: BinaryReader) -> None:
        self._reader = reader

    def read(self, size: int = -1, /) -> bytes:
        return self._reader.read(_CHUNK if size < 0 else size)


class FilesPlace:
    """An archive or a layout on the disk; use it within `with`."""

    def __init__(self, path: str, name: str = "") -> None:
        """`name`: which of its images, where it has several: a reference, or a tag as others write
        it."""
        self._path = path
        self._name = name
        self._file: IO[bytes] | None = None
        self._files: Files | None = None
        self._made: dict[Digest, Callable[[], BinaryReader]] = {}

    def __enter__(self) -> Self:
        try:
            if os.path.isdir(self._path):
                self._files = DirectoryFiles(self._path)
            else:
                self._file = open(self._path, "rb", buffering=0)
                self._files = TarFiles(self._file.fileno())
        except FileNotFoundError:
            raise NotFound(f"no such archive: {self._path}") from None
        except OSError as error:
            raise InvalidArgument(f"cannot read {self._path}: {error.strerror}") from None
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        elif isinstance(self._files, DirectoryFiles):
            self._files.close()

    def root(self) -> Content:
        """See `Source.root`."""
        assert self._files is not None
        if oci_layout.is_layout(self._files):
            index = Index.parse(
                read_document(self._files, oci_layout.INDEX, LARGEST_MANIFEST),
                what=oci_layout.INDEX,
            )
            found = [entry for entry in index.manifests if self._is_meant(entry)]
            if len(found) != 1:
                raise ImageNotFound(
                    f"{self._path} has {len(found) or 'no'} images"
                    f"{f' named {self._name!r}' if self._name else ''}; name one, as in"
                    f" {self._path}:NAME"
                )
            content = self.manifest(found[0])
            return Content(content.data, found[0].media_type, content.digest)
        if docker_archive.is_archive(self._files):
            return self._docker(self._files)
        raise CorruptData(f"{self._path} is no archive of images")

    def _docker(self, files: Files) -> Content:
        wanted = Reference.parse(self._name).with_default_tag() if self._name else None
        found = [
            item
            for item in docker_archive.images(files, None)
            if wanted is None or wanted in item.references
        ]
        if len(found) != 1:
            raise ImageNotFound(f"{self._path} has {len(found) or 'no'} such images; name one")
        image = found[0].image
        descriptors = []
        for layer in image.layers:
            descriptor = layer.descriptor or _described(layer.open)
            self._made[descriptor.digest] = layer.open
            descriptors.append(descriptor)
        from proa.oci import media_types
        from proa.oci.descriptor import Descriptor as Made

        config = Made(media_types.OCI_CONFIG, image.id, len(image.config.data))
        self._made[image.id] = lambda: _Bytes(image.config.data)
        manifest = Manifest.build(config, tuple(descriptors))
        return Content(manifest.data, manifest.media_type, manifest.digest)

    def _is_meant(self, entry: Descriptor) -> bool:
        if not self._name:
            return True
        annotations = entry.annotations or {}
        names = [annotations.get(name, "") for name in oci_layout.NAME_ANNOTATIONS]
        return self._name in names or (
            any(names) and any(_same(self._name, name) for name in names if name)
        )

    def manifest(self, descriptor: Descriptor) -> Content:
        """See `Source.manifest`."""
        assert self._files is not None
        data = read(self._files, _path(descriptor.digest), LARGEST_MANIFEST)
        if Digest.of(data, descriptor.digest.algorithm) != descriptor.digest:
            raise CorruptData(f"manifest {descriptor.digest} in {self._path} was damaged")
        return Content(data, descriptor.media_type, descriptor.digest)

    def blob(self, descriptor: Descriptor, offset: int) -> BinaryReader:
        """See `Source.blob`."""
        assert self._files is not None
        made = self._made.get(descriptor.digest)
        reader = made() if made is not None else self._files.open(_path(descriptor.digest))
        while offset and (data := reader.read(min(offset, _CHUNK))):
            offset -= len(data)
        return reader


class StorePlace:
    """An image of the store."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.record = store.images.resolve(name)

    def root(self) -> Content:
        """See `Source.root`."""
        assert self.record.manifest is not None
        data = self._store.blobs.read(self.record.manifest, LARGEST_MANIFEST)
        return Content(data, Manifest.parse(data).media_type, self.record.manifest)

    def manifest(self, descriptor: Descriptor) -> Content:
        """See `Source.manifest`."""
        data = self._store.blobs.read(descriptor.digest, LARGEST_CONFIG)
        return Content(data, descriptor.media_type, descriptor.digest)

    def blob(self, descriptor: Descriptor, offset: int) -> BinaryReader:
        """See `Source.blob`."""
        file = self._store.blobs.open(descriptor.digest)
        file.seek(offset)
        return file


class LayoutSink:
    """An OCI image layout in a directory that is made, or is added to."""

    def __init__(self, path: str, name: str = "") -> None:
        self._path = path
        self._name = name
        os.makedirs(f"{path}/blobs", exist_ok=True)

    def blob(self, descriptor: Descriptor, source: Source, sent: Callable[[int], None]) -> str:
        """See `Sink.blob`."""
        if os.path.exists(f"{self._path}/{_path(descriptor.digest)}"):
            return "Already exists"
        self._write(descriptor.digest, verified(source.blob(descriptor, 0), descriptor, sent))
        return "Copied"

    def manifest(self, content: Content, media_type: str) -> None:
        """See `Sink.manifest`."""
        del media_type
        self._write(content.digest, _Bytes(content.data))

    def root(self, content: Content, media_type: str) -> None:
        """See `Sink.root`."""
        self.manifest(content, media_type)
        entries: list[dict[str, object]] = []
        try:
            with open(f"{self._path}/index.json", "rb") as file:
                entries = json.load(file)["manifests"]
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError):
            raise CorruptData(f"{self._path}/index.json cannot be understood") from None
        entry = index_entry(content, media_type, self._name)
        # of a name, the newest counts
        entries = [other for other in entries if not _replaces(entry, other)]
        document = {"schemaVersion": 2, "manifests": [*entries, entry]}
        self._place("oci-layout", LAYOUT_FILE)
        self._place("index.json", json.dumps(document).encode())

    def _write(self, digest: Digest, reader: BinaryReader) -> None:
        os.makedirs(f"{self._path}/blobs/{digest.algorithm}", exist_ok=True)
        temporary = f"{self._path}/blobs/.{secrets.token_hex(8)}"
        try:
            with open(temporary, "xb") as file:
                while data := reader.read(_CHUNK):
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, f"{self._path}/{_path(digest)}")
        except BaseException:
            os.unlink(temporary)
            raise

    def _place(self, name: str, data: bytes) -> None:
        temporary = f"{self._path}/.{secrets.token_hex(8)}"
        with open(temporary, "xb") as file:
            file.write(data)
        os.rename(temporary, f"{self._path}/{name}")


class ArchiveSink:
    """A new oci-archive; use it within `with`. Where that raises, nothing is left of it."""

    one_at_a_time = True

    def __init__(self, path: str, name: str = "") -> None:
        self._path = path
        self._name = name
        self._temporary = f"{path}.{secrets.token_hex(8)}"
        self._tar: tarfile.TarFile | None = None
        self._done: set[Digest] = set()

    def __enter__(self) -> Self:
        if os.path.lexists(self._path):
            raise AlreadyExists(f"{self._path} exists; remove it, or give another name")
        try:
            self._tar = tarfile.open(self._temporary, "w", format=tarfile.PAX_FORMAT)
        except OSError as error:
            raise InvalidArgument(f"cannot write {self._path}: {error.strerror}") from None
        self._add("oci-layout", len(LAYOUT_FILE), _Bytes(LAYOUT_FILE))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        assert self._tar is not None
        try:
            self._tar.close()
            if kind is None:
                os.rename(self._temporary, self._path)
        finally:
            if os.path.exists(self._temporary):
                os.unlink(self._temporary)

    def blob(self, descriptor: Descriptor, source: Source, sent: Callable[[int], None]) -> str:
        """See `Sink.blob`."""
        if descriptor.digest in self._done:
            return "Already exists"
        reader = verified(source.blob(descriptor, 0), descriptor, sent)
        self._add(_path(descriptor.digest), descriptor.size, reader)
        self._done.add(descriptor.digest)
        return "Copied"

    def manifest(self, content: Content, media_type: str) -> None:
        """See `Sink.manifest`."""
        del media_type
        if content.digest not in self._done:
            self._add(_path(content.digest), len(content.data), _Bytes(content.data))
            self._done.add(content.digest)

    def root(self, content: Content, media_type: str) -> None:
        """See `Sink.root`."""
        self.manifest(content, media_type)
        entry = index_entry(content, media_type, self._name)
        data = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
        self._add("index.json", len(data), _Bytes(data))

    def _add(self, name: str, size: int, reader: BinaryReader) -> None:
        assert self._tar is not None
        info = tarfile.TarInfo(name)
        info.size = size
        self._tar.addfile(info, reader)  # type: ignore[arg-type]
        if reader.read(1):
            raise CorruptData(f"{name} is longer than {size} bytes")


def index_entry(content: Content, media_type: str, name: str) -> dict[str, object]:
    """What a layout's index says of the image that was copied into it."""
    entry: dict[str, object] = {
        "mediaType": media_type,
        "digest": str(content.digest),
        "size": len(content.data),
    }
    if name:
        entry["annotations"] = {oci_layout.NAME_ANNOTATIONS[1]: name}
    return entry


def _replaces(entry: dict[str, object], other: object) -> bool:
    if not isinstance(other, dict):
        return True
    same = other.get("digest") == entry["digest"]
    return other.get("annotations") == entry.get("annotations") and (
        same or bool(entry.get("annotations"))
    )


class _Verified:
    """A reader that raises CorruptData at its end, where its bytes were others."""

    def __init__(
        self, reader: BinaryReader, descriptor: Descriptor, sent: Callable[[int], None]
    ) -> None:
        self._reader = reader
        self._descriptor = descriptor
        self._hash = hashlib.new(descriptor.digest.algorithm)
        self._size = 0
        self._sent = sent

    def read(self, size: int, /) -> bytes:
        left = self._descriptor.size - self._size
        data = self._reader.read(min(size, left) if left else 1)
        self._hash.update(data)
        self._size += len(data)
        self._sent(self._size)
        # at its last byte: who knows the size may not read any further
        if self._size >= self._descriptor.size or not data:
            digest = f"{self._descriptor.digest.algorithm}:{self._hash.hexdigest()}"
            if self._size != self._descriptor.size or digest != self._descriptor.digest:
                raise CorruptData(
                    f"blob {self._descriptor.digest} has other bytes: it was damaged or replaced"
                )
        return data


def verified(
    reader: BinaryReader, descriptor: Descriptor, sent: Callable[[int], None] = lambda _: None
) -> BinaryReader:
    """`reader`, which raises CorruptData where it turns out not to be what was expected."""
    return _Verified(reader, descriptor, sent)


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int, /) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


def _described(open: Callable[[], BinaryReader]) -> Descriptor:
    from proa.oci.descriptor import Descriptor as Made

    hashed, size = hashlib.sha256(), 0
    reader = open()
    while data := reader.read(_CHUNK):
        hashed.update(data)
        size += len(data)
    kind = docker_archive.media_type(open())
    return Made(kind, Digest.trusted(f"sha256:{hashed.hexdigest()}"), size)


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _same(name: str, other: str) -> bool:
    try:
        return Reference.parse(name).with_default_tag() == Reference.parse(other).with_default_tag()
    except InvalidArgument:
        return False
