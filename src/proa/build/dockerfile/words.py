"""Shell words: quotes, escapes and variables (`$a`, `${a:-b}`, `${a##*/}` …) as a Dockerfile has
them.

Behaviour, where it is not a shell's, is that of BuildKit's frontend: an unset variable is empty,
single quotes keep all, double quotes keep all but variables and the escapes of `"`, `$` and the
escape character.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proa.build.dockerfile import glob
from proa.errors import InvalidArgument
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

BLANKS = frozenset(" \t\n\v\f\r\x85\xa0")
_SPECIAL = frozenset("@*#?-$!0")
_DEEPEST = 64


@dataclass(slots=True)
class Expansion:
    """What has become of a text."""

    text: str = ""
    words: list[str] = field(default_factory=list)
    """the text split at blanks that are neither quoted nor escaped"""
    used: set[str] = field(default_factory=set)
    """variables that were set"""
    missing: set[str] = field(default_factory=set)
    """variables that were not, and for which no other value was offered"""


@record
class Rules:
    """How words are read."""

    escape: str = "\\"
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False
    """a variable that is not set stays as it is written"""
    quotes: bool = True
    """quotes are more than characters"""


_PLAIN = Rules()


def expand(text: str, variables: Mapping[str, str], rules: Rules = _PLAIN) -> Expansion:
    """Fill in variables and take away quotes.

    Raises InvalidArgument where a quote or brace is not closed, a substitution is none, or
    `${name:?message}` says so.
    """
    reader = _Reader(text, variables, rules)
    result = reader.result
    result.text, result.words = reader.until("", rules.keep_escapes)
    return result


class _Collected:
    """A text, and the words that it splits into."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.words: list[str] = []
        self._word: list[str] = []

    def add(self, text: str) -> None:
        """Text in which blanks separate words."""
        self.text.append(text)
        for character in text:
            if character in BLANKS:
                self._finish()
            else:
                self._word.append(character)

    def add_whole(self, text: str) -> None:
        """Text in which they do not."""
        self.text.append(text)
        self._word.append(text)

    def done(self) -> tuple[str, list[str]]:
        self._finish()
        return "".join(self.text), self.words

    def _finish(self) -> None:
        word = "".join(self._word)
        self._word.clear()
        if word:
            self.words.append(word)


