"""One repository of a registry, to be written: blobs, manifests, deletions.

distribution-spec 1.1, "Push". What an upload has brought over is asked for where the connection
broke, and not sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urljoin, urlsplit

from proa.distribution.headers import received
from proa.errors import CorruptData, InvalidArgument, LimitExceeded, NotFound, TimedOut, Unavailable
from proa.oci.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3.response import BaseHTTPResponse as Response

    from proa.distribution.client import Client, Endpoint
    from proa.distribution.transport import Body, Transport
    from proa.oci.descriptor import Descriptor
    from proa.oci.reference import Reference

_WHOLE = 32 << 20
"""Bytes up to which a blob is sent in one piece: one request instead of two or more."""
_CHUNK = 64 << 20
_SMALLEST_CHUNK = 4 << 20
_LARGEST_CHUNK = 1 << 30


class Target:
    """A repository that can be written to. Used by any number of threads."""

    def __init__(self, client: Client, reference: Reference) -> None:
        """The one that `reference` is in; its tag and digest do not matter."""
        self.transport: Transport = client.transport
        self._endpoint: Endpoint = client.registry(reference.domain, reference.path)
        self.domain = reference.domain
        self.path = reference.path
        self.name = reference.familiar_name
        self._scopes = (f"repository:{reference.path}:pull,push",)

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there."""
        return self._is_there(f"/v2/{self.path}/blobs/{digest}", f"blob {digest}")

    def has_manifest(self, digest: Digest) -> bool:
        """Whether the manifest is there."""
        return self._is_there(f"/v2/{self.path}/manifests/{digest}", f"manifest {digest}")

    def mount(self, digest: Digest, source: str) -> str | None:
        """Have the blob taken over from the repository of the path `source`.

        None: it is here now. Otherwise the place of an upload that was begun instead.
        """
        query = urlencode({"mount": str(digest), "from": source})
        response = self._endpoint.call(
            "POST",
            f"/v2/{self.path}/blobs/uploads/?{query}",
            what=f"blob {digest}",
            scopes=(*self._scopes, f"repository:{source}:pull"),
            expect=(201, 202),
        )
        self.transport.finish(response)
        return None if response.status == 201 else self._location(response)

    def upload(
        self,
        descriptor: Descriptor,
        open: Callable[[int], Body],
        *,
        sent: Callable[[int], None] = lambda _: None,
        place: str | None = None,
    ) -> None:
        """Send a blob. `open` reads it from a byte on; `sent` is told how far it has got.

        `place`: of an upload that was begun. Raises Unavailable, TimedOut, Unauthorized,
        CorruptData (the other side finds another digest) …
        """
        chunk = _CHUNK
        is_whole = descriptor.size <= _WHOLE
        failed = 0
        while True:
            upload = _Upload(self, descriptor, open, sent)
            try:
                if place is None:
                    place, least = self._begin(descriptor.digest)
                    chunk = min(max(chunk, least), _LARGEST_CHUNK)
                if is_whole:
                    upload.send_whole(place)
                else:
                    upload.send_chunks(place, chunk)
                return
            except LimitExceeded:
                # not that much at a time: something before the registry bounds it
                if chunk <= _SMALLEST_CHUNK:
                    raise
                is_whole, chunk = False, max(min(chunk, descriptor.size) // 4, _SMALLEST_CHUNK)
            except (Unavailable, TimedOut, NotFound):
                failed += 1
                if failed >= self.transport.patience.attempts:
                    raise
                self.transport.pause(failed)
                # the last answer may be all that got lost
                if self.has(descriptor.digest):
                    return
            place = None

    def put_manifest(
        self,
        data: bytes,
        media_type: str,
        tag: str | None = None,
        *,
        algorithm: str = "sha256",
    ) -> Digest:
        """Store a manifest, all that it refers to being there, and let `tag` mean it; its digest.

        `algorithm`: of the digest that it is known by without a tag. Raises CorruptData where the
        other side understands something else.
        """
        digest = Digest.of(data, algorithm)
        response = self._endpoint.call(
            "PUT",
            f"/v2/{self.path}/manifests/{quote(tag or str(digest), safe=':')}",
            what=f"manifest {self.name}{':' + tag if tag else '@' + digest}",
            scopes=self._scopes,
            headers={"Content-Type": media_type},
            body=lambda: data,
            expect=(200, 201, 202),
        )
        self.transport.finish(response)
        told = response.headers.get("Docker-Content-Digest")
        if told and told != digest and told.startswith(f"{algorithm}:"):
            raise CorruptData(
                f"{self.domain} has stored manifest {digest} as {told[:100]}: it changes manifests"
            )
        return digest

    def delete_manifest(self, tag_or_digest: str) -> None:
        """Remove a manifest, or a tag. Raises ImageNotFound, Unsupported …"""
        response = self._endpoint.call(
            "DELETE",
            f"/v2/{self.path}/manifests/{quote(tag_or_digest, safe=':')}",
            what=f"manifest {self.name}:{tag_or_digest}",
            scopes=(f"repository:{self.path}:pull,push,delete",),
            expect=(200, 202),
        )
        self.transport.finish(response)

    def _is_there(self, path: str, what: str) -> bool:
        response = self._endpoint.call(
            "HEAD", path, what=what, scopes=self._scopes, expect=(200, 404)
        )
        self.transport.finish(response)
        return response.status == 200

    def _begin(self, digest: Digest) -> tuple[str, int]:
        """Begin an upload: its place, and the least bytes that a chunk of it must have."""
        response = self.call("POST", f"/v2/{self.path}/blobs/uploads/", digest, expect=(202,))
        least = response.headers.get("OCI-Chunk-Min-Length", "")
        return self._location(response), int(least) if least.isdecimal() else 0

    def call(
        self,
        method: str,
        target: str,
        digest: Digest,
        *,
        expect: tuple[int, ...],
        headers: dict[str, str] | None = None,
        body: Callable[[], Body | bytes] | None = None,
    ) -> Response:
        """A step of an upload. Trying again is the caller's affair: a part may have arrived."""
        response = self._endpoint.call(
            method,
            target,
            what=f"blob {digest}",
            scopes=self._scopes,
            headers=headers,
            body=body,
            expect=expect,
            again=body is None,
        )
        self.transport.finish(response)
        return response

    def _location(self, response: Response) -> str:
        return self.location(response, self._endpoint.url(f"/v2/{self.path}/blobs/uploads/"))

    def location(self, response: Response, base: str) -> str:
        """The absolute place that an answer names. Raises Unavailable where it names none."""
        location = response.headers.get("Location")
        if not location:
            raise Unavailable(f"{self.domain} begins an upload and does not say where")
        return urljoin(base, location)


class _Upload:
    """One attempt at a blob."""

    def __init__(
        self,
        target: Target,
        descriptor: Descriptor,
        open: Callable[[int], Body],
        sent: Callable[[int], None],
    ) -> None:
        self._target = target
        self._descriptor = descriptor
        self._open = open
        self._sent = sent

    def send_whole(self, place: str) -> None:
        self._put(place, self._descriptor.size)

    def send_chunks(self, place: str, size: int) -> None:
        total = self._descriptor.size
        offset = failed = 0
        while offset < total:
            end = min(offset + size, total)
            try:
                place, offset = self._patch(place, offset, end)
                failed = 0
            except (Unavailable, TimedOut):
                failed += 1
                transport = self._target.transport
                if failed >= transport.patience.attempts:
                    raise
                transport.pause(failed)
                place, offset = self._ask(place)
        self._put(place, 0)

    def _patch(self, place: str, offset: int, end: int) -> tuple[str, int]:
        response = self._target.call(
            "PATCH",
            place,
            self._descriptor.digest,
            expect=(202, 416),
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Length": str(end - offset),
                "Content-Range": f"{offset}-{end - 1}",
            },
            body=lambda: _Part(self._open(offset), end - offset, self._meter(offset)),
        )
        if response.status == 416:
            # it has more or less of it than we think
            return self._ask(place)
        following = self._target.location(response, place)
        arrived = received(response.headers.get("Range"))
        return following, end if arrived is None else self._checked(arrived)

    def _ask(self, place: str) -> tuple[str, int]:
        """Where to go on, and from which byte."""
        response = self._target.call("GET", place, self._descriptor.digest, expect=(204,))
        arrived = received(response.headers.get("Range"))
        if response.headers.get("Location"):
            place = self._target.location(response, place)
        return place, self._checked(arrived or 0)

    def _checked(self, arrived: int) -> int:
        if arrived > self._descriptor.size:
            raise Unavailable(f"blob {self._descriptor.digest}: more has arrived than was sent")
        return arrived

    def _put(self, place: str, size: int) -> None:
        separator = "&" if urlsplit(place).query else "?"
        self._target.call(
            "PUT",
            f"{place}{separator}{urlencode({'digest': str(self._descriptor.digest)})}",
            self._descriptor.digest,
            expect=(201, 204),
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            body=lambda: _Part(self._open(0), size, self._meter(0)) if size else b"",
        )

    def _meter(self, offset: int) -> Callable[[int], None]:
        transport = self._target.transport

        def count(size: int) -> None:
            transport.check()
            self._sent(offset + size)

        return count


class _Part:
    """So many bytes of a stream, counted as they go."""

    def __init__(self, stream: Body, size: int, count: Callable[[int], None]) -> None:
        self._stream = stream
        self._left = size
        self._done = 0
        self._count = count

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes."""
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        if not data and self._left:
            raise InvalidArgument("what is to be pushed is shorter than its descriptor tells")
        self._left -= len(data)
        self._done += len(data)
        self._count(self._done)
        return data
