"""The forms in which instructions have their arguments: flags, JSON, words, KEY=VALUE."""

from __future__ import annotations

import json
import re

from proa.build.dockerfile.words import BLANKS
from proa.errors import InvalidArgument

_SEPARATOR = re.compile(r"[\t\v\f\r ]+")


def take_flags(text: str, escape: str) -> tuple[list[str], str]:
    """The words at the beginning of `text` that begin with `--`, and what follows them.

    `--` alone ends them. Quotes are taken away, an escaped character stays. Raises
    InvalidArgument for a quote that is not closed.
    """
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in BLANKS:
            position += 1
        if not text.startswith("--", position):
            return flags, text[position:]
        word, position = _flag(text, position, escape)
        if word == "--":
            return flags, text[position:]
        flags.append(word)


def _flag(text: str, position: int, escape: str) -> tuple[str, int]:
    word = []
    quote = ""
    while position < len(text):
        character = text[position]
        if not quote and character in BLANKS:
            break
        position += 1
        if character == escape and quote != "'":
            word.append(text[position : position + 1])
            position += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        else:
            word.append(character)
    if quote:
        raise InvalidArgument(f"the quote {quote} in the flag {''.join(word)[:60]} is not closed")
    return "".join(word), position


def json_array(text: str) -> list[str] | None:
    """The strings of the JSON array that `text` is; None where it is none.

    Raises InvalidArgument for an array of anything else.
    """
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in found):
        raise InvalidArgument(
            "when using JSON array syntax, arrays must be comprised of strings only"
        )
    return list(found)


def separated(text: str) -> list[str]:
    """The words of `text`, quotes being characters like others."""
    return _SEPARATOR.split(text) if text else []


def quoted_words(text: str, escape: str) -> list[str]:
    """The words of `text`, in which quoted or escaped blanks separate nothing.

    Quotes and escapes stay: they are taken away where variables are filled in.
    """
    found: list[str] = []
    word: list[str] = []
    quote = ""
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == escape and quote != "'":
            if position < len(text):
                word += [character, text[position]]
                position += 1
        elif not quote and character in BLANKS:
            if word:
                found.append("".join(word))
                word.clear()
        else:
            word.append(character)
            if character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote = character
    if word:
        found.append("".join(word))
    return found


def key_values(text: str, instruction: str, escape: str) -> tuple[list[tuple[str, str]], bool]:
    """The pairs of ENV or LABEL, and whether they are in the old form `KEY the value`.

    Raises InvalidArgument.
    """
    found = quoted_words(text, escape)
    if not found:
        return [], False
    if "=" not in found[0]:
        parts = _SEPARATOR.split(text, maxsplit=1)
        if len(parts) < 2:
            raise InvalidArgument(f"{instruction} must have two arguments")
        return [(parts[0], parts[1])], True
    pairs = []
    for word in found:
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgument(
                f"syntax error - can't find = in {word!r}. Must be of the form: name=value"
            )
        pairs.append((key, value))
    return pairs, False
