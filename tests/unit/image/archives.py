"""Image archives made by hand, right ones and wrong ones. Nothing here uses proa."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from typing import Any

import zstandard

OCI = "application/vnd.oci.image"
INDEX, MANIFEST = f"{OCI}.index.v1+json", f"{OCI}.manifest.v1+json"
CONFIG, LAYER = f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar"
HOST = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
FOREIGN = "s390x"


def layer(**files: str | bytes) -> bytes:
    """A layer of small files that belong to whoever runs the tests."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            data = data.encode() if isinstance(data, str) else data
            info.size, info.uid, info.gid = len(data), os.geteuid(), os.getegid()
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar(*members: tuple[str, bytes] | tuple[str, str] | tuple[str, bytes, bytes]) -> bytes:
    """An archive of files (content in bytes), symbolic links (target as text), and other
    members (content, type), nothing checked."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content, *kind in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
                continue
            if kind:
                info.type = kind[0]
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def hexdigest(data: bytes, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, data).hexdigest()


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hexdigest(data, algorithm)}"


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


def config(
    *layers: bytes, architecture: str = HOST, created: str = "2024-05-06T07:08:09Z", **defaults: Any
) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {"Cmd": ["sh"], **defaults},
        "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
        "history": [{"created": created, "created_by": f"step {n}"} for n in range(len(layers))],
    }


def compress(data: bytes, kind: str) -> bytes:
    if kind == "gzip":
        return gzip.compress(data, mtime=0)
    if kind == "zstd":
        return zstandard.ZstdCompressor().compress(data)
    return data


class Layout:
    """An OCI image layout under construction."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
        self.entries: list[dict[str, Any]] = []

    def blob(self, media_type: str, data: bytes, **members: Any) -> dict[str, Any]:
        self.files[f"blobs/sha256/{hexdigest(data)}"] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data), **members}

    def manifest(
        self, *layers: bytes, kind: str = "gzip", settings: Any = None, **defaults: Any
    ) -> dict[str, Any]:
        """The descriptor of a new image."""
        settings = config(*layers, **defaults) if settings is None else settings
        suffix = "" if kind == "plain" else f"+{kind}"
        described = [self.blob(LAYER + suffix, compress(data, kind)) for data in layers]
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(CONFIG, dumps(settings)),
            "layers": described,
        }
        return self.blob(MANIFEST, dumps(document))

    def index(self, *manifests: dict[str, Any]) -> dict[str, Any]:
        """The descriptor of an index of manifests."""
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}
        return self.blob(INDEX, dumps(document))

    def add(self, descriptor: dict[str, Any], name: str | None = None) -> None:
        """Put a manifest or index into index.json."""
        if name is not None:
            descriptor = {
                **descriptor,
                "annotations": {"org.opencontainers.image.ref.name": name},
            }
        self.entries.append(descriptor)

    def image(self, *layers: bytes, name: str | None = "test:1", **options: Any) -> str:
        """A whole image; its id."""
        manifest = self.manifest(*layers, **options)
        self.add(manifest, name)
        data = self.files[f"blobs/sha256/{manifest['digest'][7:]}"]
        return str(json.loads(data)["config"]["digest"])

    def all(self) -> dict[str, bytes]:
        """The files, index.json among them."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries}
        return {"index.json": dumps(index), **self.files}

    def tar(self) -> bytes:
        return tar(*self.all().items())

    def write(self, directory: str) -> str:
        for name, data in self.all().items():
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        return directory


def one_image(name: str | None = "test:1", **options: Any) -> bytes:
    """An oci-archive of one image with one layer."""
    layout = Layout()
    layout.image(layer(hello="world"), name=name, **options)
    return layout.tar()


def docker_archive(
    *layers: bytes, names: list[str] | None = None, settings: Any = None, **changes: Any
) -> bytes:
    """What `docker save` wrote until version 24; `changes` replace members of its manifest."""
    settings = dumps(config(*layers) if settings is None else settings)
    paths = [f"{hexdigest(data + b'v1')}/layer.tar" for data in layers]
    entry = {"Config": f"{hexdigest(settings)}.json", "RepoTags": names, "Layers": paths}
    entry |= changes
    return tar(
        (f"{hexdigest(settings)}.json", settings),
        *zip(paths, layers, strict=True),
        ("manifest.json", dumps([entry])),
    )
