"""Routes of the engine as a whole, of registries, and of what there is only in a swarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from proa.api import parameters
from proa.api.answers import Refusal, answer, in_thread
from proa.api.images import credentials
from proa.api.parameters import Fields
from proa.api.streams import send
from proa.engine.events import Events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from proa.api.service import Route, Service

_SWARM = (
    "This node is not a swarm manager. Use 'docker swarm init' or 'docker swarm join' to connect"
    " this node to swarm and try again."
)


class System:
    """Handlers of the engine as a whole."""

    def __init__(self, service: Service) -> None:
        self._engine = service.engine

    def routes(self) -> list[Route]:
        """Method, path and handler of each."""
        return [
            ("GET", "/_ping", self._ping),
            ("HEAD", "/_ping", self._ping),
            ("GET", "/version", self._version),
            ("GET", "/info", self._info),
            ("GET", "/events", self._events),
            ("GET", "/system/df", self._df),
            ("POST", "/auth", self._auth),
            ("GET", "/distribution/{name:.+}/json", self._distribution),
            ("GET", "/plugins", self._no_plugins),
            *(
                ("*", path, self._no_swarm)
                for kind in ("nodes", "services", "tasks", "secrets", "configs", "swarm")
                for path in (f"/{kind}", f"/{kind}/{{rest:.*}}")
            ),
        ]

    async def _ping(self, request: web.Request) -> web.StreamResponse:
        return web.Response(
            text="OK" if request.method == "GET" else "",
            content_type="text/plain",
            headers={
                "Builder-Version": "1",
                "Swarm": "inactive",
                "Cache-Control": "no-cache, no-store, must-revalidate",
                "Pragma": "no-cache",
            },
        )

    async def _version(self, _request: web.Request) -> web.StreamResponse:
        return answer(await in_thread(self._engine.version))

    async def _info(self, _request: web.Request) -> web.StreamResponse:
        found = await in_thread(self._engine.info)
        return answer(found)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        events = await in_thread(
            Events,
            self._engine.store,
            since=parameters.moment(request, "since"),
            until=parameters.moment(request, "until"),
            filters=parameters.filters(request),
        )
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        # whoever listens wants to know at once that we have begun
        await response.prepare(request)

        def lines() -> Iterator[bytes]:
            for event in events:
                yield json.dumps(event.attrs).encode() + b"\n"

        try:
            return await send(request, response, lines(), events.close)
        finally:
            events.close()

    async def _df(self, request: web.Request) -> web.StreamResponse:
        found = await in_thread(self._engine.df)
        if wanted := set(request.query.getall("type", [])):
            parts = {
                "container": ("Containers",),
                "image": ("Images", "LayersSize"),
                "volume": ("Volumes",),
                "build-cache": ("BuildCache",),
            }
            shown = {name for kind in wanted for name in parts.get(kind, ())}
            found = {name: value for name, value in found.items() if name in shown}
        return answer(found)

    async def _auth(self, request: web.Request) -> web.StreamResponse:
        fields = Fields(await parameters.body(request))
        await in_thread(
            self._engine.verify_login,
            fields.text("username"),
            fields.text("password"),
            fields.text("serveraddress") or None,
        )
        return answer({"Status": "Login Succeeded", "IdentityToken": ""})

    async def _distribution(self, request: web.Request) -> web.StreamResponse:
        found: dict[str, Any] = await in_thread(
            self._engine.describe_remote, request.match_info["name"], credentials(request)
        )
        return answer(found)

    async def _no_plugins(self, _request: web.Request) -> web.StreamResponse:
        return answer([])

    async def _no_swarm(self, _request: web.Request) -> web.StreamResponse:
        raise Refusal(503, _SWARM)
