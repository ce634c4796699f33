"""A reader of tar streams: one pass, strict, about as fast as Python can be.

POSIX.1-2017 `pax` (ustar and pax interchange formats), GNU tar's extensions (long names, sparse
files, base-256 numbers) and the xattr records of star and libarchive. Names are bytes: what a
file system holds need not be text.

    reader = TarReader(next_chunk)
    while (entry := reader.next()) is not None:
        for piece in reader.data():
            …
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

from proa.errors import CorruptData, LimitExceeded

BLOCK = 512

REGULAR = b"0"
HARD_LINK = b"1"
SYMBOLIC_LINK = b"2"
CHARACTER_DEVICE = b"3"
BLOCK_DEVICE = b"4"
DIRECTORY = b"5"
FIFO = b"6"

_WITHOUT_DATA = frozenset(
    (HARD_LINK, SYMBOLIC_LINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO)
)
_FILES = frozenset((b"0", b"\0", b"7"))
_SPARSE = b"S"
_PAX, _PAX_SOLARIS, _PAX_GLOBAL = b"x", b"X", b"g"
_LONG_NAME, _LONG_LINK = b"L", b"K"
_VOLUME = b"V"

_HEADER = struct.Struct("100s24s12s12s8ss100s8s64s8s8s155s12x")
_OCTAL = b"01234567"
_ZEROS = bytes(BLOCK)
_ADLER = 65521
_LARGEST = (1 << 63) - 1


class TarEntry:
    """One member of an archive."""

    __slots__ = (
        "gid",
        "kind",
        "link",
        "major",
        "minor",
        "mode",
        "mtime",
        "name",
        "offset",
        "size",
        "sparse",
        "uid",
        "xattrs",
    )

    name: bytes
    """As it is written: it may be absolute, hold `..` or end with a slash."""
    kind: bytes
    """One of REGULAR, HARD_LINK, SYMBOLIC_LINK, …"""
    mode: int
    uid: int
    gid: int
    size: int
    """Bytes of the file, holes included; 0 where the kind has no data."""
    mtime: int
    """Nanoseconds since 1970."""
    link: bytes
    """Where a link leads."""
    major: int
    minor: int
    xattrs: dict[bytes, bytes] | None
    sparse: list[tuple[int, int]] | None
    """Offset and length of each piece that the data consists of; None: there are no holes."""
    offset: int
    """Where in the archive the member's first header is."""


