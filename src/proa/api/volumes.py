"""Routes of volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from proa.api import parameters
from proa.api.answers import answer, in_thread, nothing
from proa.api.parameters import Fields

if TYPE_CHECKING:
    from proa.api.service import Route, Service

_PRUNES_NAMED = (1, 42)
"""From this version on, prune leaves volumes alone that have a name."""


class Volumes:
    """Handlers of volumes."""

    def __init__(self, service: Service) -> None:
        self._engine = service.engine

    def routes(self) -> list[Route]:
        """Method, path and handler of each."""
        return [
            ("GET", "/volumes", self._list),
            ("POST", "/volumes/create", self._create),
            ("POST", "/volumes/prune", self._prune),
            ("GET", "/volumes/{name}", self._inspect),
            ("DELETE", "/volumes/{name}", self._delete),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        wanted = parameters.filters(request)
        found = await in_thread(
            lambda: [volume.attrs for volume in self._engine.volumes.list(wanted)]
        )
        return answer({"Volumes": found, "Warnings": None})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        fields = Fields(await parameters.body(request))
        volume = await in_thread(
            self._engine.volumes.create,
            fields.text("Name") or None,
            fields.text("Driver") or None,
            fields.pairs("DriverOpts"),
            fields.pairs("Labels"),
        )
        return answer(await in_thread(lambda: volume.attrs), 201)

    async def _inspect(self, request: web.Request) -> web.StreamResponse:
        volume = await in_thread(self._engine.volumes.get, request.match_info["name"])
        return answer(await in_thread(lambda: volume.attrs))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        force = parameters.flag(request, "force")
        await in_thread(self._engine.volumes.remove, request.match_info["name"], force=force)
        return nothing()

    async def _prune(self, request: web.Request) -> web.StreamResponse:
        wanted = parameters.filters(request)
        if request[parameters.VERSION] < _PRUNES_NAMED:
            wanted["all"] = ["true"]
        return answer(await in_thread(self._engine.volumes.prune, wanted))
