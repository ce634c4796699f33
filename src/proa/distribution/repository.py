"""One repository of a registry, to be read: manifests, blobs, tags, referrers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from urllib3 import exceptions as failures

from proa.distribution.blob import BlobReader
from proa.distribution.headers import media_type, next_page
from proa.errors import (
    CorruptData,
    InvalidArgument,
    LimitExceeded,
    NotFound,
    ProaError,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from proa.lean.json import loads
from proa.lean.record import record
from proa.oci import media_types
from proa.oci.digest import Digest
from proa.oci.document import LARGEST_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TypeVar

    from urllib3.response import BaseHTTPResponse as Response

    from proa.distribution.client import Client, Endpoint
    from proa.oci.descriptor import Descriptor
    from proa.oci.reference import Reference

    T = TypeVar("T")

ACCEPT = ", ".join(
    (
        media_types.OCI_INDEX,
        media_types.OCI_MANIFEST,
        media_types.DOCKER_INDEX,
        media_types.DOCKER_MANIFEST,
        "*/*",
    )
)
_LARGEST_PAGE = 16 << 20
_MOST_TAGS = 1_000_000
_ELSEWHERE = (NotFound, Unavailable, TimedOut, Unauthorized, CorruptData)
"""What does not keep the next mirror from having it."""


@record
class Content:
    """A manifest or an index, as it came."""

    data: bytes
    media_type: str
    """as the registry calls it, or the document itself; may be empty"""
    digest: Digest


class Repository:
    """A repository as clients see it: of mirrors, the first one that has what is wanted."""

    def __init__(self, client: Client, reference: Reference) -> None:
        """The one that `reference` is in; its tag and digest do not matter."""
        self._client = client
        self.domain = reference.domain
        self.path = reference.path
        self.name = reference.familiar_name
        self.pull_scope = f"repository:{reference.path}:pull"

    def get(self, tag_or_digest: str) -> Content:
        """A manifest, verified. Raises ImageNotFound, CorruptData, LimitExceeded, Unauthorized …"""
        return self._anywhere(lambda endpoint: self._get(endpoint, tag_or_digest))

    def resolve(self, tag_or_digest: str) -> Digest | None:
        """The digest of a manifest, without reading it; None where the registry does not tell.

        Raises as `get`.
        """

        def ask(endpoint: Endpoint) -> Digest | None:
            response = endpoint.call(
                "HEAD",
                self._manifest(tag_or_digest),
                what=self._what(tag_or_digest),
                scopes=(self.pull_scope,),
                headers={"Accept": ACCEPT},
            )
            self._client.transport.finish(response)
            return _digest(response.headers.get("Docker-Content-Digest"))

        return self._anywhere(ask)

    def read(self, descriptor: Descriptor, limit: int) -> bytes:
        """All of a small blob, verified. Raises LimitExceeded, CorruptData, NotFound …"""
        if descriptor.size > limit:
            raise LimitExceeded(
                f"blob {descriptor.digest} has {descriptor.size} bytes; at most {limit} are"
                " accepted"
            )
        parts = []
        reader = self.open(descriptor)
        while data := reader.read(1 << 20):
            parts.append(data)
        content = b"".join(parts)
        if Digest.of(content, descriptor.digest.algorithm) != descriptor.digest:
            raise CorruptData(
                f"blob {descriptor.digest} of {self.name} has another digest: it was damaged or"
                " replaced"
            )
        return content

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """Read a blob from a byte on; nothing is asked before the first read."""
        return BlobReader(
            self._client.transport,
            lambda position: self._request(descriptor, position),
            descriptor,
            offset,
        )

    def has(self, digest: Digest) -> bool:
        """Whether the registry itself has the blob in this repository."""
        endpoint = self._client.registry(self.domain, self.path)
        response = endpoint.call(
            "HEAD",
            f"/v2/{self.path}/blobs/{digest}",
            what=f"blob {digest}",
            scopes=(self.pull_scope,),
            expect=(200, 404),
        )
        self._client.transport.finish(response)
        return response.status == 200

    def tags(self) -> Iterator[str]:
        """All tags, as the registry orders them. Raises ImageNotFound, Unauthorized …"""
        endpoint = self._client.registry(self.domain, self.path)
        pages = self._client_pages(endpoint, f"/v2/{self.path}/tags/list", (self.pull_scope,))
        for document in pages:
            for tag in document.get("tags") or ():
                if isinstance(tag, str):
                    yield tag

    def referrers(self, digest: Digest) -> Content:
        """The index of what refers to a manifest (distribution-spec, "Listing Referrers").

        Of a registry that has no such list, the tag that stands for one; an empty index where
        there is none either.
        """
        endpoint = self._client.registry(self.domain, self.path)
        response = endpoint.call(
            "GET",
            f"/v2/{self.path}/referrers/{digest}",
            what=f"referrers of {digest}",
            scopes=(self.pull_scope,),
            headers={"Accept": media_types.OCI_INDEX},
            expect=(200, 404, 405),
        )
        if response.status == 200:
            data = self._body(response, LARGEST_MANIFEST, "referrers")
            return Content(data, media_types.OCI_INDEX, Digest.of(data))
        self._client.transport.finish(response)
        try:
            return self._get(endpoint, f"{digest.algorithm}-{digest.hex[:64]}")
        except NotFound:
            data = b'{"schemaVersion":2,"mediaType":"%s","manifests":[]}' % (
                media_types.OCI_INDEX.encode()
            )
            return Content(data, media_types.OCI_INDEX, Digest.of(data))

    def _anywhere(self, ask: Callable[[Endpoint], T]) -> T:
        endpoints = self._client.endpoints(self.domain, self.path)
        for endpoint in endpoints[:-1]:
            try:
                return ask(endpoint)
            except _ELSEWHERE:
                continue
        return ask(endpoints[-1])

    def _get(self, endpoint: Endpoint, tag_or_digest: str) -> Content:
        what = self._what(tag_or_digest)
        response = endpoint.call(
            "GET",
            self._manifest(tag_or_digest),
            what=what,
            scopes=(self.pull_scope,),
            headers={"Accept": ACCEPT},
        )
        told = _digest(response.headers.get("Docker-Content-Digest"))
        kind = media_type(response.headers.get("Content-Type"))
        data = self._body(response, LARGEST_MANIFEST, what)
        wanted = Digest(tag_or_digest) if ":" in tag_or_digest else told
        digest = Digest.of(data, wanted.algorithm if wanted else "sha256")
        if wanted is not None and digest != wanted:
            raise CorruptData(
                f"{what} has the digest {digest}, not {wanted}: it was damaged or replaced"
            )
        return Content(data, kind, digest)

    def _request(self, descriptor: Descriptor, position: int) -> Response:
        headers = {"Range": f"bytes={position}-"} if position else {}

        def ask(endpoint: Endpoint) -> Response:
            return endpoint.call(
                "GET",
                f"/v2/{self.path}/blobs/{descriptor.digest}",
                what=f"blob {descriptor.digest} of {self.name}",
                scopes=(self.pull_scope,),
                headers=headers,
                expect=(200, 206),
            )

        try:
            return self._anywhere(ask)
        except NotFound:
            # layers that may not be distributed are where their descriptors say
            for url in descriptor.urls:
                if urlsplit(url).scheme not in ("http", "https"):
                    continue
                response = self._client.transport.follow("GET", url, headers)
                if response.status in (200, 206):
                    return response
                self._client.transport.drop(response)
            raise

    def _body(self, response: Response, limit: int, what: str) -> bytes:
        return read_body(self._client, response, limit, what)

    def _client_pages(
        self, endpoint: Endpoint, path: str, scopes: tuple[str, ...]
    ) -> Iterator[Mapping[str, Any]]:
        return pages(self._client, endpoint, path, scopes, f"repository {self.name}")

    def _manifest(self, tag_or_digest: str) -> str:
        return f"/v2/{self.path}/manifests/{quote(tag_or_digest, safe=':')}"

    def _what(self, tag_or_digest: str) -> str:
        separator = "@" if ":" in tag_or_digest else ":"
        return f"manifest for {self.name}{separator}{tag_or_digest}"


def read_body(client: Client, response: Response, limit: int, what: str) -> bytes:
    """All of an answer. Raises LimitExceeded, Unavailable."""
    try:
        data = response.read(limit + 1)
        while 0 < len(data) <= limit and (more := response.read(limit + 1 - len(data))):
            data += more
    except (failures.HTTPError, OSError):
        client.transport.drop(response)
        raise Unavailable(f"{what}: the connection broke off; try again") from None
    except ProaError:
        client.transport.drop(response)
        raise
    if len(data) > limit:
        client.transport.drop(response)
        raise LimitExceeded(f"{what} has more than {limit} bytes, which is the limit")
    client.transport.finish(response)
    return data


def pages(
    client: Client, endpoint: Endpoint, path: str, scopes: tuple[str, ...], what: str
) -> Iterator[Mapping[str, Any]]:
    """The documents of a list that comes in pages. Raises CorruptData, LimitExceeded …"""
    target: str | None = path
    seen: set[str] = set()
    while target is not None:
        if target in seen or len(seen) > _MOST_TAGS:
            raise CorruptData(f"{what}: its pages lead in a circle")
        seen.add(target)
        response = endpoint.call("GET", target, what=what, scopes=scopes)
        link = next_page(response.headers.get("Link"))
        try:
            document = loads(read_body(client, response, _LARGEST_PAGE, what))
            if not isinstance(document, dict):
                raise ValueError
        except (ValueError, RecursionError):
            raise CorruptData(f"{what}: {endpoint.domain} does not answer with a list") from None
        yield document
        if link is None:
            return
        here = endpoint.url(path)
        following = urljoin(here, link)
        if urlsplit(following).netloc != urlsplit(here).netloc:
            raise CorruptData(f"{what}: the next page is said to be on another server")
        target = following


def _digest(text: str | None) -> Digest | None:
    try:
        return Digest(text) if text else None
    except InvalidArgument:
        return None
