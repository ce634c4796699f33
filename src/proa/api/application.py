"""All routes as one application of aiohttp: versions, headers, errors."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from aiohttp import web

from proa.api.answers import Refusal, refuse
from proa.api.builds import Builds
from proa.api.containers import Containers
from proa.api.execs import Execs
from proa.api.hijack import Taken
from proa.api.images import Images
from proa.api.networks import Networks
from proa.api.parameters import VERSION
from proa.api.streams import Streams
from proa.api.system import System
from proa.api.volumes import Volumes
from proa.engine.info import API_VERSION, MINIMUM_API_VERSION, version
from proa.errors import ProaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.api.service import Handler, Service

    Allows = Callable[[str, str], bool]

_PREFIX = re.compile(r"/v(\d{1,4})\.(\d{1,4})(?=/)")
_HIGHEST = tuple(map(int, API_VERSION.split(".")))
_LOWEST = tuple(map(int, MINIMUM_API_VERSION.split(".")))
_HEADERS = {
    "Api-Version": API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"proa/{version()} (linux)",
}
_KINDS = (Containers, Streams, Execs, Images, Builds, Networks, Volumes, System)

logger = logging.getLogger("proa.api")


def everything(_method: str, _path: str) -> bool:
    """All requests are served."""
    return True


def make_application(service: Service, allows: Allows = everything) -> web.Application:
    """What aiohttp serves.

    `allows`: whether a request of that method, for that path without its version, is served.
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            path = _negotiate(request)
            if not allows(request.method, path):
                raise Refusal(403, f"{request.method} {path} is not served here")
            response = await handler(request)
        except web.HTTPException as error:
            response = refuse(_as_refusal(error))
        except (ProaError, Refusal) as error:
            response = refuse(error)
        except ConnectionError:
            raise
        except OSError as error:
            response = refuse(error)
        except Exception as error:
            logger.exception("%s %s", request.method, request.path)
            response = refuse(Refusal(500, f"internal error: {type(error).__name__}: {error}"))
        unread = request.body_exists and not request.content.is_eof()
        if unread and not response.prepared and not isinstance(response, Taken):
            # what is still on its way would be taken for the next request
            response.force_close()
        return response

    application = web.Application(middlewares=[answer], client_max_size=0)
    application.on_response_prepare.append(_add_headers)
    for kind in _KINDS:
        for method, path, handler in kind(service).routes():
            # once as it is, and once with a version
            application.router.add_route(method, path, handler)
            application.router.add_route(method, f"/v{{version:[0-9.]+}}{path}", handler)
    return application


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _negotiate(request: web.Request) -> str:
    """The path without its version, which the request has from now on. Raises Refusal."""
    path = request.path
    found = _PREFIX.match(path)
    if found is None:
        request[VERSION] = _HIGHEST
        return path
    asked = int(found[1]), int(found[2])
    request[VERSION] = asked
    shown = f"client version {asked[0]}.{asked[1]} is too"
    if asked > _HIGHEST:
        raise Refusal(400, f"{shown} new. Maximum supported API version is {API_VERSION}")
    if asked < _LOWEST:
        raise Refusal(
            400,
            f"{shown} old. Minimum supported API version is {MINIMUM_API_VERSION}, please upgrade"
            " your client to a newer version",
        )
    return path[found.end() :]


def _as_refusal(error: web.HTTPException) -> Refusal:
    if error.status in (404, 405):
        return Refusal(404, "page not found")
    return Refusal(error.status, error.reason.lower())
