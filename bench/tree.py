"""The image of the load case: one gzip layer of 300 MB, 28,000 entries, the same every time.

Sizes, depths and compressibility follow a Debian root file system with a development
environment: most files are small, most bytes lie in few large ones, a third of the bytes remain.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import tarfile

TAG = "bench/tree:1"
ENTRIES = 28_000
BYTES = 893_000_000
_SEED = 20_240_229


def archive(path: str, shell: bytes, *, scale: float = 1.0) -> None:
    """Write the image as a docker-archive to `path`, where it is not there yet.

    `shell`: a static busybox, to run something of the image. `scale`: less of everything.
    """
    if os.path.exists(path):
        return
    print(f"making the image of the load case, {path}: a minute, once", flush=True)
    partial = f"{path}.partial"
    layer = f"{path}.layer"
    diff_id = hashlib.sha256()
    with open(layer, "wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
        with tarfile.open(fileobj=_Tee(compressed, diff_id), mode="w|") as tar:
            fill(
                tar,
                shell,
                entries=int(ENTRIES * scale),
                size=int(BYTES * scale),
                source=random.Random(_SEED),
            )
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/busybox", "true"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id.hexdigest()}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [TAG], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(partial, "w") as tar:
        for member, data in ((name, config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        tar.add(layer, "layer.tar")
    os.unlink(layer)
    os.rename(partial, path)


def fill(
    tar: tarfile.TarFile, shell: bytes, *, entries: int, size: int, source: random.Random
) -> None:
    """Add a tree of so many entries, which are about so many bytes."""
    pool = _pool(source)
    folders = ["usr"]
    _add(tar, "usr", tarfile.DIRTYPE)
    _add(tar, "bin", tarfile.DIRTYPE)
    _add(tar, "bin/busybox", tarfile.REGTYPE, shell, mode=0o755)
    files: list[str] = []
    sizes = [source.lognormvariate(8.0, 2.1) for _ in range(entries)]
    factor = size / sum(sizes)
    for number, share in enumerate(sizes):
        parent = folders[source.randrange(len(folders))]
        name = f"{parent}/{source.choice(_WORDS)}-{number}"
        draw = source.random()
        if draw < 0.11 and parent.count("/") < 9:
            folders.append(name)
            _add(tar, name, tarfile.DIRTYPE)
        elif draw < 0.20 and files:
            _add(tar, name, tarfile.SYMTYPE, target=os.path.basename(source.choice(files)))
        elif draw < 0.21 and files:
            _add(tar, name, tarfile.LNKTYPE, target=source.choice(files))
        else:
            length = min(int(share * factor * 1.25), 60_000_000)
            files.append(name)
            _add(tar, name, tarfile.REGTYPE, _content(source, pool, length))


def _content(source: random.Random, pool: bytes, length: int) -> bytes:
    """`length` bytes: pieces of the pool in random order, and some noise."""
    pieces = []
    missing = length
    while missing > 0:
        piece = min(missing, source.randrange(2000, 40_000))
        if source.random() < 0.05:
            pieces.append(source.randbytes(piece))
        else:
            start = source.randrange(len(pool) - piece)
            pieces.append(pool[start : start + piece])
        missing -= piece
    return b"".join(pieces)


def _pool(source: random.Random) -> bytes:
    """16 MB that gzip takes to a quarter, as it does with programs and text."""
    vocabulary = [source.randbytes(source.randrange(3, 18)) for _ in range(1200)]
    weights = [1 / (rank + 3) for rank in range(1200)]
    words = source.choices(vocabulary, weights, k=1_700_000)
    return b" ".join(words)[: 16 << 20]


def _add(
    tar: tarfile.TarFile,
    name: str,
    kind: bytes,
    data: bytes = b"",
    *,
    target: str = "",
    mode: int = 0o644,
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mtime = kind, target, 1_700_000_000
    info.mode = 0o755 if kind == tarfile.DIRTYPE else mode
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


class _Tee(io.RawIOBase):
    """Writes to a file and a digest."""

    def __init__(self, file: gzip.GzipFile, digest: hashlib._Hash) -> None:
        self._file = file
        self._digest = digest

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._digest.update(data)
        self._file.write(data)
        return len(data)


_WORDS = "lib share include doc python perl locale module data object test plugin".split()
