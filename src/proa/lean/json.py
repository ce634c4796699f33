"""JSON by the standard library's C scanner and encoder, without its Python.

`import json` brings `re` and costs 5 ms, more than a container's namespaces. The accelerators
of `_json` do the work in any case.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Grammar:
    """What `_json.make_scanner` asks of its context (CPython, Lib/json/decoder.py)."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = None


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON: {value!r}")


_scan = _json.make_scanner(_Grammar)  # type: ignore[arg-type]
_WHITESPACE = " \t\n\r"


def loads(text: str | bytes) -> Any:
    """Parse one JSON value.

    Raises ValueError where `text` is not exactly one JSON value.
    """
    if not isinstance(text, str):
        text = text.decode("utf-8")
    stripped = text.strip(_WHITESPACE)
    try:
        value, end = _scan(stripped, 0)
    except (StopIteration, SystemError, TypeError, ValueError):
        return _explain(text)
    return value if end == len(stripped) else _explain(text)


def _explain(text: str) -> Any:
    """Let the standard library say what is wrong with `text`: errors may take their time.

    The scanner alone cannot: it takes its exception from `json.decoder`, and raises SystemError
    where that was never imported.
    """
    import json

    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"not JSON: {name} has no place in it")


def dumps(value: object, *, sort_keys: bool = False) -> str:
    """`value` as compact JSON, ASCII only.

    Raises TypeError for a value that JSON does not have, ValueError for NaN and infinities.
    """
    encode = _json.make_encoder(
        None, _refuse, _json.encode_basestring_ascii, None, ":", ",", sort_keys, False, False
    )
    return "".join(encode(value, 0))


def quote(text: str) -> str:
    """`text` as a JSON string, non-ASCII characters kept."""
    return _json.encode_basestring(text)
