"""Reading JSON that somebody else wrote: sizes, types and depth are checked, nothing is trusted."""

from __future__ import annotations

from proa.errors import CorruptData, InvalidArgument, LimitExceeded
from proa.lean.json import loads
from proa.oci.digest import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

LARGEST_MANIFEST = 4 << 20
"""Bytes: what registries accept at least, and clients at most (distribution-spec, "Pushing
Manifests")."""
LARGEST_CONFIG = 8 << 20


def parse_object(data: bytes, what: str, limit: int = LARGEST_MANIFEST) -> dict[str, Any]:
    """The JSON object in `data`; `what` names it in errors: "manifest sha256:…".

    Raises LimitExceeded, CorruptData.
    """
    if len(data) > limit:
        raise LimitExceeded(f"{what} has {len(data)} bytes; at most {limit} are accepted")
    try:
        value = loads(data)
    except RecursionError:
        raise LimitExceeded(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise CorruptData(f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise CorruptData(f"{what} is not a JSON object")
    return value


class Fields:
    """The members of a JSON object, each checked for its type. null is as good as missing."""

    def __init__(self, data: Mapping[str, Any], what: str) -> None:
        self._data = data
        self._what = what

    def text(self, name: str, default: str | None = None) -> str:
        """A string; one that is missing is an error where there is no default."""
        return self._get(name, str, "a string", default)

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number, not negative."""
        value = self._get(name, int, "a number", default)
        if isinstance(value, bool) or value < 0 or value >> 63:
            raise self._wrong(name, "a number of bytes")
        return value

    def list(self, name: str) -> list[Any]:
        """An array; empty where it is missing."""
        return self._get(name, list, "an array", [])

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings; empty where it is missing."""
        values = self.list(name)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "an array of strings")
        return tuple(values)

    def objects(self, name: str) -> tuple[dict[str, Any], ...]:
        """An array of objects; empty where it is missing."""
        values = self.list(name)
        if not all(isinstance(value, dict) for value in values):
            raise self._wrong(name, "an array of objects")
        return tuple(values)

    def object(self, name: str) -> dict[str, Any]:
        """An object; empty where it is missing."""
        return self._get(name, dict, "an object", {})

    def strings(self, name: str) -> dict[str, str]:
        """An object whose values are strings; empty where it is missing."""
        value = self.object(name)
        if not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(name, "an object of strings")
        return value

    def digest(self, name: str) -> Digest:
        """A digest."""
        return self.as_digest(self.text(name), name)

    def as_digest(self, text: str, name: str) -> Digest:
        """`text`, found at `name`, as a digest."""
        try:
            return Digest(text)
        except InvalidArgument as error:
            raise CorruptData(f"{self._what}: {name!r}: {error}") from None

    def has(self, name: str) -> bool:
        """Whether it is there and not null."""
        return self._data.get(name) is not None

    def _get(self, name: str, kind: type[T], description: str, default: T | None) -> T:
        value = self._data.get(name)
        if value is None:
            if default is None:
                raise CorruptData(f"{self._what} has no {name!r}")
            return default
        if not isinstance(value, kind):
            raise self._wrong(name, description)
        return value

    def _wrong(self, name: str, description: str) -> CorruptData:
        return CorruptData(f"{self._what}: {name!r} is not {description}")
