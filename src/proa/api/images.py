"""Routes of images."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import TYPE_CHECKING

from aiohttp import web

from proa.api import parameters
from proa.api.answers import answer, in_thread, nothing, stream_json
from proa.api.streams import Body
from proa.errors import InvalidArgument, Unavailable
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proa.api.service import Route, Service
    from proa.engine.images import Image

_TAR = "application/x-tar"


class Images:
    """Handlers of images."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._engine = service.engine

    def routes(self) -> list[Route]:
        """Method, path and handler of each."""
        one = "/images/{name:.+}"
        return [
            ("GET", "/images/json", self._list),
            ("GET", "/images/search", self._search),
            ("GET", "/images/get", self._save),
            ("POST", "/images/create", self._create),
            ("POST", "/images/load", self._load),
            ("POST", "/images/prune", self._prune),
            ("POST", "/commit", self._commit),
            ("GET", f"{one}/json", self._inspect),
            ("GET", f"{one}/history", self._history),
            ("GET", f"{one}/get", self._save),
            ("POST", f"{one}/push", self._push),
            ("POST", f"{one}/tag", self._tag),
            ("DELETE", one, self._delete),
        ]

    async def _image(self, request: web.Request) -> Image:
        return await in_thread(self._engine.images.get, request.match_info["name"])

    async def _list(self, request: web.Request) -> web.StreamResponse:
        wanted = parameters.filters(request)
        # of old
        name = parameters.text(request, "filter") or None
        found = await in_thread(
            lambda: [
                image.summary for image in self._engine.images.list(name, filters=wanted or None)
            ]
        )
        return answer(found)

    async def _inspect(self, request: web.Request) -> web.StreamResponse:
        image = await self._image(request)
        return answer(await in_thread(lambda: image.attrs))

    async def _history(self, request: web.Request) -> web.StreamResponse:
        image = await self._image(request)
        return answer(await in_thread(image.history))

    async def _search(self, request: web.Request) -> web.StreamResponse:
        limit = parameters.number(request, "limit") or 25
        return answer(
            await in_thread(self._engine.images.search, parameters.text(request, "term"), limit)
        )

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if parameters.text(request, "fromSrc"):
            return await self._import(request)
        name = parameters.text(request, "fromImage")
        if not name:
            raise InvalidArgument("fromImage or fromSrc must be given: what to pull or import")
        tag = parameters.text(request, "tag")
        reference = Reference.parse(name)
        everything = not tag and not reference.tag and reference.digest is None
        platform = parameters.text(request, "platform") or None
        auth = credentials(request)

        def work(tell: Callable[[Any], None]) -> None:
            tell({"status": f"Pulling from {reference.familiar_name}", "id": tag or "latest"})
            found = self._engine.images.pull_each(
                name,
                # without a tag all are meant: Docker's client always sends one
                tag or None,
                all_tags=everything,
                platform=platform,
                auth_config=auth,
                progress=lambda item: tell(item.to_json()),
            )
            for item in found:
                tell({"status": f"Digest: {item.digest}"})
                state = "Downloaded newer image" if item.is_newer else "Image is up to date"
                tell({"status": f"Status: {state} for {item.reference}"})

        return await stream_json(request, _after_check(work))

    async def _import(self, request: web.Request) -> web.StreamResponse:
        source = parameters.text(request, "fromSrc")
        if source != "-":
            raise InvalidArgument("fromSrc must be -: send the archive as the request's body")
        repository, tag = parameters.text(request, "repo"), parameters.text(request, "tag")
        name = f"{repository}:{tag}" if repository and tag else repository or None
        changes = request.query.getall("changes", [])
        message = parameters.text(request, "message")
        platform = parameters.text(request, "platform") or None
        body = Body(request)

        def work(tell: Callable[[Any], None]) -> None:
            image = self._engine.images.import_(
                body, name, changes=changes, message=message, platform=platform
            )
            tell({"status": str(image.id)})

        return await stream_json(request, work)

    async def _push(self, request: web.Request) -> web.StreamResponse:
        name, tag = request.match_info["name"], parameters.text(request, "tag")
        auth = credentials(request)

        def work(tell: Callable[[Any], None]) -> None:
            repository = Reference.parse(name).familiar_name
            tell({"status": f"The push refers to repository [{Reference.parse(name).repository}]"})
            found = self._engine.images.push_each(
                repository if tag else name,
                tag or None,
                all_tags=not tag and not Reference.parse(name).tag,
                auth_config=auth,
                progress=lambda item: tell(item.to_json()),
            )
            for item in found:
                label = item.reference.rpartition(":")[2]
                tell({"status": f"{label}: digest: {item.digest} size: {item.size}"})
                facts = {"Tag": label, "Digest": item.digest, "Size": item.size}
                tell({"progressDetail": {}, "aux": facts})

        return await stream_json(request, work)

    async def _tag(self, request: web.Request) -> web.StreamResponse:
        repository, tag = parameters.text(request, "repo"), parameters.text(request, "tag")
        if not repository:
            raise InvalidArgument("repo must be given: the new name")
        name = f"{repository}:{tag}" if tag else repository
        await in_thread(self._engine.images.tag, request.match_info["name"], name)
        return nothing(201)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        done = await in_thread(
            self._engine.images.remove,
            request.match_info["name"],
            force=parameters.flag(request, "force"),
            no_prune=parameters.flag(request, "noprune"),
        )
        return answer(done)

    async def _prune(self, request: web.Request) -> web.StreamResponse:
        wanted = parameters.filters(request)
        dangling = wanted.pop("dangling", ["true"])
        everything = dangling[0].lower() in ("false", "0")
        return answer(await in_thread(self._engine.images.prune, wanted, all=everything))

    async def _commit(self, request: web.Request) -> web.StreamResponse:
        container = await in_thread(
            self._engine.containers.get, parameters.text(request, "container")
        )
        conf = await parameters.body(request)
        image = await in_thread(
            container.commit,
            parameters.text(request, "repo") or None,
            parameters.text(request, "tag") or None,
            message=parameters.text(request, "comment"),
            author=parameters.text(request, "author"),
            changes=request.query.getall("changes", []),
            conf={name: value for name, value in conf.items() if name in _SETTINGS and value},
            pause=parameters.flag(request, "pause", True),
        )
        return answer({"Id": str(image.id)}, 201)

    # -- archives

    async def _load(self, request: web.Request) -> web.StreamResponse:
        body = io.BufferedReader(Body(request), 1 << 17)
        platform = parameters.text(request, "platform") or None

        def work(tell: Callable[[Any], None]) -> None:
            for image in self._engine.images.load(body, platform=platform):
                for name in image.tags:
                    tell({"stream": f"Loaded image: {name}\n"})
                if not image.tags:
                    tell({"stream": f"Loaded image ID: {image.id}\n"})

        return await stream_json(request, work)

    async def _save(self, request: web.Request) -> web.StreamResponse:
        own = request.match_info.get("name")
        names = [own] if own else request.query.getall("names", [])
        if not names:
            raise InvalidArgument("names must be given: the images to save")
        platform = parameters.text(request, "platform") or None
        for name in names:
            await in_thread(self._engine.images.get, name)
        response = web.StreamResponse(headers={"Content-Type": _TAR})
        response.enable_chunked_encoding()
        await response.prepare(request)
        sink = _Sink(response)
        await in_thread(self._engine.images.save, names, sink, platform=platform)
        await response.write_eof()
        return response


