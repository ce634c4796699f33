"""Applying a layer: from its compressed bytes to its directory, in one pass."""

from __future__ import annotations

import os

from proa.errors import LimitExceeded
from proa.lean.record import record
from proa.oci.digest import Digest
from proa.snapshot.decompress import Stream
from proa.snapshot.extract import Extraction
from proa.snapshot.inflow import Inflow, StreamFailed
from proa.snapshot.tar import TarReader


@record
class Limits:
    """What a layer may have at most. Beyond: LimitExceeded."""

    size: int = 1 << 37
    """Bytes of the uncompressed tar, and of each file with its holes."""
    entries: int = 4_000_000
    path_length: int = 4095
    depth: int = 512
    """Names in a path."""
    header: int = 1 << 20
    """Bytes of the extended headers, xattrs included, of one member."""


@record
class Applied:
    """What a layer turned out to be."""

    diff_id: Digest
    """SHA-256 of all uncompressed bytes, those after the archive's end included."""
    size: int
    """Uncompressed bytes."""
    entries: int
    """Members of the archive."""
    disk: int
    """Bytes that its files take on disk, in blocks of 4096."""


_LIMITS = Limits()


def apply_layer(
    stream: Stream,
    directory: str,
    *,
    limits: Limits = _LIMITS,
    ignore_chown_errors: bool = False,
) -> Applied:
    """Unpack the layer that `stream` gives (tar; plain, gzip, zstd, bzip2 or xz) into `directory`.

    `directory` must exist and be empty; nobody else may use it meanwhile. It ends up in
    overlayfs form (see `whiteout`). Where this raises, whatever was written is within
    `directory`, and the caller removes it. Nothing is synced.

    Raises CorruptData for damaged or contradictory data, HostileData (a CorruptData) for data
    that reaches out of the directory or speaks to overlayfs, LimitExceeded, NoSpace,
    PermissionDenied, and what `stream` raises. Absolute names are taken relative to the
    directory. A name with `..` that would leave it is refused, and so is one that leads through
    a link of the same layer out of it; links that stay within are followed.
    """
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        extraction = Extraction(
            root,
            ignore_chown_errors=ignore_chown_errors,
            path_length=limits.path_length,
            depth=limits.depth,
        )
        try:
            with Inflow(stream, maximum=limits.size) as inflow:
                entries = _extract(inflow, extraction, limits)
                diff_id = inflow.digest()
            extraction.finish()
        except StreamFailed as failure:
            raise failure.cause from None
        finally:
            extraction.close()
    finally:
        os.close(root)
    return Applied(diff_id=diff_id, size=inflow.size, entries=entries, disk=extraction.disk)


def _extract(inflow: Inflow, extraction: Extraction, limits: Limits) -> int:
    reader = TarReader(inflow.next, maximum_header=limits.header)
    maximum, largest = limits.entries, limits.size
    entries = 0
    add = extraction.add
    while (entry := reader.next()) is not None:
        entries += 1
        if entries > maximum:
            raise LimitExceeded(f"the layer has more than {maximum} entries, which is the limit")
        if entry.size > largest:
            raise LimitExceeded(
                f"{os.fsdecode(entry.name)[:200]!r} is larger than {largest} bytes,"
                " which is the limit"
            )
        add(entry, reader)
    reader.drain()
    return entries
