"""From lines to statements: continuations, comments, flags and here-documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proa.build.dockerfile.heredoc import Heredoc, heredocs_of
from proa.build.dockerfile.source import Span
from proa.build.dockerfile.split import json_array, take_flags
from proa.errors import InvalidArgument
from proa.lean.record import record, replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proa.build.dockerfile.source import Source

_BLANKS = re.compile(r"[\t\v\f\r ]+")
_WITH_HEREDOCS = ("ADD", "COPY", "RUN")


@record
class Statement:
    """An instruction before anybody has looked at what it says."""

    keyword: str
    """as it is written"""
    flags: tuple[str, ...]
    """`--name=value`, without quotes"""
    rest: str
    """what follows the flags"""
    text: str
    """all of it in one line, here-documents excluded"""
    span: Span
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()
    """those directly above"""
    has_empty_continuation: bool = False

    @property
    def name(self) -> str:
        """The instruction: `RUN`."""
        return self.keyword.upper()

    @property
    def full_text(self) -> str:
        """All of it, here-documents included."""
        return "\n".join(
            [self.text, *(f"{heredoc.content}{heredoc.name}" for heredoc in self.heredocs)]
        )


def read_statements(source: Source, escape: str) -> Iterator[Statement]:
    """The statements of a Dockerfile.

    Raises DockerfileError for a here-document or flag that does not end.
    """
    lines = source.lines
    comments: list[str] = []
    position = 0
    while position < len(lines):
        start = position
        line = lines[position].lstrip()
        position += 1
        if line.startswith("#"):
            comments.append(line[1:].strip())
            continue
        text, continues = _without_continuation(line, escape)
        if not text and not continues:
            comments = []
            continue
        pieces = [text]
        empty = False
        while continues and position < len(lines):
            line = lines[position]
            position += 1
            if line.lstrip().startswith("#"):
                continue
            if not line.strip():
                empty = True
                continue
            text, continues = _without_continuation(line, escape)
            pieces.append(text)
        span = Span(start + 1, position)
        text = "".join(pieces)
        if not text.strip():
            comments = []
            continue
        statement = _split(source, span, text, escape)
        heredocs, position = _read_heredocs(source, span, _heredocs(statement, escape), position)
        yield replace(
            statement,
            span=Span(span.first, position),
            heredocs=tuple(heredocs),
            comments=tuple(comments),
            has_empty_continuation=empty,
        )
        comments = []


def read_statement(text: str, source: Source, span: Span, escape: str) -> Statement:
    """The one statement that `text` is, such as a trigger of ONBUILD's.

    Its here-documents follow its first line. Errors name `span` of `source`.
    """
    first, _, rest = text.partition("\n")
    statement = _split(source, span, first, escape)
    waiting = _heredocs(statement, escape)
    if not waiting:
        return replace(_split(source, span, text, escape), span=span)
    inner = type(source)(rest, source.name)
    try:
        heredocs, _ = _read_heredocs(inner, Span(1, 1), waiting, 0)
    except InvalidArgument as error:
        raise source.error(span, f"in the trigger {first[:60]!r}: {error}") from None
    return replace(statement, heredocs=tuple(heredocs))


def _without_continuation(line: str, escape: str) -> tuple[str, bool]:
    """The line without an escape character at its end, and whether it had one.

    Two of them are one that is meant as such.
    """
    stripped = line.rstrip(" \t")
    if stripped.endswith(escape) and not stripped.endswith(escape * 2):
        return stripped[:-1], True
    return line, False


def _split(source: Source, span: Span, text: str, escape: str) -> Statement:
    keyword, *others = _BLANKS.split(text.strip(), maxsplit=1)
    try:
        flags, rest = take_flags(others[0] if others else "", escape)
    except InvalidArgument as error:
        raise source.error(span, f"{keyword.upper()}: {error}") from None
    return Statement(keyword, tuple(flags), rest.strip(), text.strip(), span)


def _heredocs(statement: Statement, escape: str) -> list[Heredoc]:
    """Those whose content follows."""
    name, rest = statement.name, statement.rest
    if name == "ONBUILD":
        name, _, rest = rest.partition(" ")
        name = name.upper()
        try:
            rest = take_flags(rest, escape)[1]
        except InvalidArgument:
            return []
    if name not in _WITH_HEREDOCS:
        return []
    found = heredocs_of(statement.text)
    if found:
        try:
            if json_array(rest) is not None:
                return []
        except InvalidArgument:
            return []
    return found


def _read_heredocs(
    source: Source, span: Span, waiting: list[Heredoc], position: int
) -> tuple[list[Heredoc], int]:
    """The here-documents with their contents, and the line behind the last of them."""
    found = []
    for heredoc in waiting:
        content = []
        for number in range(position, len(source.lines)):
            line = source.lines[number]
            if (line.lstrip("\t") if heredoc.strips_tabs else line) == heredoc.name:
                position = number + 1
                break
            content.append(f"{line}\n")
        else:
            raise source.error(
                Span(span.first, len(source.lines)),
                f"unterminated heredoc: there is no line {heredoc.name!r} that ends it",
            )
        found.append(replace(heredoc, content="".join(content)))
    return found, position
