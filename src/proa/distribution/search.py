"""Searching registries: by the search of version 1, which Docker's has, or in their catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from proa.distribution.answers import printable
from proa.distribution.credentials import HUB
from proa.distribution.repository import pages, read_body
from proa.errors import (
    CorruptData,
    InvalidArgument,
    NotFound,
    ProaError,
    Unauthorized,
    Unsupported,
)
from proa.lean.json import loads
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proa.distribution.client import Client

_HUB_SEARCH = "https://index.docker.io"
_LARGEST = 8 << 20
MOST = 100
"""Results that the search of Docker's registry gives at most."""


@record
class Found:
    """A repository that was found."""

    name: str
    description: str = ""
    stars: int = 0
    is_official: bool = False
    is_automated: bool = False


def search(client: Client, term: str, limit: int = 25) -> list[Found]:
    """The repositories that fit `term`: `nginx`, or `host:5000/nginx` in another registry.

    Raises InvalidArgument, Unsupported (this registry cannot be searched), Unauthorized …
    """
    if not 1 <= limit <= MOST:
        raise InvalidArgument(f"limit {limit} is outside the range of [1, {MOST}]")
    first, slash, rest = term.partition("/")
    domain, words = HUB, term
    if slash and ("." in first or ":" in first or first == "localhost"):
        domain, words = (HUB if first in ("docker.io", "index.docker.io") else first), rest
    if not words.strip():
        raise InvalidArgument("nothing to search for: give a part of a name")
    try:
        return _search(client, domain, words, limit)
    except (NotFound, Unsupported, InvalidArgument, CorruptData) as error:
        if domain == HUB:
            raise
        return _in_catalog(client, domain, words, limit, error)


def _search(client: Client, domain: str, words: str, limit: int) -> list[Found]:
    endpoint = client.registry(domain)
    path = f"/v1/search?{urlencode({'q': words, 'n': limit})}"
    target = f"{_HUB_SEARCH}{path}" if domain == HUB else path
    response = endpoint.call("GET", target, what=f"search in {domain}")
    try:
        document = loads(read_body(client, response, _LARGEST, f"search in {domain}"))
        results = document["results"]
        found = [item for item in results if isinstance(item, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CorruptData(f"search in {domain}: the answer is not a list of results") from None
    return [
        Found(
            printable(item.get("name")),
            printable(item.get("description")),
            item["star_count"] if isinstance(item.get("star_count"), int) else 0,
            bool(item.get("is_official")),
            bool(item.get("is_automated")),
        )
        for item in found[:limit]
    ]


def _in_catalog(
    client: Client, domain: str, words: str, limit: int, reason: ProaError
) -> list[Found]:
    found = []
    try:
        for name in catalog(client, domain):
            if words.lower() in name.lower():
                found.append(Found(printable(name)))
                if len(found) == limit:
                    break
    except (NotFound, Unsupported, InvalidArgument, Unauthorized) as error:
        if isinstance(error, Unauthorized):
            raise
        raise Unsupported(
            f"{domain} cannot be searched: it has neither a search nor a catalog ({reason})"
        ) from None
    return found


def catalog(client: Client, domain: str) -> Iterator[str]:
    """The repositories of a registry, as it lists them (distribution's API, "Listing")."""
    endpoint = client.registry(domain)
    scopes = ("registry:catalog:*",)
    for document in pages(client, endpoint, "/v2/_catalog", scopes, f"catalog of {domain}"):
        for name in document.get("repositories") or ():
            if isinstance(name, str):
                yield name
