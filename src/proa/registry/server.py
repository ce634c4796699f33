"""HTTP: the API of distribution-spec 1.1, on aiohttp.

What reads a row or a small file is done at once; what waits for the disk, in a thread.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from aiohttp import web

from proa.errors import CorruptData, LimitExceeded, NoSpace, NotFound, ProaError
from proa.lean.json import dumps
from proa.oci import media_types
from proa.oci.document import LARGEST_MANIFEST
from proa.registry import manifests, names
from proa.registry.refusals import Refused, bad_digest, unknown_manifest
from proa.registry.repositories import Repositories
from proa.registry.uploads import Uploads, commit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeVar

    from proa.oci.digest import Digest
    from proa.registry.names import Route
    from proa.registry.uploads import Upload
    from proa.store.store import Store

    T = TypeVar("T")
    Handler = Callable[[web.Request, Route], Awaitable[web.StreamResponse]]

_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
_BUFFER = 1 << 20
_MOST_CACHED = 64 << 20
_MOST_LISTED = 10_000
_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/.*)?")


class Registry:
    """The registry on a store, as an application of aiohttp."""

    def __init__(self, store: Store, *, sparse: bool = False) -> None:
        """`sparse`: take manifests whose blobs are not there."""
        self._store = store
        self._repositories = Repositories(store, sparse=sparse)
        self._uploads = Uploads(store)
        self._cache: OrderedDict[Digest, bytes] = OrderedDict()
        self._cached = 0
        self._handlers: dict[tuple[str, str], Handler] = {
            ("manifest", "GET"): self._get_manifest,
            ("manifest", "HEAD"): self._get_manifest,
            ("manifest", "PUT"): self._put_manifest,
            ("manifest", "DELETE"): self._delete_manifest,
            ("blob", "GET"): self._get_blob,
            ("blob", "HEAD"): self._get_blob,
            ("blob", "DELETE"): self._delete_blob,
            ("uploads", "POST"): self._begin_upload,
            ("upload", "GET"): self._get_upload,
            ("upload", "PATCH"): self._patch_upload,
            ("upload", "PUT"): self._put_upload,
            ("upload", "DELETE"): self._delete_upload,
            ("tags", "GET"): self._get_tags,
            ("referrers", "GET"): self._get_referrers,
        }

    def application(self) -> web.Application:
        """What aiohttp serves."""
        application = web.Application(client_max_size=LARGEST_MANIFEST + 1)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except Refused as refused:
            return self._refuse(request, refused)
        except NoSpace as error:
            return self._refuse(request, Refused(507, "DENIED", str(error)))
        except (CorruptData, LimitExceeded, NotFound) as error:
            # what is here and cannot be read is not the client's fault
            return self._refuse(request, Refused(500, "UNKNOWN", str(error)))
        except ProaError as error:
            return self._refuse(request, Refused(503, "UNAVAILABLE", str(error)))

    def _refuse(self, request: web.Request, refused: Refused) -> web.Response:
        headers = {**_VERSION, **refused.headers}
        body = b"" if request.method == "HEAD" else refused.body()
        response = web.Response(
            status=refused.status, body=body, content_type="application/json", headers=headers
        )
        if request.body_exists and not request.content.is_eof():
            # what is still on its way would be taken for the next request
            response.force_close()
        return response

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        # as it was sent: what is escaped can be no part of a name
        path = request.raw_path.partition("?")[0]
        if not path.startswith("/v2"):
            raise Refused(404, "UNSUPPORTED", "this is a registry: its API is at /v2/")
        rest = path[3:].lstrip("/") if path != "/v2" else ""
        if not rest:
            if request.method not in ("GET", "HEAD"):
                raise Refused(405, "UNSUPPORTED", f"{request.method} is not for /v2/")
            return self._json(b"{}")
        if rest == "_catalog" and request.method == "GET":
            return self._page(request, "repositories", self._repositories.catalog(), {})
        found = names.route(rest)
        if found is None:
            raise Refused(404, "UNSUPPORTED", "this is no place of the API")
        handler = self._handlers.get((found.kind, request.method))
        if handler is None:
            raise Refused(405, "UNSUPPORTED", f"{request.method} is not for this place")
        return await handler(request, found)

    # manifests

    async def _get_manifest(self, request: web.Request, place: Route) -> web.StreamResponse:
        reference = _reference(place)
        found = self._repositories.manifest(place.name, reference)
        data = self._manifest_data(found.digest)
        headers = {
            **_VERSION,
            "Docker-Content-Digest": str(found.digest),
            "ETag": f'"{found.digest}"',
            "Content-Type": found.media_type,
        }
        if str(found.digest) in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=data, headers=headers)

    def _manifest_data(self, digest: Digest) -> bytes:
        data = self._cache.get(digest)
        if data is None:
            data = self._store.blobs.read(digest, LARGEST_MANIFEST)
            self._cache[digest] = data
            self._cached += len(data)
            while self._cached > _MOST_CACHED:
                self._cached -= len(self._cache.popitem(last=False)[1])
        else:
            self._cache.move_to_end(digest)
        return data

    async def _put_manifest(self, request: web.Request, place: Route) -> web.StreamResponse:
        if (request.content_length or 0) > LARGEST_MANIFEST:
            raise Refused(
                413, "SIZE_INVALID", f"the manifest is larger than {LARGEST_MANIFEST} bytes"
            )
        try:
            data = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refused(
                413, "SIZE_INVALID", f"the manifest is larger than {LARGEST_MANIFEST} bytes"
            ) from None
        wanted = names.digest(place.rest) if ":" in place.rest else None
        tags = [] if wanted is not None else [_tag(place.rest)]
        extra = [_tag(tag) for tag in request.query.getall("tag", [])]
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        pushed = manifests.check(data, kind, wanted)
        await _in_thread(self._repositories.put, place.name, pushed, [*tags, *extra])
        response = web.Response(
            status=201,
            headers={
                **_VERSION,
                "Location": f"/v2/{place.name}/manifests/{pushed.digest}",
                "Docker-Content-Digest": str(pushed.digest),
            },
        )
        if pushed.subject is not None:
            response.headers["OCI-Subject"] = pushed.subject
        for tag in extra:
            response.headers.add("OCI-Tag", tag)
        return response

    async def _delete_manifest(self, _request: web.Request, place: Route) -> web.StreamResponse:
        if ":" in place.rest:
            digest = names.digest(place.rest)
            await _in_thread(self._repositories.delete_manifest, place.name, digest)
        else:
            await _in_thread(self._repositories.delete_tag, place.name, _reference(place))
        return web.Response(status=202, headers=_VERSION)

    # blobs

    async def _get_blob(self, request: web.Request, place: Route) -> web.StreamResponse:
        digest = names.digest(place.rest)
        path = self._repositories.check_blob(place.name, digest)
        headers = {
            **_VERSION,
            "Docker-Content-Digest": str(digest),
            "Content-Type": "application/octet-stream",
            "Cache-Control": "max-age=31536000, immutable",
        }
        del request
        return web.FileResponse(path, chunk_size=1 << 18, headers=headers)

    async def _delete_blob(self, _request: web.Request, place: Route) -> web.StreamResponse:
        digest = names.digest(place.rest)
        await _in_thread(self._repositories.unlink, place.name, digest)
        return web.Response(status=202, headers=_VERSION)

    # uploads

    async def _begin_upload(self, request: web.Request, place: Route) -> web.StreamResponse:
        query = request.query
        if "mount" in query:
            digest = names.digest(query["mount"])
            if await _in_thread(self._mount, place.name, digest, query.get("from")):
                return self._created(place.name, digest)
        id = await _in_thread(self._uploads.begin, place.name)
        if "digest" in query and "mount" not in query:
            digest = names.digest(query["digest"])
            return await self._finish(request, place.name, id, digest)
        if "digest-algorithm" in query and query["digest-algorithm"] not in ("sha256", "sha512"):
            raise bad_digest(query["digest-algorithm"], "this registry has sha256 and sha512")
        return self._accepted(place.name, id, 0)

    def _mount(self, name: str, digest: Digest, source: str | None) -> bool:
        """Take a blob over from another repository, or from any one that has it."""
        if source is not None:
            try:
                known = self._repositories.has_blob(names.check_name(source), digest)
            except Refused:
                known = False
        else:
            known = self._repositories.is_anywhere(digest)
        return known and self._repositories.link(name, digest)

    async def _get_upload(self, _request: web.Request, place: Route) -> web.StreamResponse:
        size = self._uploads.size(place.name, place.rest)
        return self._accepted(place.name, place.rest, size, 204)

    async def _delete_upload(self, _request: web.Request, place: Route) -> web.StreamResponse:
        await _in_thread(self._uploads.cancel, place.name, place.rest)
        return web.Response(status=204, headers=_VERSION)

    async def _patch_upload(self, request: web.Request, place: Route) -> web.StreamResponse:
        upload = await _in_thread(self._uploads.open(place.name, place.rest).__enter__)
        try:
            self._check_range(request, place, upload)
            await _receive(request, upload)
            size = upload.size
        finally:
            await _in_thread(upload.__exit__, None, None, None)
        return self._accepted(place.name, place.rest, size)

    async def _put_upload(self, request: web.Request, place: Route) -> web.StreamResponse:
        self._uploads.size(place.name, place.rest)
        if "digest" not in request.query:
            raise bad_digest("", "the request names none")
        digest = names.digest(request.query["digest"])
        return await self._finish(request, place.name, place.rest, digest)

    async def _finish(
        self, request: web.Request, name: str, id: str, digest: Digest
    ) -> web.StreamResponse:
        upload = await _in_thread(self._uploads.open(name, id).__enter__)
        try:
            self._check_range(request, names.Route("upload", name, id), upload)
            await _receive(request, upload)
            await _in_thread(commit, self._store, upload, digest, name)
        finally:
            await _in_thread(upload.__exit__, None, None, None)
        return self._created(name, digest)

    def _check_range(self, request: web.Request, place: Route, upload: Upload) -> None:
        """Refuse a piece that does not follow what has arrived."""
        text = request.headers.get("Content-Range")
        if text is None:
            return
        found = _RANGE.fullmatch(text.strip())
        length = request.content_length
        fits = found is not None and (
            int(found[1]) == upload.size
            and int(found[2]) >= int(found[1]) - 1
            and (length is None or int(found[2]) - int(found[1]) + 1 == length)
        )
        if not fits:
            raise Refused(
                416,
                "BLOB_UPLOAD_INVALID",
                f"the piece {text[:60]!r} does not follow the {upload.size} bytes that arrived",
                self._session(place.name, place.rest, upload.size),
            )

    def _session(self, name: str, id: str, size: int) -> dict[str, str]:
        return {
            "Location": f"/v2/{name}/blobs/uploads/{id}",
            "Range": f"0-{max(size - 1, 0)}",
            "Docker-Upload-UUID": id,
        }

    def _accepted(self, name: str, id: str, size: int, status: int = 202) -> web.Response:
        return web.Response(status=status, headers={**_VERSION, **self._session(name, id, size)})

    def _created(self, name: str, digest: Digest) -> web.Response:
        headers = {
            **_VERSION,
            "Location": f"/v2/{name}/blobs/{digest}",
            "Docker-Content-Digest": str(digest),
        }
        return web.Response(status=201, headers=headers)

    # lists

    async def _get_tags(self, request: web.Request, place: Route) -> web.StreamResponse:
        tags = self._repositories.tags(place.name)
        return self._page(request, "tags", tags, {"name": place.name})

    async def _get_referrers(self, request: web.Request, place: Route) -> web.StreamResponse:
        found = self._repositories.referrers(place.name, names.digest(place.rest))
        headers = {}
        wanted = request.query.get("artifactType")
        if wanted:
            found = [entry for entry in found if entry.get("artifactType") == wanted]
            headers["OCI-Filters-Applied"] = "artifactType"
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": found}
        return self._json(dumps(document).encode(), headers, media_types.OCI_INDEX)

    def _page(
        self, request: web.Request, key: str, items: Sequence[str], more: dict[str, object]
    ) -> web.Response:
        """A part of a sorted list: `n` items behind `last`."""
        count = request.query.get("n")
        if count is not None and not (count.isascii() and count.isdecimal() and len(count) < 10):
            raise Refused(400, "PAGINATION_NUMBER_INVALID", f"{count[:20]!r} is not a number")
        last = request.query.get("last", "")
        rest = [item for item in items if item > last]
        limit = _MOST_LISTED if count is None else min(int(count), _MOST_LISTED)
        shown = rest[:limit]
        headers = {}
        if len(rest) > limit and shown:
            query = urlencode({"last": shown[-1], "n": limit})
            headers["Link"] = f'<{quote(request.path)}?{query}>; rel="next"'
        return self._json(dumps({**more, key: shown}).encode(), headers)

    def _json(
        self, data: bytes, headers: dict[str, str] | None = None, kind: str = "application/json"
    ) -> web.Response:
        return web.Response(body=data, content_type=kind, headers={**_VERSION, **(headers or {})})


async def _receive(request: web.Request, upload: Upload) -> None:
    """Write a request's body, in large pieces: each is a wait for a thread."""
    if not request.body_exists:
        return
    buffer = bytearray()
    try:
        async for data in request.content.iter_any():
            buffer += data
            if len(buffer) >= _BUFFER:
                await _in_thread(upload.write, buffer)
                buffer = bytearray()
    finally:
        # what has arrived before the connection broke need not be sent again
        if buffer:
            await _in_thread(upload.write, buffer)


async def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, lambda: function(*arguments))


def _reference(place: Route) -> str:
    """The tag or digest of a place. Raises Refused."""
    if ":" in place.rest:
        return names.digest(place.rest)
    if not names.is_tag(place.rest):
        raise unknown_manifest(place.name, place.rest[:200])
    return place.rest


def _tag(text: str) -> str:
    if not names.is_tag(text):
        raise Refused(400, "MANIFEST_INVALID", f"{text[:200]!r} is not a tag")
    return text
