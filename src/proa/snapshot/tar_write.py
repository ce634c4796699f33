"""Writing tar archives: headers, always the same for the same file.

POSIX.1-2017 `pax` (ustar headers, and extended ones where a field is too small for its value),
with the xattr records of star (`SCHILY.xattr.`), as Docker, containerd and GNU tar write and read
them. Names are bytes: what a file system holds need not be text. Owners have numbers only, times
whole seconds.
"""

from __future__ import annotations

import struct
import zlib

from proa.snapshot.tar import BLOCK, REGULAR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

END = bytes(2 * BLOCK)
"""What ends an archive; no further padding, as Go writes layers."""

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s167s")
_MAGIC = b"ustar\x0000"
_NO_CHECKSUM = b" " * 8
_NO_DEVICE = b"0000000\0"
_NAME = 100
_SMALL = 0o7777777 + 1
"""One more than seven octal digits hold."""
_LARGE = 0o77777777777 + 1
"""One more than eleven octal digits hold."""
_PAX_NAME = b"././@PaxHeader"


def header(
    name: bytes,
    kind: bytes = REGULAR,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] | None = None,
    xattrs: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """All header blocks of one member.

    `name` of a directory ends with a slash. `mtime`: seconds since 1970; before that it is
    negative. `link`: where a link leads. `device`: major and minor number of one.
    """
    if (
        xattrs
        or len(name) > _NAME
        or len(link) > _NAME
        or uid >= _SMALL
        or gid >= _SMALL
        or size >= _LARGE
        or not 0 <= mtime < _LARGE
    ):
        return _extended(name, kind, mode, uid, gid, size, mtime, link, device, xattrs or {})
    return _block(name, kind, mode, uid, gid, size, mtime, link, device)


def padding(size: int) -> bytes:
    """What follows `size` bytes of data."""
    return bytes(-size % BLOCK)


def _block(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    link: bytes,
    device: tuple[int, int] | None,
) -> bytes:
    major = minor = _NO_DEVICE
    if device is not None:
        major, minor = b"%07o\0" % device[0], b"%07o\0" % device[1]
    block = _HEADER.pack(
        name,
        b"%07o\0" % mode,
        b"%07o\0" % uid,
        b"%07o\0" % gid,
        b"%011o\0" % size,
        b"%011o\0" % mtime,
        _NO_CHECKSUM,
        kind,
        link,
        _MAGIC,
        b"",
        b"",
        major,
        minor,
        b"",
    )
    # The sum of all bytes. Adler-32 begins with it modulo 65521, and is C; two names of 100 bytes
    # and some digits never come to that
    checksum = (zlib.adler32(block) & 0xFFFF) - 1
    return block[:148] + b"%06o\0 " % checksum + block[156:]


def _extended(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    link: bytes,
    device: tuple[int, int] | None,
    xattrs: Mapping[bytes, bytes],
) -> bytes:
    """A member of which some field goes into an extended header; in its own it is cut off."""
    records = []
    if len(name) > _NAME:
        records.append(_record(b"path", name))
        name = name[:_NAME]
    if len(link) > _NAME:
        records.append(_record(b"linkpath", link))
        link = link[:_NAME]
    if uid >= _SMALL:
        records.append(_record(b"uid", b"%d" % uid))
        uid = 0
    if gid >= _SMALL:
        records.append(_record(b"gid", b"%d" % gid))
        gid = 0
    if size >= _LARGE:
        records.append(_record(b"size", b"%d" % size))
        size = 0
    if not 0 <= mtime < _LARGE:
        records.append(_record(b"mtime", b"%d" % mtime))
        mtime = 0
    records += [_record(b"SCHILY.xattr." + key, xattrs[key]) for key in sorted(xattrs)]
    data = b"".join(records)
    return b"".join(
        (
            _block(_PAX_NAME, b"x", 0o644, 0, 0, len(data), 0, b"", None),
            data,
            padding(len(data)),
            _block(name, kind, mode, uid, gid, size, mtime, link, device),
        )
    )


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, in which LENGTH counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(b"%d" % rest)
    if len(b"%d" % length) != len(b"%d" % rest):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)
