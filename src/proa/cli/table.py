"""Columns, laid out as Go's text/tabwriter does it for docker."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def layout(rows: Sequence[Sequence[str]], *, minimum: int = 10, padding: int = 3) -> str:
    """Lines of cells as text; the last cell of a line is in no column and ends it.

    A column is as wide as its widest cell and `padding`, `minimum` at least. A column ends at a
    line that does not have it, as in tabwriter: lines of unlike length do not widen each other.
    """
    widths: list[list[int]] = [[] for _ in rows]
    _measure(rows, widths, range(len(rows)), minimum, padding)
    lines = []
    for row, own in zip(rows, widths, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, own, strict=False)]
        lines.append("".join((*cells, row[-1] if row else "")) + "\n")
    return "".join(lines)


def _measure(
    rows: Sequence[Sequence[str]],
    widths: list[list[int]],
    lines: range,
    minimum: int,
    padding: int,
) -> None:
    """Give each of `lines` the widths of its columns, from the first one that it lacks."""
    if not lines:
        return
    column = len(widths[lines.start])
    at, end = lines.start, lines.stop
    while at < end:
        if len(rows[at]) - 1 <= column:
            at += 1
            continue
        block = at
        width = minimum
        while at < end and len(rows[at]) - 1 > column:
            width = max(width, len(rows[at][column]) + padding)
            at += 1
        for row in range(block, at):
            widths[row].append(width)
        _measure(rows, widths, range(block, at), minimum, padding)


def tabbed(text: str, *, minimum: int = 10, padding: int = 3) -> str:
    """Text whose lines have cells divided by tabs, as columns."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return layout([line.split("\t") for line in lines], minimum=minimum, padding=padding)


def truncated(text: str, length: int) -> str:
    """At most `length` characters, the last one an ellipsis where something was cut off."""
    if len(text) <= length:
        return text
    return text[: length - 1] + "…" if length > 1 else text[:length]


def quoted(text: str) -> str:
    """Text in double quotes with Go's escapes (strconv.Quote)."""
    out = ['"']
    for character in text:
        if character in _ESCAPES:
            out.append(_ESCAPES[character])
        elif character.isprintable():
            out.append(character)
        elif 0xDC80 <= ord(character) <= 0xDCFF:  # a byte that is not UTF-8 (surrogateescape)
            out.append(f"\\x{ord(character) - 0xDC00:02x}")
        elif ord(character) < 0x80:
            out.append(f"\\x{ord(character):02x}")
        elif ord(character) < 0x10000:
            out.append(f"\\u{ord(character):04x}")
        else:
            out.append(f"\\U{ord(character):08x}")
    out.append('"')
    return "".join(out)


_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
    "\t": "\\t", "\v": "\\v",
}  # fmt: skip
