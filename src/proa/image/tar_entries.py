"""Walking through the members of an image archive, headers only.

These archives hold a handful of files; a layer within one is a member's content and is read
elsewhere. Formats: POSIX ustar and pax (IEEE 1003.1, pax), and GNU's long names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from proa.errors import CorruptData, HostileData, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 512
_LARGEST_EXTENSION = 1 << 20
_MOST_MEMBERS = 100_000
_LONGEST_NAME = 4096
_NUL = b"\0"


class Cursor(Protocol):
    """A position in an archive that moves forward."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes from here on: fewer only at the end."""

    def skip(self, size: int) -> None:
        """Move on. Raises CorruptData where the archive is shorter."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A member."""

    name: str
    """relative, without `.` and `..`"""
    kind: str
    """file, link (symbolic), hardlink, directory, other"""
    size: int
    target: str = ""
    """of a link, as it stands there"""


_KINDS = {
    **dict.fromkeys((b"0", b"\0", b"7"), "file"),
    b"1": "hardlink",
    b"2": "link",
    b"5": "directory",
}


def entries(cursor: Cursor) -> Iterator[Entry]:
    """The members; while one is handed out, the cursor stands at its content.

    The caller moves it behind the content and its padding (`padded`) before it goes on. Raises
    CorruptData, HostileData, LimitExceeded.
    """
    count = 0
    long: dict[str, str] = {}
    while True:
        header = cursor.read(BLOCK)
        if not header or header == _NUL * BLOCK:
            return
        if len(header) < BLOCK:
            raise CorruptData("the archive is cut off in the middle of a header")
        _verify(header)
        kind, size = header[156:157], _number(header[124:136])
        if kind in (b"L", b"K", b"x", b"g"):
            if size > _LARGEST_EXTENSION:
                raise LimitExceeded(f"the archive has an extended header of {size} bytes")
            data = cursor.read(size)
            if len(data) < size:
                raise CorruptData("the archive is cut off in the middle of a header")
            cursor.skip(padded(size) - size)
            if kind == b"L":
                long["path"] = _text(data.rstrip(_NUL))
            elif kind == b"K":
                long["linkpath"] = _text(data.rstrip(_NUL))
            elif kind == b"x":
                long.update(_pax(data))
            continue
        count += 1
        if count > _MOST_MEMBERS:
            raise LimitExceeded(f"the archive has more than {_MOST_MEMBERS} members")
        if kind == b"S" or any(key.startswith("GNU.sparse") for key in long):
            raise CorruptData("the archive has sparse members: no image archive has")
        name = long.get("path") or _ustar_name(header)
        if "size" in long:
            try:
                size = int(long["size"])
            except ValueError:
                raise CorruptData("the archive has a pax header with a bad size") from None
        if size < 0 or size >> 62:
            raise CorruptData("the archive has a member of an impossible size")
        target = long.get("linkpath") or _text(header[157:257].partition(_NUL)[0])
        long = {}
        word = _KINDS.get(kind, "other")
        yield Entry(clean(name), word, size if word in ("file", "other") else 0, target)


def padded(size: int) -> int:
    """`size` with the padding that follows it in an archive."""
    return -(-size // BLOCK) * BLOCK


def clean(name: str) -> str:
    """A member's path without `.`; empty for the root. Raises HostileData for one that climbs."""
    if len(name) > _LONGEST_NAME:
        raise LimitExceeded(f"the archive has a path of {len(name)} characters")
    if name.startswith("/") or "\0" in name:
        raise HostileData(f"the archive has the absolute path {name[:200]!r}; it was refused")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise HostileData(f"the archive has the climbing path {name[:200]!r}; it was refused")
    return "/".join(parts)


def _verify(header: bytes) -> None:
    """The checksum: all bytes of the header, its own eight taken as blanks."""
    expected = _number(header[148:156])
    total = sum(header) - sum(header[148:156]) + 8 * 32
    if expected != total:
        raise CorruptData("not a tar archive, or a damaged one: a header's checksum is wrong")


def _number(field: bytes) -> int:
    if field[0] in (0x80, 0xFF):  # GNU: base 256
        return (
            int.from_bytes(field, "big", signed=True) & ((1 << 95) - 1) if field[0] == 0x80 else -1
        )
    text = field.strip(b" \0")
    try:
        return int(text or b"0", 8)
    except ValueError:
        raise CorruptData(
            "not a tar archive, or a damaged one: a header has a bad number"
        ) from None


def _ustar_name(header: bytes) -> str:
    name = _text(header[:100].partition(_NUL)[0])
    if header[257:263] == b"ustar\0":
        prefix = _text(header[345:500].partition(_NUL)[0])
        if prefix:
            return f"{prefix}/{name}"
    return name


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _pax(data: bytes) -> dict[str, str]:
    """Records `<length> <key>=<value>\\n`."""
    found = {}
    while data:
        length_text, blank, _ = data.partition(b" ")
        if not blank or not length_text.isdigit() or len(length_text) > 7:
            raise CorruptData("the archive has a damaged pax header")
        length = int(length_text)
        record = data[len(length_text) + 1 : length]
        key, equals, value = record.partition(b"=")
        if not equals or record[-1:] != b"\n" or length > len(data):
            raise CorruptData("the archive has a damaged pax header")
        found[_text(key)] = _text(value[:-1])
        data = data[length:]
    return found
