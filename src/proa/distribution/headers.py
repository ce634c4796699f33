"""What registries say in the headers of their answers, parsed. Nothing in them is trusted."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~")
_SPACE = " \t"
_LONGEST = 16 << 10
_MOST_DIGITS = 18


@record
class Challenge:
    """What a server wants to see before it answers (RFC 9110, section 11.3)."""

    scheme: str
    """lower-case: bearer, basic"""
    parameters: Mapping[str, str]
    """by their lower-case names"""


def challenges(values: Iterable[str]) -> list[Challenge]:
    """The challenges of all WWW-Authenticate headers of an answer.

    Several may stand in one header, separated by the commas that separate parameters as well.
    What is not well formed ends its header: what was understood before it is kept.
    """
    found: list[Challenge] = []
    for value in values:
        found += _Scanner(value[:_LONGEST]).challenges()
    return found


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def challenges(self) -> list[Challenge]:
        found: list[Challenge] = []
        while True:
            self._skip(_SPACE + ",")
            scheme = self._token()
            if not scheme:
                return found
            parameters: dict[str, str] = {}
            found.append(Challenge(scheme.lower(), parameters))
            self._skip(_SPACE)
            self._token68()
            while self._parameter(parameters):
                pass

    def _parameter(self, into: dict[str, str]) -> bool:
        start = self._place
        self._skip(_SPACE + ",")
        name = self._token().lower()
        self._skip(_SPACE)
        if not name or self._peek() != "=":
            # the next challenge's scheme, or the end
            self._place = start
            return False
        self._place += 1
        self._skip(_SPACE)
        value = self._quoted() if self._peek() == '"' else self._token()
        if value is None:
            self._place = len(self._text)
            return False
        into.setdefault(name, value)
        return True

    def _token68(self) -> None:
        """Pass over `Negotiate YWJj==`: data without a name (RFC 9110, section 11.2)."""
        start = self._place
        while self._peek() and self._peek() not in ' \t,"=':
            self._place += 1
        while self._peek() == "=":
            self._place += 1
        end = self._place
        self._skip(_SPACE)
        if self._peek() not in ("", ",") or self._text[start:end].count("=") == 0:
            self._place = start

    def _quoted(self) -> str | None:
        self._place += 1
        parts: list[str] = []
        while character := self._peek():
            self._place += 1
            if character == '"':
                return "".join(parts)
            if character == "\\":
                character = self._peek()
                self._place += 1
            parts.append(character)
        return None

    def _token(self) -> str:
        start = self._place
        while self._peek() in _TOKEN:
            self._place += 1
        return self._text[start : self._place]

    def _skip(self, characters: str) -> None:
        while (character := self._peek()) and character in characters:
            self._place += 1

    def _peek(self) -> str:
        return self._text[self._place : self._place + 1]


def content_range(text: str | None) -> tuple[int, int, int | None] | None:
    """First byte, last byte and size (None: not told) of `bytes 0-9/100`; None if it is not that.

    RFC 9110, section 14.4.
    """
    unit, _, rest = (text or "").strip().partition(" ")
    span, slash, size_text = rest.strip().partition("/")
    first, last = _span(span)
    if unit.lower() != "bytes" or not slash or first is None or last is None or last < first:
        return None
    if size_text == "*":
        return first, last, None
    size = _number(size_text)
    return None if size is None or size <= last else (first, last, size)


def received(text: str | None) -> int | None:
    """How many bytes of an upload have arrived, by its Range header `0-<last>`.

    distribution-spec, "Pushing a blob in chunks". An empty upload is told as `0-0` by some, so
    that one byte and none cannot be told apart: both are 0. None where it is not well formed.
    """
    first, last = _span((text or "").strip().removeprefix("bytes="))
    if first != 0 or last is None:
        return None
    return last + 1 if last else 0


def _span(text: str) -> tuple[int | None, int | None]:
    first, dash, last = text.partition("-")
    return (_number(first), _number(last)) if dash else (None, None)


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
        return None
    return int(text)


def retry_after(text: str | None, now: float | None = None) -> float | None:
    """Seconds to wait (RFC 9110, section 10.2.3): a number or a date; None where not told."""
    text = (text or "").strip()
    seconds = _number(text)
    if seconds is not None:
        return float(seconds)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return max(moment - (time.time() if now is None else now), 0.0)


def next_page(text: str | None) -> str | None:
    """The target of `<…>; rel="next"` (RFC 8288), as it stands there; None where there is none."""
    for link in (text or "")[:_LONGEST].split(",<"):
        target, bracket, parameters = link.strip().removeprefix("<").partition(">")
        relations = [
            value.strip().strip('"').lower()
            for name, _, value in (part.partition("=") for part in parameters.split(";"))
            if name.strip().lower() == "rel"
        ]
        if bracket and "next" in relations:
            return target
    return None


def media_type(text: str | None) -> str:
    """A Content-Type without its parameters, lower-case."""
    return (text or "").partition(";")[0].strip().lower()