class TarReader:
    """Reads the members one after the other. Raises CorruptData, naming member and offset."""

    def __init__(
        self,
        next_chunk: Callable[[], bytes],
        *,
        maximum_header: int = 1 << 20,
    ) -> None:
        """`next_chunk` gives the next bytes, b"" at the end.

        `maximum_header`: bytes that extended headers and long names of one member may have.
        """
        self._next_chunk = next_chunk
        self._maximum_header = maximum_header
        self._chunk = b""
        self._position = 0
        self._before = 0
        """bytes of the archive before the chunk"""
        self._left = 0
        """bytes of the current member's data that were not read yet"""
        self._padding = 0
        self._owners: dict[bytes, tuple[int, int, int]] = {}
        self._global: dict[bytes, bytes] = {}
        self._name = b""

    @property
    def offset(self) -> int:
        """Where in the archive the reader is."""
        return self._before + self._position

    def next(self) -> TarEntry | None:
        """The next member, None at the end of the archive; data that was not read is skipped."""
        if self._left or self._padding:
            self._skip(self._left + self._padding)
            self._left = self._padding = 0
        position = self._position
        block = self._chunk[position : position + BLOCK]
        if len(block) == BLOCK:
            self._position = position + BLOCK
        else:
            maybe = self._block()
            if maybe is None:
                return None
            block = maybe
        if block[:1] == b"\0" and block == _ZEROS:
            self._end()
            return None
        entry = TarEntry()
        entry.offset = self._before + self._position - BLOCK
        typeflag = self._parse(block, entry)
        if typeflag in _FILES:
            entry.kind = REGULAR
            if entry.name[-1:] == b"/":  # how archives before 1988 wrote a directory
                entry.kind = DIRECTORY
                entry.size = 0
        elif typeflag not in _WITHOUT_DATA:
            return self._extended(block, entry, typeflag)
        else:
            entry.kind = typeflag
            entry.size = 0
        if self._global:
            self._apply(entry, dict(self._global))
        self._name = entry.name
        if size := entry.size:
            self._left = size
            self._padding = -size & 511
        return entry

    def data(self) -> Iterator[memoryview]:
        """What is left of the current member's data, piece by piece."""
        while self._left:
            yield self.read(self._left)

    def read(self, limit: int) -> memoryview:
        """At most `limit` bytes of the current member's data; none at its end.

        The bytes are valid until they are let go; nothing is copied.
        """
        limit = min(limit, self._left)
        if not limit:
            return memoryview(b"")
        position = self._position
        available = len(self._chunk) - position
        if not available:
            self._advance()
            position, available = 0, len(self._chunk)
        size = min(limit, available)
        self._position = position + size
        self._left -= size
        return memoryview(self._chunk)[position : position + size]

    def drain(self) -> None:
        """Read what follows the archive's end, so that whoever hashes the stream sees it."""
        self._left = self._padding = 0
        self._before += len(self._chunk)
        while chunk := self._next_chunk():
            self._before += len(chunk)
        self._chunk = b""
        self._position = 0

    # Blocks

    def _advance(self) -> None:
        if not self._fill():
            raise self._corrupt("the archive ends within a member")

    def _fill(self) -> bool:
        chunk = self._next_chunk()
        self._before += len(self._chunk)
        self._position = 0
        self._chunk = chunk
        return bool(chunk)

    def _skip(self, size: int) -> None:
        available = len(self._chunk) - self._position
        while size > available:
            size -= available
            self._advance()
            available = len(self._chunk)
        self._position += size

    def _exactly(self, size: int) -> bytes:
        """The next `size` bytes, which must be there."""
        position = self._position
        data = self._chunk[position : position + size]
        if len(data) == size:
            self._position = position + size
            return data
        parts = [data]
        missing = size - len(data)
        while missing:
            self._advance()
            data = self._chunk[:missing]
            parts.append(data)
            missing -= len(data)
            self._position = len(data)
        return b"".join(parts)

    def _block(self) -> bytes | None:
        """A block that does not lie in one chunk; None where the archive ends before it."""
        if self._position == len(self._chunk) and not self._fill():
            return None
        return self._exactly(BLOCK)

    def _end(self) -> None:
        """After a block of zeros: another one, or nothing, must follow."""
        block = self._block()
        if block is not None and block != _ZEROS:
            raise self._corrupt("data follows a lone block of zeros")

    # Headers

    def _parse(self, block: bytes, entry: TarEntry) -> bytes:
        """Take the fields of a header block; return its type."""
        kind: bytes
        (name, owner, size, mtime, checksum, kind, link, magic, _, major, minor, prefix) = (
            _HEADER.unpack(block)
        )
        # The checksum is the sum of all bytes, its own field taken for spaces. Adler-32 begins
        # with that sum modulo 65521, and is C
        expected = self._number(checksum, "checksum")
        actual = (zlib.adler32(block) & 0xFFFF) - 1 - sum(checksum) + 256
        if (actual - expected) % _ADLER and not _checksum_holds(block, expected):
            raise self._corrupt("bad checksum of a header", back=BLOCK)
        entry.name = name.partition(b"\0")[0]
        entry.link = link.partition(b"\0")[0] if link[0] else b""
        known = self._owners.get(owner)
        if known is None:
            known = (
                self._number(owner[:8], "mode") & 0o7777,
                self._number(owner[8:16], "uid"),
                self._number(owner[16:], "gid"),
            )
            if len(self._owners) > 1000:
                self._owners.clear()
            self._owners[owner] = known
        entry.mode, entry.uid, entry.gid = known
        entry.size = self._number(size, "size")
        entry.mtime = self._number(mtime, "mtime") * 1_000_000_000
        entry.xattrs = entry.sparse = None
        entry.major = entry.minor = 0
        if kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
            entry.major = self._number(major, "major number")
            entry.minor = self._number(minor, "minor number")
        if prefix[0] and magic == b"ustar\x0000":
            entry.name = prefix.partition(b"\0")[0] + b"/" + entry.name
        if not 0 <= entry.size <= _LARGEST:
            raise self._corrupt(f"impossible size {entry.size}", back=BLOCK)
        return kind

    def _number(self, field: bytes, what: str) -> int:
        """A number in octal digits, or in base 256 (GNU)."""
        if field[0] & 0x80:
            # the highest bit is the mark, the one below it the sign of two's complement
            first = field[0] if field[0] & 0x40 else field[0] & 0x3F
            return int.from_bytes(bytes((first,)) + field[1:], "big", signed=True)
        digits = field.partition(b"\0")[0].strip(b" ")
        if digits.strip(_OCTAL):
            raise self._corrupt(f"{what} is no number: {field!r}", back=BLOCK)
        return int(digits, 8) if digits else 0

    def _extended(self, block: bytes, entry: TarEntry, typeflag: bytes) -> TarEntry | None:
        """Read what comes in several headers: `entry` is the first of them."""
        offset = entry.offset
        records: list[tuple[bytes, bytes]] = []
        long_name = long_link = None
        room = self._maximum_header
        while True:
            if typeflag in (_PAX, _PAX_SOLARIS, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
                size = entry.size
                room -= size + BLOCK
                if room < 0:
                    raise LimitExceeded(
                        f"the headers of a member at byte {offset} are longer than"
                        f" {self._maximum_header} bytes"
                    )
                payload = self._exactly(size)
                self._skip(-size & 511)
                if typeflag == _LONG_NAME:
                    long_name = payload.partition(b"\0")[0]
                elif typeflag == _LONG_LINK:
                    long_link = payload.partition(b"\0")[0]
                elif typeflag == _PAX_GLOBAL:
                    self._take_global(payload)
                else:
                    records += self._records(payload)
            elif typeflag == _VOLUME:
                self._skip(entry.size + (-entry.size & 511))
            else:
                break
            following = self._block()
            if following is None or following == _ZEROS:
                if records or long_name is not None or long_link is not None:
                    raise self._corrupt("the archive ends after an extended header")
                if following is None:
                    return None
                self._end()
                return None
            block = following
            entry = TarEntry()
            typeflag = self._parse(block, entry)
        entry.offset = offset
        stored = entry.size
        if typeflag in _FILES:
            entry.kind = REGULAR
        elif typeflag == _SPARSE:
            entry.kind = REGULAR
            entry.sparse, entry.size = self._old_sparse(block)
        elif typeflag in _WITHOUT_DATA:
            entry.kind = typeflag
            entry.size = stored = 0
        else:
            raise self._corrupt(f"unknown type {typeflag!r} of the member {entry.name!r}")
        if long_name is not None:
            entry.name = long_name
        if long_link is not None:
            entry.link = long_link
        self._name = entry.name
        pax = dict(self._global)
        pax.update(records)
        if pax:
            stored = self._apply(entry, pax, stored)
        self._name = entry.name
        if entry.kind == REGULAR and entry.sparse is None and entry.name[-1:] == b"/":
            entry.kind = DIRECTORY
            entry.size = stored = 0
        self._left = stored
        self._padding = -stored & 511
        if b"GNU.sparse.size" in pax or b"GNU.sparse.realsize" in pax or entry.sparse is not None:
            self._sparse(entry, pax, records)
        return entry

    # Extended headers

    def _records(self, payload: bytes) -> list[tuple[bytes, bytes]]:
        """Take `LENGTH KEY=VALUE\\n` apart, again and again."""
        records = []
        position = 0
        end = len(payload)
        while position < end:
            space = payload.find(b" ", position, position + 20)
            digits = payload[position:space]
            if space < 0 or not digits.isdigit():
                if not payload[position:].strip(b"\0"):
                    break  # padded within its size, as some writers do
                raise self._corrupt("bad length in an extended header")
            limit = position + int(digits)
            equals = payload.find(b"=", space + 1, limit)
            if limit > end or equals < 0 or payload[limit - 1 : limit] != b"\n":
                raise self._corrupt("bad record in an extended header")
            records.append((payload[space + 1 : equals], payload[equals + 1 : limit - 1]))
            position = limit
        return records

    def _take_global(self, payload: bytes) -> None:
        for key, value in self._records(payload):
            if value:
                self._global[key] = value
            else:
                self._global.pop(key, None)
        if sum(map(len, self._global.values())) > self._maximum_header:
            raise LimitExceeded(
                f"the global headers are longer than {self._maximum_header} bytes"
                f" at byte {self.offset}"
            )

    def _apply(self, entry: TarEntry, pax: dict[bytes, bytes], stored: int = 0) -> int:
        """Let extended records override the header; return the size of the stored data."""
        for key, value in pax.items():
            if key == b"path":
                if value:
                    entry.name = self._text(value, "path")
            elif key == b"linkpath":
                if value:
                    entry.link = self._text(value, "linkpath")
            elif key == b"mtime":
                if value:
                    entry.mtime = self._time(value)
            elif key == b"size":
                if value and entry.kind == REGULAR:
                    stored = self._decimal(value, "size")
                    if entry.sparse is None:
                        entry.size = stored
            elif key == b"uid":
                if value:
                    entry.uid = self._decimal(value, "uid")
            elif key == b"gid":
                if value:
                    entry.gid = self._decimal(value, "gid")
            elif key.startswith(b"SCHILY.xattr."):
                self._take_xattr(entry, key[13:], value)
            elif key.startswith(b"LIBARCHIVE.xattr."):
                name = unquote_to_bytes(key[17:])
                if entry.xattrs is None or name not in entry.xattrs:
                    try:
                        raw = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
                    except ValueError:
                        raise self._corrupt("an xattr is not in base 64") from None
                    self._take_xattr(entry, name, raw)
        return stored

    def _take_xattr(self, entry: TarEntry, name: bytes, value: bytes) -> None:
        if not name or b"\0" in name:
            raise self._corrupt("an xattr has no proper name")
        if entry.xattrs is None:
            entry.xattrs = {}
        entry.xattrs[name] = value

    def _text(self, value: bytes, what: str) -> bytes:
        if b"\0" in value:
            raise self._corrupt(f"{what} holds a NUL")
        return value

    def _decimal(self, value: bytes, what: str) -> int:
        if not value.isdigit() or len(value) > 20 or (number := int(value)) > _LARGEST:
            raise self._corrupt(f"{what} is no number: {value[:40]!r}")
        return number

    def _time(self, value: bytes) -> int:
        """Decimal seconds, a fraction and a sign included, as nanoseconds."""
        whole, _, fraction = value.lstrip(b"-").partition(b".")
        if (whole and not whole.isdigit()) or (fraction and not fraction.isdigit()):
            raise self._corrupt(f"mtime is no number: {value[:40]!r}")
        if len(whole) > 18 or not (whole or fraction) or value.count(b"-") > 1:
            raise self._corrupt(f"mtime is no number: {value[:40]!r}")
        number = int(whole or b"0") * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
        return -number if value[:1] == b"-" else number

    # Sparse files: https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html

    def _old_sparse(self, block: bytes) -> tuple[list[tuple[int, int]], int]:
        pieces: list[tuple[int, int]] = []
        size = self._number(block[483:495], "real size")
        self._take_pieces(block[386:482], pieces)
        more = block[482]
        room = self._maximum_header
        while more:
            room -= BLOCK
            if room < 0:
                raise LimitExceeded(f"a sparse map is too long at byte {self.offset}")
            block = self._exactly(BLOCK)
            self._take_pieces(block[:504], pieces)
            more = block[504]
        return pieces, size

    def _take_pieces(self, fields: bytes, pieces: list[tuple[int, int]]) -> None:
        for at in range(0, len(fields), 24):
            if fields[at] == 0:
                return
            pieces.append(
                (
                    self._number(fields[at : at + 12], "sparse offset"),
                    self._number(fields[at + 12 : at + 24], "sparse length"),
                )
            )

    def _sparse(
        self, entry: TarEntry, pax: dict[bytes, bytes], records: list[tuple[bytes, bytes]]
    ) -> None:
        """Find the map of a sparse file, in whichever of four forms it comes, and check it."""
        if entry.kind != REGULAR:
            raise self._corrupt("a sparse map belongs to no file")
        pieces = entry.sparse
        if pieces is None:
            real = pax.get(b"GNU.sparse.realsize") or pax.get(b"GNU.sparse.size") or b""
            entry.size = self._decimal(real, "real size")
            if name := pax.get(b"GNU.sparse.name"):
                entry.name = self._name = self._text(name, "name")
            if pax.get(b"GNU.sparse.major") == b"1":
                pieces = self._map_in_data()
            elif b"GNU.sparse.map" in pax:
                numbers = pax[b"GNU.sparse.map"].split(b",")
                pieces = self._pairs([self._decimal(n, "sparse map") for n in numbers if n])
            else:
                pieces = self._pairs(
                    [
                        self._decimal(value, "sparse map")
                        for key, value in records
                        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
                    ]
                )
        if not 0 <= entry.size <= _LARGEST:
            raise self._corrupt(f"impossible size {entry.size}")
        end = total = 0
        for offset, length in pieces:
            if offset < end or length < 0:
                raise self._corrupt("the pieces of a sparse file overlap")
            end = offset + length
            total += length
        if total != self._left or end > entry.size:
            raise self._corrupt("the map of a sparse file does not fit its size")
        entry.sparse = pieces

    def _pairs(self, numbers: list[int]) -> list[tuple[int, int]]:
        if len(numbers) % 2:
            raise self._corrupt("the map of a sparse file is incomplete")
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def _map_in_data(self) -> list[tuple[int, int]]:
        """Format 1.0: decimal numbers, each in its line, in whole blocks before the data."""
        room = min(self._left, self._maximum_header)
        taken = 0
        rest = b""
        numbers: list[int] = []
        wanted: int | None = None
        while wanted is None or len(numbers) < wanted:
            if taken + BLOCK > room:
                raise self._corrupt("the map of a sparse file is incomplete or too long")
            *lines, rest = (rest + self._exactly(BLOCK)).split(b"\n")
            taken += BLOCK
            for line in lines:
                number = self._decimal(line, "sparse map")
                if wanted is None:
                    wanted = 2 * number
                else:
                    numbers.append(number)
                if len(numbers) == wanted:
                    break
        self._left -= taken
        return self._pairs(numbers)

    def _corrupt(self, what: str, *, back: int = 0) -> CorruptData:
        place = f"at byte {self.offset - back}"
        if self._name:
            place += f", in or after {self._name.decode('utf-8', 'replace')!r}"
        return CorruptData(f"corrupt layer: {what} {place}")


def _checksum_holds(block: bytes, expected: int) -> bool:
    """The exact rule, and that of historic writers who added signed characters."""
    rest = block[:148] + b" " * 8 + block[156:]
    total = sum(rest)
    return expected in (total, total - 256 * sum(byte > 127 for byte in rest))
