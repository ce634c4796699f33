"""Here-documents of RUN, COPY and ADD: `<<EOF`, `<<-EOF`, `<<"EOF"`, `3<<EOF`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proa.build.dockerfile import words
from proa.errors import InvalidArgument
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD = re.compile(r"(\d*)<<(-?)([^<]*)", re.DOTALL)
_RAW = words.Rules(keep_quotes=True, keep_escapes=True, keep_unset=True)
_AS_WRITTEN = words.Rules(keep_quotes=True, keep_unset=True)
_UNQUOTED = words.Rules(keep_unset=True)


@record
class Heredoc:
    """A here-document."""

    name: str
    """the line that ends it, and the file's name where it is copied"""
    content: str = ""
    """as it is written, line ends included"""
    expands: bool = True
    """variables in it are filled in: its name is not quoted"""
    strips_tabs: bool = False
    """`<<-`: tabs at the beginnings of its lines are not part of it"""
    descriptor: int = 0

    @property
    def data(self) -> str:
        """The content, without the tabs that are not part of it."""
        if not self.strips_tabs:
            return self.content
        return re.sub(r"^\t+", "", self.content, flags=re.MULTILINE)

    def expanded(self, variables: Mapping[str, str]) -> str:
        """The content of a file that is copied. Raises InvalidArgument."""
        if not self.expands:
            return self.data
        # always a backslash, whatever the Dockerfile's own escape character is
        return words.expand(self.data, variables, words.Rules(quotes=False)).text


def parse_heredoc(word: str) -> Heredoc | None:
    """The here-document that `word` begins, without its content; None where it is none."""
    match = _WORD.fullmatch(word)
    if match is None or not match[3]:
        return None
    try:
        if len(words.expand(match[3], {}, _RAW).words) != 1:
            return None
        quoted = words.expand(match[3], {}, _AS_WRITTEN).text
        name = words.expand(match[3], {}, _UNQUOTED).text
    except InvalidArgument:
        return None
    return Heredoc(
        name,
        expands=quoted == name,
        strips_tabs=match[2] == "-",
        descriptor=int(match[1] or 0),
    )


def heredocs_of(line: str) -> list[Heredoc]:
    """The here-documents that a logical line begins, in order, without their contents."""
    if "<<" not in line:
        return []
    try:
        found = words.expand(line, {}, _RAW).words
    except InvalidArgument:
        return []  # a quote of the shell's that is not closed: the shell will tell
    return [heredoc for word in found if (heredoc := parse_heredoc(word)) is not None]
