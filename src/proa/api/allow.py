"""Which requests a socket serves: rules such as `GET /containers/**`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "*")
_READING = ("GET", "HEAD")
_WRITING_GETS = re.compile(r"/containers/[^/]+/attach/ws")
"""GET, and yet something can be changed by it."""
_ALWAYS = ("/_ping", "/version")
"""Clients ask these before anything else; they tell nothing of containers."""


def rules(allowed: Sequence[str], *, read_only: bool) -> Callable[[str, str], bool]:
    """Whether a request of a method, for a path without its version, is served.

    `allowed`: METHOD PATH; in a path `*` stands for one part of it or less, `**` for any; none:
    everything. `read_only`: of these only what changes nothing. Raises InvalidArgument.
    """
    parsed = [_parse(rule) for rule in allowed]

    def allows(method: str, path: str) -> bool:
        if read_only and (method not in _READING or _WRITING_GETS.fullmatch(path)):
            return False
        if not parsed or (path in _ALWAYS and method in _READING):
            return True
        return any(
            (wanted in ("*", method) or (wanted == "GET" and method == "HEAD"))
            and pattern.fullmatch(path) is not None
            for wanted, pattern in parsed
        )

    return allows


def _parse(rule: str) -> tuple[str, re.Pattern[str]]:
    method, _, path = rule.strip().partition(" ")
    path = path.strip()
    if method.upper() not in _METHODS or not path.startswith("/"):
        raise InvalidArgument(f"{rule!r} is no rule: say METHOD PATH, such as 'GET /containers/**'")
    parts = re.split(r"(\*\*|\*)", path)
    pattern = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
    return method.upper(), re.compile(pattern)