_SETTINGS = frozenset(
    (
        *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels"),
        *("StopSignal", "Healthcheck"),
    )
)


class _Sink:
    """Writes to a client from another thread."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes, /) -> int:
        """Write all of it. Raises Unavailable where the client is gone."""
        writing = asyncio.run_coroutine_threadsafe(self._response.write(bytes(data)), self._loop)
        try:
            writing.result()
        except (ConnectionError, asyncio.CancelledError):
            raise Unavailable("the client is gone") from None
        return len(data)


def credentials(request: web.Request) -> dict[str, str] | None:
    """Who the client is to the registry: the header X-Registry-Auth. Raises InvalidArgument."""
    given = request.headers.get("X-Registry-Auth", "")
    if not given:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
    except ValueError:
        raise InvalidArgument("X-Registry-Auth is not base64url of a JSON object") from None
    if not isinstance(found, dict):
        raise InvalidArgument("X-Registry-Auth is not base64url of a JSON object")
    known = ("username", "password", "identitytoken", "registrytoken")
    return {name: str(found[name]) for name in known if found.get(name)} or None


def _after_check(
    work: Callable[[Callable[[Any], None]], Any],
) -> Callable[[Callable[[Any], None]], Any]:
    """`work`, such that what it says first is said only when it has more to say.

    An image that is not there is an answer with another status, and not a stream.
    """

    def checked(tell: Callable[[Any], None]) -> None:
        held: list[Any] = []
        passing = False

        def hold(item: Any) -> None:
            nonlocal passing
            if not passing and not held:
                held.append(item)
                return
            if not passing:
                passing = True
                tell(held[0])
            tell(item)

        work(hold)
        if not passing:
            for item in held:
                tell(item)

    return checked
