"""Go's view of JSON's values: what is true, how things are printed and compared."""

from __future__ import annotations

from proa.cli.table import quoted
from proa.cli.template.errors import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Missing:
    """What a map has for a key that it does not have."""

    def __repr__(self) -> str:
        return "<no value>"


MISSING = Missing()


class Nil:
    """A pointer of Go's to nothing, of which the kind is known."""

    is_nil = True

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "<nil>"


NIL = Nil()


class NilList(list["Any"]):
    """A slice that is nil: it prints as an empty one, in JSON it is null."""

    is_nil = True


def truth(value: Any) -> bool:
    """False, 0, nil and what is empty are false."""
    return value is not MISSING and bool(value)


def show(value: Any) -> str:
    """As Go's fmt prints it with %v; a missing value at the top is `<no value>`."""
    if value is None or value is MISSING:
        return "<no value>"
    return plain(value)


def plain(value: Any) -> str:
    """As Go's fmt prints it with %v."""
    if isinstance(value, str):
        return value
    if value is None or value is MISSING:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        inner = " ".join(f"{key}:{plain(value[key])}" for key in sorted(value))
        return f"map[{inner}]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(plain(item) for item in value) + "]"
    return str(value)


def _float(value: float) -> str:
    """%g with Go's limits: an exponent from 21 digits on."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def to_json(value: Any) -> str:
    """Compact JSON, without the methods of a row; the order of maps is the caller's affair."""
    from proa.lean import json

    if isinstance(value, str):
        return json.quote(value)
    if value is MISSING or getattr(value, "is_nil", False):
        return "null"
    if isinstance(value, dict):
        inner = ",".join(
            f"{json.quote(str(key))}:{to_json(item)}"
            for key, item in value.items()
            if not callable(item)
        )
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(to_json(item) for item in value) + "]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return json.dumps(value)


def format_values(pattern: str, arguments: list[Any]) -> str:
    """Go's fmt.Sprintf, with the verbs that make sense for JSON's values."""
    out = []
    position = 0
    index = 0
    while position < len(pattern):
        start = pattern.find("%", position)
        if start < 0:
            out.append(pattern[position:])
            break
        out.append(pattern[position:start])
        position = start + 1
        flags = ""
        while pattern[position : position + 1] and pattern[position] in "+-# 0":
            flags += pattern[position]
            position += 1
        width, position, index = _width(pattern, position, arguments, index)
        precision: int | None = None
        if pattern[position : position + 1] == ".":
            precision, position, index = _width(pattern, position + 1, arguments, index)
            precision = precision or 0
        verb = pattern[position : position + 1]
        position += 1
        if verb == "%":
            out.append("%")
        elif not verb:
            out.append("%!(NOVERB)")
        elif index >= len(arguments):
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_pad(_verb(verb, arguments[index], flags, precision), flags, width))
            index += 1
    if index < len(arguments):
        extra = ", ".join(f"{_type(value)}={plain(value)}" for value in arguments[index:])
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def _width(
    pattern: str, position: int, arguments: list[Any], index: int
) -> tuple[int | None, int, int]:
    if pattern[position : position + 1] == "*":
        value = arguments[index] if index < len(arguments) else None
        return (value if isinstance(value, int) else None), position + 1, index + 1
    end = position
    while pattern[end : end + 1].isdigit():
        end += 1
    if end - position > 6:
        raise TemplateError("printf: the width is too large")
    return (int(pattern[position:end]) if end > position else None), end, index


def _verb(verb: str, value: Any, flags: str, precision: int | None) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if verb == "v":
        text = plain(value)
        return f"+{text}" if "+" in flags and is_number and value >= 0 else text
    if verb == "s" and (isinstance(value, str | list | tuple | dict)):
        text = plain(value)
        return text if precision is None else text[:precision]
    if verb == "q" and isinstance(value, str):
        return quoted(value)
    if verb == "q" and isinstance(value, list | tuple):
        return "[" + " ".join(quoted(item) for item in value) + "]"
    if verb == "d" and whole:
        return f"{value:+d}" if "+" in flags else str(value)
    if verb in "xXob" and whole:
        return format(value, ("#" if "#" in flags else "") + verb)
    if verb in "xX" and isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape").hex()
        return text.upper() if verb == "X" else text
    if verb == "c" and whole and 0 <= value < 0x110000:
        return chr(value)
    if verb == "U" and whole and value >= 0:
        return f"U+{value:04X}"
    if verb == "t" and isinstance(value, bool):
        return plain(value)
    if verb in "eEfFgG" and isinstance(value, float):
        return format(value, f".{6 if precision is None else precision}{verb}")
    if verb == "T":
        return _type(value)
    if value is None or value is MISSING:
        return f"%!{verb}(<nil>)"
    return f"%!{verb}({_type(value)}={plain(value)})"


def _pad(text: str, flags: str, width: int | None) -> str:
    if width is None:
        return text
    if "-" in flags or width < 0:
        return text.ljust(abs(width))
    if "0" in flags and text.lstrip("+-").replace(".", "").isalnum():
        return text.zfill(width)
    return text.rjust(width)


def _type(value: Any) -> str:
    for kind, name in (
        (bool, "bool"),
        (str, "string"),
        (int, "int"),
        (float, "float64"),
        (dict, "map[string]interface {}"),
        (list, "[]interface {}"),
        (tuple, "[]string"),
    ):
        if isinstance(value, kind):
            return name
    return "<nil>"


def compare(left: Any, right: Any) -> int:
    """Less than 0, 0, or more than 0. Raises TemplateError for what has no order."""
    numbers = all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in (left, right)
    )
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        raise TemplateError("incompatible types for comparison")
    return int(left > right) - int(left < right)


def equal(left: Any, right: Any) -> bool:
    """Go's `==`. Raises TemplateError where the types are not comparable."""
    left = None if left is MISSING else left
    right = None if right is MISSING else right
    if left is None or right is None:
        return left is right
    for value in (left, right):
        if isinstance(value, dict | list | tuple):
            raise TemplateError("non-comparable type: a map or a list; compare its parts")
    if isinstance(left, bool) or isinstance(right, bool):
        if not (isinstance(left, bool) and isinstance(right, bool)):
            raise TemplateError("incompatible types for comparison")
        return left is right
    return compare(left, right) == 0
