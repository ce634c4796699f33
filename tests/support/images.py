"""Images for tests: real ones where the machine has them, small ones made here.

Real images are found by the environment variable PROA_TEST_IMAGES, or in ../shared/images
beside the checkout. Nothing here uses proa: what reads an archive is tested with archives that
something else wrote.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tests.support.installation import REPOSITORY

ALPINE = "alpine-minirootfs-3.20.3-x86_64.tar.gz"
BUSYBOX = "busybox-1.38.0-musl.oci.tar"
BUSYBOX_GLIBC = "busybox-1.38.0-glibc.oci.tar"
HELLO = "hello-world"


def directory() -> str | None:
    """Where the real images are, or None."""
    candidates = [
        os.environ.get("PROA_TEST_IMAGES"),
        os.path.join(REPOSITORY, "..", "shared", "images"),
    ]
    for candidate in candidates:
        if candidate and os.path.exists(os.path.join(candidate, ALPINE)):
            return os.path.abspath(candidate)
    return None


def busybox() -> str | None:
    """A statically linked busybox of this machine, or None."""
    for candidate in ("busybox-static", "busybox"):
        path = shutil.which(candidate)
        if path is not None and _is_static(path):
            return path
    return None


class Entry(NamedTuple):
    """A member of a layer."""

    name: str
    data: bytes = b""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    """Of a symlink or hardlink."""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    device: tuple[int, int] = (0, 0)
    pax: Mapping[str, str] | None = None


def folder(name: str, mode: int = 0o755) -> Entry:
    """A directory."""
    return Entry(name, mode=mode, kind=tarfile.DIRTYPE)


def symlink(name: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(name, kind=tarfile.SYMTYPE, target=target, mode=0o777)


def layer(entries: Iterable[Entry]) -> bytes:
    """The entries as an uncompressed tar, in their order, nothing checked or mended."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.mode, info.mtime = entry.kind, entry.mode, entry.mtime
            info.uid, info.gid, info.linkname = entry.uid, entry.gid, entry.target
            info.devmajor, info.devminor = entry.device
            info.pax_headers = dict(entry.pax or {})
            info.size = len(entry.data)
            archive.addfile(info, io.BytesIO(entry.data))
    return buffer.getvalue()


def busybox_layer() -> bytes:
    """A layer with this machine's busybox and its commands in /bin."""
    path = busybox()
    assert path is not None, "no statically linked busybox; install busybox-static"
    with open(path, "rb") as file:
        program = file.read()
    entries = [folder(name) for name in ("bin", "etc", "proc", "sys", "dev", "root", "var")]
    entries.append(folder("tmp", 0o1777))
    entries.append(Entry("bin/busybox", program, 0o755))
    entries += [symlink(f"bin/{name}", "busybox") for name in _APPLETS]
    entries.append(
        Entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nuser:x:7:8::/tmp:/bin/sh\n")
    )
    entries.append(Entry("etc/group", b"root:x:0:\nuser:x:8:\n"))
    entries.append(Entry("etc/os-release", b'ID=busybox\nPRETTY_NAME="BusyBox"\n'))
    return layer(entries)


def docker_archive(layers: Iterable[bytes], tag: str, **config: Any) -> bytes:
    """An image as `docker save` writes it; `config`: Cmd, Env, … as in the image's config."""
    layers = list(layers)
    settings = config_of(layers, config)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        names = []
        for data in layers:
            names.append(f"{_hex(data)}/layer.tar")
            _add(archive, names[-1], data)
        _add(archive, f"{_hex(settings)}.json", settings)
        manifest = [{"Config": f"{_hex(settings)}.json", "RepoTags": [tag], "Layers": names}]
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    return buffer.getvalue()


def oci_archive(layers: Iterable[bytes], tag: str, **config: Any) -> bytes:
    """An image as an OCI image layout in a tar, with gzip layers."""
    layers = list(layers)
    blobs: list[bytes] = [gzip.compress(data, mtime=0) for data in layers]
    media = "application/vnd.oci.image"
    settings = config_of(layers, config)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{media}.manifest.v1+json",
            "config": _descriptor(f"{media}.config.v1+json", settings),
            "layers": [_descriptor(f"{media}.layer.v1.tar+gzip", blob) for blob in blobs],
        }
    ).encode()
    entry = _descriptor(f"{media}.manifest.v1+json", manifest)
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    index = {"schemaVersion": 2, "mediaType": f"{media}.index.v1+json", "manifests": [entry]}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for blob in {_hex(blob): blob for blob in [*blobs, settings, manifest]}.values():
            _add(archive, f"blobs/sha256/{_hex(blob)}", blob)
    return buffer.getvalue()


def config(layers: list[bytes], **settings: Any) -> bytes:
    """The config of an image of these layers; `settings`: Cmd, Env, …"""
    return config_of(layers, settings)


def config_of(layers: list[bytes], config: Mapping[str, Any]) -> bytes:
    """The same; the settings as a mapping."""
    return json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
            "os": "linux",
            "config": {"Env": ["PATH=/bin:/usr/bin"], "Cmd": ["sh"], **config},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_hex(data)}" for data in layers]},
            "history": [{"created_by": "tests"} for _ in layers],
        }
    ).encode()


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{_hex(data)}", "size": len(data)}


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _is_static(path: str) -> bool:
    """Whether an ELF program asks for no interpreter (PT_INTERP, elf(5))."""
    with open(path, "rb") as file:
        data = file.read(4096)
    return data[:4] == b"\x7fELF" and b"ld-linux" not in data and b"ld-musl" not in data


_APPLETS = """
[ ash awk cat chmod chown cp cut date dd df dirname du echo env expr false find grep groups head
hostname id ip kill ln ls mkdir mkfifo mknod mount mv nc nproc ping pkill printenv printf ps pwd
readlink rm rmdir sed seq sh sleep sort stat stty su sync tail tar tee test timeout touch tr true
tty umount uname uniq vi wc wget which whoami xargs yes
""".split()
