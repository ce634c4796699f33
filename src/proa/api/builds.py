"""Routes of builds, by the classic builder's protocol: an archive in, lines of progress out."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from aiohttp import web

from proa.api import parameters
from proa.api.answers import answer, in_thread, stream_json
from proa.api.streams import Body
from proa.build.events import BuildWarning, StepFinished, StepOutput, StepStarted
from proa.errors import BuildFailed, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proa.api.service import Route, Service
    from proa.build.events import Event


class Builds:
    """Handlers of builds."""

    def __init__(self, service: Service) -> None:
        self._engine = service.engine

    def routes(self) -> list[Route]:
        """Method, path and handler of each."""
        return [("POST", "/build", self._build), ("POST", "/build/prune", self._prune)]

    async def _build(self, request: web.Request) -> web.StreamResponse:
        if parameters.text(request, "version", "1") != "1":
            raise InvalidArgument("builds by BuildKit's protocol are not available: use version=1")
        remote = parameters.text(request, "remote")
        tags = request.query.getall("t", [])
        options: dict[str, Any] = {
            "tag": tags,
            "dockerfile": parameters.text(request, "dockerfile"),
            "target": parameters.text(request, "target"),
            "buildargs": _strings(request, "buildargs"),
            "labels": _strings(request, "labels"),
            "nocache": parameters.flag(request, "nocache"),
            "pull": parameters.flag(request, "pull"),
            "platform": parameters.text(request, "platform") or None,
            "network": parameters.text(request, "networkmode") or "default",
            "add_hosts": _hosts(request),
        }
        body = None if remote else io.BufferedReader(Body(request), 1 << 17)
        quiet = parameters.flag(request, "q")

        def work(tell: Callable[[Any], None]) -> None:
            told = _Told(tell, quiet=quiet)
            try:
                image = self._engine.images.build(
                    remote or ".", fileobj=body, on_event=told.event, **options
                )
            except BuildFailed as error:
                detail = {"code": error.exit_code, "message": str(error).splitlines()[0]}
                tell({"errorDetail": detail, "error": detail["message"]})
                return
            tell({"aux": {"ID": str(image.id)}})
            if quiet:
                tell({"stream": f"{image.id}\n"})
                return
            tell({"stream": f"Successfully built {image.short_id.removeprefix('sha256:')}\n"})
            for tag in tags:
                shown = tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest"
                tell({"stream": f"Successfully tagged {shown}\n"})

        return await stream_json(request, work)

    async def _prune(self, request: web.Request) -> web.StreamResponse:
        keep = parameters.number(request, "keep-storage") or 0
        keep = parameters.number(request, "reserved-space") or keep
        found = await in_thread(
            self._engine.images.prune_builds,
            all=parameters.flag(request, "all"),
            filters=parameters.filters(request),
            keep_storage=keep,
        )
        return answer(found)


class _Told:
    """Tells a client what happens in a build, in the words of the classic builder."""

    def __init__(self, tell: Callable[[Any], None], *, quiet: bool) -> None:
        self._tell = tell
        self._quiet = quiet

    def event(self, event: Event) -> None:
        """Tell of one event."""
        if self._quiet:
            return
        if isinstance(event, StepStarted):
            self._tell({"stream": f"Step {event.number} : {event.name}\n"})
        elif isinstance(event, StepOutput):
            self._tell({"stream": event.data.decode("utf-8", "replace")})
        elif isinstance(event, StepFinished) and event.cached:
            self._tell({"stream": " ---> Using cache\n"})
        elif isinstance(event, BuildWarning):
            self._tell({"stream": f"[Warning] {event.message} (line {event.line})\n"})


def _strings(request: web.Request, name: str) -> dict[str, str]:
    """A parameter that is a JSON object of strings; null: said without a value."""
    given = parameters.text(request, name)
    if not given:
        return {}
    try:
        found = json.loads(given)
    except ValueError:
        raise InvalidArgument(f"{name} must be a JSON object") from None
    if not isinstance(found, dict):
        raise InvalidArgument(f"{name} must be a JSON object")
    return {str(key): str(value) for key, value in found.items() if value is not None}


def _hosts(request: web.Request) -> list[str]:
    return [host for text in request.query.getall("extrahosts", []) for host in text.split(",")]
