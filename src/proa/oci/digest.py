"""Digests: the names of content (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

from proa.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


def is_hex(text: str) -> bool:
    """Whether `text` is nothing but lower-case hexadecimal digits, and at least one."""
    return bool(text) and _HEX.issuperset(text)


class Digest(str):
    """`algorithm:hex`, verified: sha256 or sha512, lower-case hexadecimal.

    It is a string, so that it can be a key, a column of a table, or a part of JSON as it is.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Verify `text`. Raises InvalidArgument."""
        algorithm, colon, digits = text.partition(":")
        if not colon or _LENGTHS.get(algorithm) != len(digits) or not _HEX.issuperset(digits):
            raise InvalidArgument(
                f"not a digest: {text[:160]!r}; expected sha256:<64 hexadecimal digits>"
                " or sha512:<128>"
            )
        return str.__new__(cls, text)

    @classmethod
    def trusted(cls, text: str) -> Self:
        """A digest that was verified before: what comes out of our own database."""
        return str.__new__(cls, text)

    @classmethod
    def of(cls, data: bytes | memoryview, algorithm: str = "sha256") -> Self:
        """The digest of `data`."""
        import hashlib

        return str.__new__(cls, f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hexadecimal digits alone."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first 12 hexadecimal digits, as Docker shows ids."""
        return self.hex[:12]