class _Reader:
    def __init__(self, text: str, variables: Mapping[str, str], rules: Rules) -> None:
        self.result = Expansion()
        self._text = text
        self._position = 0
        self._variables = variables
        self._rules = rules
        self._keep_escapes = rules.keep_escapes
        self._depth = 0

    def until(self, stop: str, keep_escapes: bool) -> tuple[str, list[str]]:
        """Read to the character `stop`, or to the end where that is empty."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InvalidArgument(f"variables are nested more than {_DEEPEST} deep")
        before, self._keep_escapes = self._keep_escapes, keep_escapes
        collected = _Collected()
        while (character := self._next()) != "":
            if character == stop:
                break
            if character == "$":
                collected.add(self._variable())
            elif character in "'\"" and self._rules.quotes:
                read = self._single_quoted if character == "'" else self._double_quoted
                collected.add_whole(read())
            elif character == self._rules.escape:
                escaped = self._next()
                collected.add_whole(character + escaped if keep_escapes else escaped)
            else:
                collected.add(character)
        else:
            if stop:
                raise _Unclosed(f"{stop!r} is missing")
        self._keep_escapes = before
        self._depth -= 1
        return collected.done()

    def _next(self) -> str:
        """The next character; empty at the end."""
        character = self._peek()
        self._position += 1
        return character

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _single_quoted(self) -> str:
        start = self._position
        end = self._text.find("'", start)
        if end < 0:
            raise InvalidArgument(
                "unexpected end of statement while looking for matching single-quote"
            )
        self._position = end + 1
        inner = self._text[start:end]
        return f"'{inner}'" if self._rules.keep_quotes else inner

    def _double_quoted(self) -> str:
        quote = '"' if self._rules.keep_quotes else ""
        parts = [quote]
        while (character := self._next()) != '"':
            if character == "":
                raise InvalidArgument(
                    "unexpected end of statement while looking for matching double-quote"
                )
            if character == "$":
                parts.append(self._variable())
                continue
            if character == self._rules.escape:
                following = self._peek()
                if following in ('"', "$", self._rules.escape) and following:
                    if self._keep_escapes:
                        parts.append(character)
                    character = self._next()
                elif not following:
                    continue  # an escape of nothing; that the quote is open is told next
            parts.append(character)
        return "".join([*parts, quote])

    def _name(self) -> str:
        first = self._peek()
        start = self._position
        if first.isdecimal():
            while self._peek().isdecimal():
                self._position += 1
        elif first and first in _SPECIAL:
            self._position += 1
        else:
            while self._peek().isalnum() or self._peek() == "_":
                self._position += 1
        return self._text[start : self._position]

    def _variable(self) -> str:
        """What stands behind a `$`."""
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._lookup(name)
            if value is None:
                return self._unset(name, f"${name}")
            return value
        self._position += 1
        if self._peek() == "":
            raise InvalidArgument("syntax error: missing '}'")
        name = self._name() if self._peek() not in "{}:" else ""
        if not name:
            raise InvalidArgument("syntax error: bad substitution")
        operator = self._next()
        if operator == "}":
            value = self._lookup(name)
            return self._unset(name, f"${{{name}}}") if value is None else value
        if operator == "":
            raise InvalidArgument("syntax error: missing '}'")
        if operator == "/":
            return self._replaced(name)
        empty_is_unset = operator == ":"
        kind = self._next() if empty_is_unset else operator
        if kind not in tuple("+-?") and (empty_is_unset or kind not in tuple("#%")):
            modifier = operator + kind if empty_is_unset else kind
            raise InvalidArgument(f"unsupported modifier ({modifier}) in substitution")
        word = self._argument("}", kind in "#%")
        value = self._lookup(name)
        if value is None and self._rules.keep_unset:
            return f"${{{name}{':' if empty_is_unset else ''}{kind}{word}}}"
        if kind in "#%":
            return self._trimmed(name, value, kind, word)
        given = value is not None and not (empty_is_unset and value == "")
        if kind == "-":
            return str(value) if given else word
        if kind == "+":
            return word if given else ""
        if given:
            return str(value)
        state = "unset" if value is None else "empty"
        raise InvalidArgument(f"{name}: {word or f'is not allowed to be {state}'}")

    def _trimmed(self, name: str, value: str | None, kind: str, word: str) -> str:
        if value is None:
            return self._unset(name, "")
        longest = word[:1] == kind
        pattern = word[1:] if longest else word
        trim = glob.without_prefix if kind == "#" else glob.without_suffix
        try:
            return trim(pattern, value, longest=longest)
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid pattern ({pattern}) in substitution: {error}") from None

    def _replaced(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._position += 1
        pattern = self._argument("/", True, " in ${}")
        replacement = self._argument("}", True)
        value = self._lookup(name)
        if value is None:
            slashes = "//" if everywhere else "/"
            return self._unset(name, f"${{{name}{slashes}{pattern}/{replacement}}}")
        try:
            return glob.replaced(pattern, replacement, value, all=everywhere)
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid pattern ({pattern}) in substitution: {error}") from None

    def _argument(self, stop: str, keep_escapes: bool, where: str = "") -> str:
        try:
            return self.until(stop, keep_escapes)[0]
        except _Unclosed:
            raise InvalidArgument(f"syntax error: missing '{stop}'{where}") from None

    def _lookup(self, name: str) -> str | None:
        value = self._variables.get(name)
        if value is not None:
            self.result.used.add(name)
        return value

    def _unset(self, name: str, written: str) -> str:
        self.result.missing.add(name)
        return written if self._rules.keep_unset else ""


class _Unclosed(InvalidArgument):
    """The end came before what should have been there."""
