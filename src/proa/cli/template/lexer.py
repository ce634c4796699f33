"""The tokens of a template."""

from __future__ import annotations

from proa.cli.template.errors import TemplateError
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT, RIGHT = "{{", "}}"
_SPACE = " \t\r\n"
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\",
    '"': '"', "'": "'",
}  # fmt: skip
_HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}


@record
class Token:
    """A piece of an action.

    Kinds: text (outside of actions), end (of an action), word, field (`.Name`), dot, variable,
    string, number, character, space, and the marks `|`, `(`, `)`, `,`, `=`, `:=`.
    """

    kind: str
    text: str
    line: int
    column: int
    """of its first character, from 0"""


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`. Raises TemplateError."""
    position = 0
    trim = False
    while True:
        start = text.find(LEFT, position)
        plain = text[position:] if start < 0 else text[position:start]
        if trim:
            plain = plain.lstrip(_SPACE)
        if start < 0:
            if plain:
                yield Token("text", plain, *_place(text, position))
            return
        inside = start + len(LEFT)
        if text[inside : inside + 1] == "-" and text[inside + 1 : inside + 2] in tuple(_SPACE):
            plain = plain.rstrip(_SPACE)
            inside += 1
        if plain:
            yield Token("text", plain, *_place(text, position))
        content = inside
        while text[content : content + 1] in tuple(_SPACE):
            content += 1
        if text.startswith("/*", content):
            position, trim = _comment(text, content)
            continue
        position, trim = inside, False
        while True:
            token, position = _next(text, position)
            yield token
            if token.kind == "end":
                trim = token.text.startswith(" -")
                break


def _comment(text: str, start: int) -> tuple[int, bool]:
    end = text.find("*/", start)
    if end < 0:
        raise _error(text, start, "unclosed comment")
    end += 2
    rest = text[end:]
    if rest.startswith(RIGHT):
        return end + len(RIGHT), False
    stripped = rest.lstrip(_SPACE)
    if stripped != rest and stripped.startswith("-" + RIGHT):
        return len(text) - len(stripped) + 1 + len(RIGHT), True
    raise _error(text, start, "comment ends before closing delimiter")


def _next(text: str, position: int) -> tuple[Token, int]:
    """The token at `position` inside an action, and where the next one begins."""
    line, column = _place(text, position)

    def token(kind: str, end: int, value: str | None = None) -> tuple[Token, int]:
        return Token(kind, text[position:end] if value is None else value, line, column), end

    if position >= len(text):
        raise _error(text, position, "unclosed action")
    if text.startswith(RIGHT, position):
        return token("end", position + len(RIGHT))
    character = text[position]
    if character in _SPACE:
        end = position
        while end < len(text) and text[end] in _SPACE:
            end += 1
        if text.startswith("-" + RIGHT, end):
            return token("end", end + 1 + len(RIGHT), " -" + RIGHT)
        return token("space", end)
    following = text[position + 1 : position + 2]
    if character == ":":
        if following != "=":
            raise _error(text, position, "expected :=")
        return token(":=", position + 2)
    if character in "|(),=":
        return token(character, position + 1)
    if character == '"':
        value, end = _string(text, position, '"')
        return token("string", end, value)
    if character == "`":
        end = text.find("`", position + 1)
        if end < 0:
            raise _error(text, position, "unterminated raw quoted string")
        return token("string", end + 1, text[position + 1 : end])
    if character == "'":
        value, end = _string(text, position, "'")
        if len(value) != 1:
            raise _error(text, position, "a character constant has one character")
        return token("character", end, value)
    if character == "." and not following.isdigit():
        end = _word_end(text, position + 1)
        return token("field" if end > position + 1 else "dot", end)
    if character == "$":
        return token("variable", _word_end(text, position + 1))
    if character.isdigit() or (character in "+-." and (following.isdigit() or following == ".")):
        end = position + 1
        while end < len(text) and (text[end].isalnum() or text[end] in "._"
                                   or (text[end] in "+-" and text[end - 1] in "eEpP")):  # fmt: skip
            end += 1
        return token("number", end)
    end = _word_end(text, position)
    if end == position:
        raise _error(text, position, f"unexpected {character!r} in command")
    return token("word", end)


def _word_end(text: str, position: int) -> int:
    while position < len(text) and (text[position].isalnum() or text[position] == "_"):
        position += 1
    return position


def _string(text: str, start: int, quote: str) -> tuple[str, int]:
    """The string constant that begins at `start`, and where it ends."""
    out: list[str] = []
    position = start + 1
    while True:
        character = text[position : position + 1]
        if character in ("", "\n"):
            raise _error(text, start, "unterminated quoted string")
        position += 1
        if character == quote:
            return "".join(out), position
        if character != "\\":
            out.append(character)
            continue
        escape = text[position : position + 1]
        position += 1
        length = _HEX_ESCAPES.get(escape)
        try:
            if length:
                out.append(chr(int(text[position : position + length], 16)))
                position += length
            elif escape.isdigit():
                out.append(chr(int(text[position - 1 : position + 2], 8)))
                position += 2
            else:
                out.append(_ESCAPES[escape])
        except (KeyError, ValueError, OverflowError):
            raise _error(text, start, f"invalid escape \\{escape} in a string") from None


def _place(text: str, position: int) -> tuple[int, int]:
    line = text.count("\n", 0, position) + 1
    return line, position - (text.rfind("\n", 0, position) + 1)


def _error(text: str, position: int, why: str) -> TemplateError:
    return TemplateError(f"template parsing error: template: :{_place(text, position)[0]}: {why}")
