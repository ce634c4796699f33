"""The functions of templates: Go's, and those that Docker adds."""

from __future__ import annotations

from proa.cli.template.errors import TemplateError
from proa.cli.template.values import (
    MISSING,
    compare,
    equal,
    format_values,
    plain,
    show,
    to_json,
    truth,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _text(value: Any, what: str = "string") -> str:
    if not isinstance(value, str):
        raise TemplateError(f"wrong type for value; expected {what}; got {plain(value)}")
    return value


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TemplateError(f"wrong type for value; expected int; got {plain(value)}")
    return value


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            found = value.get(key, MISSING)
            # Go gives the zero value of the map's type: for a map of texts that is ''
            value = "" if found is MISSING and _holds_texts(value) else found
        elif isinstance(value, list | tuple | str):
            position = _integer(key)
            if not 0 <= position < len(value):
                raise TemplateError(f"index out of range: {position}")
            value = ord(value[position]) if isinstance(value, str) else value[position]
        elif value is None or value is MISSING:
            raise TemplateError("index of untyped nil")
        else:
            raise TemplateError(f"can't index item of type {type(value).__name__}")
    return value


def _holds_texts(value: dict[Any, Any]) -> bool:
    return all(isinstance(item, str) for item in value.values())


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise TemplateError(f"can't slice item of type {type(value).__name__}")
    if len(bounds) > 2:
        raise TemplateError("too many slice indexes")
    limits = [_integer(bound) for bound in bounds]
    start = limits[0] if limits else 0
    end = limits[1] if len(limits) > 1 else len(value)
    if not 0 <= start <= end <= len(value):
        raise TemplateError(f"slice index out of range: {start}:{end}")
    return value[start:end]


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, dict | list | tuple):
        return len(value)
    raise TemplateError(f"len of type {type(value).__name__}" if value is not None
                        else "len of nil pointer")  # fmt: skip


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(equal(first, other) for other in others)


def _join(items: Any, separator: Any) -> str:
    if not isinstance(items, list | tuple):
        raise TemplateError(f"wrong type for value; expected []string; got {plain(items)}")
    return _text(separator).join(plain(item) for item in items)


def _title(value: Any) -> str:
    out = []
    before = " "
    for character in _text(value):
        out.append(character.upper() if not (before.isalnum() or before in "_'") else character)
        before = character
    return "".join(out)


def _print(*values: Any) -> str:
    """Go's fmt.Sprint: a space between two operands of which neither is a text."""
    out = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            out += " "
        out += plain(value)
    return out


def _truncate(text: Any, length: Any) -> str:
    """The first characters of a text: Docker's function for columns."""
    return _text(text)[: max(_integer(length), 0)]


def _pad(text: Any, before: Any, after: Any) -> str:
    """Spaces around a text, unless it is empty."""
    value = _text(text)
    if not value:
        return value
    return " " * min(_integer(before), 10_000) + value + " " * min(_integer(after), 10_000)


def _url_query(value: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(show(value))


def _html(value: Any) -> str:
    text = show(value)
    for character, entity in (("&", "&amp;"), ("'", "&#39;"), ('"', "&#34;"), ("<", "&lt;"),
                              (">", "&gt;")):  # fmt: skip
        text = text.replace(character, entity)
    return text


def _js(value: Any) -> str:
    """For a string of JavaScript."""
    out = []
    for character in show(value):
        if character in "\\'\"":
            out.append("\\" + character)
        elif character in "<>&=" or ord(character) < 0x20:
            out.append(f"\\u{ord(character):04X}")
        else:
            out.append(character)
    return "".join(out)


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int | None]] = {
    "and": (lambda *values: values[-1], 1, None),
    "or": (lambda *values: values[-1], 1, None),
    "not": (lambda value: not truth(value), 1, 1),
    "index": (_index, 1, None),
    "slice": (_slice, 1, None),
    "len": (_len, 1, 1),
    "print": (_print, 0, None),
    "println": (lambda *values: " ".join(plain(value) for value in values) + "\n", 0, None),
    "printf": (lambda pattern, *values: format_values(_text(pattern), list(values)), 1, None),
    "html": (_html, 1, 1),
    "js": (_js, 1, 1),
    "urlquery": (_url_query, 1, 1),
    "eq": (_eq, 1, None),
    "ne": (lambda left, right: not equal(left, right), 2, 2),
    "lt": (lambda left, right: compare(left, right) < 0, 2, 2),
    "le": (lambda left, right: compare(left, right) <= 0, 2, 2),
    "gt": (lambda left, right: compare(left, right) > 0, 2, 2),
    "ge": (lambda left, right: compare(left, right) >= 0, 2, 2),
    "json": (to_json, 1, 1),
    "join": (_join, 2, 2),
    "split": (lambda text, separator: _text(text).split(_text(separator)) if separator
              else list(_text(text)), 2, 2),
    "lower": (lambda value: _text(value).lower(), 1, 1),
    "upper": (lambda value: _text(value).upper(), 1, 1),
    "title": (_title, 1, 1),
    "truncate": (_truncate, 2, 2),
    "pad": (_pad, 3, 3),
}  # fmt: skip
"""name: function, least and most number of arguments"""
