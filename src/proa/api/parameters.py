"""What a request says, in its query and its body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from proa.errors import InvalidArgument, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_FALSE = frozenset(("", "0", "no", "false", "none"))
VERSION = web.RequestKey("version", tuple[int, ...])
"""The version of the API that the client speaks."""
LARGEST_BODY = 4 << 20
"""Bytes of a body that is JSON."""


def flag(request: web.Request, name: str, default: bool = False) -> bool:
    """A parameter that is true or false: as dockerd, true is all but 0, no, false and none."""
    value = request.query.get(name)
    return default if value is None else value.strip().lower() not in _FALSE


def number(request: web.Request, name: str) -> int | None:
    """A parameter that is a whole number; None where it is missing or empty.

    Raises InvalidArgument.
    """
    value = request.query.get(name, "").strip()
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        raise InvalidArgument(f"{name} must be a number, not {value[:40]!r}") from None


def text(request: web.Request, name: str, default: str = "") -> str:
    """A parameter; `default` where it is missing."""
    return str(request.query.get(name, default))


def moment(request: web.Request, name: str) -> int | None:
    """A moment in nanoseconds since 1970, given in seconds with or without a fraction, or as
    RFC 3339; None where it is missing or 0. Raises InvalidArgument.
    """
    value = request.query.get(name, "").strip()
    if not value or value == "0":
        return None
    whole, _, fraction = value.partition(".")
    digits = whole.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and (not fraction or fraction.isdecimal()):
        return int(whole) * 1_000_000_000 + int((fraction + "0" * 9)[:9])
    from proa.lean.clock import to_nanoseconds

    try:
        return to_nanoseconds(value)
    except (ValueError, IndexError):
        raise InvalidArgument(f"{name}: {value[:40]!r} is no time: seconds, or RFC 3339") from None


def filters(request: web.Request) -> dict[str, list[str]]:
    """The parameter `filters`: `{"label": ["a", "b"]}`, or of old `{"label": {"a": true}}`.

    Raises InvalidArgument.
    """
    given = request.query.get("filters", "").strip()
    if not given:
        return {}
    try:
        found = json.loads(given)
    except (ValueError, RecursionError):
        raise InvalidArgument("invalid filter: it must be a JSON object") from None
    if not isinstance(found, dict):
        raise InvalidArgument("invalid filter: it must be a JSON object")
    result: dict[str, list[str]] = {}
    for name, values in found.items():
        if isinstance(values, dict):
            chosen = [key for key, wanted in values.items() if wanted is True]
        elif isinstance(values, list) and all(isinstance(item, str) for item in values):
            chosen = values
        else:
            raise InvalidArgument(f"invalid filter {name[:40]!r}: it takes a list of strings")
        if chosen:
            result[name] = chosen
    return result


async def body(request: web.Request) -> dict[str, Any]:
    """The body, a JSON object; an empty one where there is none. Raises InvalidArgument."""
    try:
        data = await request.content.read(LARGEST_BODY + 1)
        while data and len(data) <= LARGEST_BODY:
            more = await request.content.read(LARGEST_BODY + 1)
            if not more:
                break
            data += more
    except web.RequestPayloadError as error:
        raise InvalidArgument(f"the body cannot be read: {error}") from None
    if len(data) > LARGEST_BODY:
        raise LimitExceeded(f"the body is larger than {LARGEST_BODY} bytes")
    if not data.strip():
        return {}
    kind = request.headers.get("Content-Type", "application/json").partition(";")[0].strip()
    if kind not in ("application/json", "text/plain", ""):
        raise InvalidArgument(
            f"unsupported Content-Type header ({kind[:40]}): must be 'application/json'"
        )
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"invalid JSON: {error}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidArgument("invalid JSON: the body must be an object")
    return found


class Fields:
    """The fields of a JSON object, each of the kind it must have; names in any case, as in Go."""

    def __init__(self, data: Mapping[str, Any], where: str = "") -> None:
        self._data = {str(name).lower(): value for name, value in data.items()}
        self._where = f"{where}." if where else ""

    def text(self, name: str) -> str:
        """A string; '' where it is missing or null. Raises InvalidArgument, as all of these."""
        value = self._data.get(name.lower())
        return self._checked(name, value, str, "") if value is not None else ""

    def flag(self, name: str) -> bool:
        """A bool; False where it is missing."""
        value = self._data.get(name.lower())
        return self._checked(name, value, bool, False) if value is not None else False

    def number(self, name: str) -> int | None:
        """A whole number; None where it is missing."""
        value = self._data.get(name.lower())
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self._refuse(name, "a number")
        return int(value)

    def texts(self, name: str) -> list[str] | None:
        """A list of strings; None where it is missing."""
        value = self._data.get(name.lower())
        if value is None:
            return None
        if isinstance(value, str):
            return [value]  # of old, a command could be given so
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._refuse(name, "a list of strings")
        return list(value)

    def pairs(self, name: str) -> dict[str, str]:
        """An object whose values are strings; {} where it is missing."""
        value = self._data.get(name.lower())
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            self._refuse(name, "an object of strings")
        return dict(value)

    def object(self, name: str) -> Fields:
        """An object; an empty one where it is missing."""
        return Fields(self.mapping(name), f"{self._where}{name}")

    def mapping(self, name: str) -> dict[str, Any]:
        """An object as it is; {} where it is missing."""
        value = self._data.get(name.lower())
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._refuse(name, "an object")
        return dict(value)

    def objects(self, name: str) -> list[dict[str, Any]]:
        """A list of objects; [] where it is missing."""
        value = self._data.get(name.lower())
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._refuse(name, "a list of objects")
        return list(value)

    def has(self, name: str) -> bool:
        """Whether it is there and not null."""
        return self._data.get(name.lower()) is not None

    def _checked(self, name: str, value: Any, kind: type, _default: Any) -> Any:
        if not isinstance(value, kind):
            self._refuse(name, {str: "a string", bool: "true or false"}[kind])
        return value

    def _refuse(self, name: str, wanted: str) -> None:
        raise InvalidArgument(f"invalid JSON: {self._where}{name} must be {wanted}")
