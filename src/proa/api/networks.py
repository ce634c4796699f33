"""Routes of networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from proa.api import parameters
from proa.api.answers import answer, in_thread, nothing
from proa.api.parameters import Fields
from proa.errors import InvalidArgument

if TYPE_CHECKING:
    from typing import Any

    from proa.api.service import Route, Service
    from proa.engine.networks import Network


class Networks:
    """Handlers of networks."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._engine = service.engine

    def routes(self) -> list[Route]:
        """Method, path and handler of each."""
        return [
            ("GET", "/networks", self._list),
            ("POST", "/networks/create", self._create),
            ("POST", "/networks/prune", self._prune),
            ("GET", "/networks/{name}", self._inspect),
            ("DELETE", "/networks/{name}", self._delete),
            ("POST", "/networks/{name}/connect", self._connect),
            ("POST", "/networks/{name}/disconnect", self._disconnect),
        ]

    async def _network(self, request: web.Request) -> Network:
        return await in_thread(self._engine.networks.get, request.match_info["name"])

    async def _list(self, request: web.Request) -> web.StreamResponse:
        wanted = parameters.filters(request)

        def entries() -> list[dict[str, Any]]:
            found = [network.attrs for network in self._engine.networks.list(filters=wanted)]
            # a list does not say who is connected, an inspection does
            return [{**item, "Containers": {}} for item in found]

        return answer(await in_thread(entries))

    async def _inspect(self, request: web.Request) -> web.StreamResponse:
        network = await self._network(request)
        return answer(await in_thread(lambda: network.attrs))

    async def _create(self, request: web.Request) -> web.StreamResponse:
        fields = Fields(await parameters.body(request))
        name = fields.text("Name")
        if not name:
            raise InvalidArgument("Name must be given: what the network is called")
        ipam = fields.object("IPAM")
        network = await in_thread(
            self._engine.networks.create,
            name,
            driver=fields.text("Driver") or None,
            options=fields.pairs("Options"),
            ipam={
                "Config": ipam.objects("Config"),
                "Options": ipam.pairs("Options"),
            },
            ipam_driver=ipam.text("Driver") or "default",
            internal=fields.flag("Internal"),
            labels=fields.pairs("Labels"),
            enable_ipv4=fields.flag("EnableIPv4") if fields.has("EnableIPv4") else True,
            enable_ipv6=fields.flag("EnableIPv6"),
            attachable=fields.flag("Attachable"),
            scope=fields.text("Scope") or None,
            ingress=fields.flag("Ingress"),
        )
        return answer({"Id": network.id, "Warning": ""}, 201)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        network = await self._network(request)
        await in_thread(network.remove)
        return nothing()

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        network = await self._network(request)
        fields = Fields(await parameters.body(request))
        wanted = fields.object("EndpointConfig")
        addresses = wanted.object("IPAMConfig")
        await in_thread(
            network.connect,
            fields.text("Container"),
            aliases=wanted.texts("Aliases") or (),
            links=wanted.texts("Links") or (),
            ipv4_address=addresses.text("IPv4Address"),
            ipv6_address=addresses.text("IPv6Address"),
            link_local_ips=addresses.texts("LinkLocalIPs") or (),
            mac_address=wanted.text("MacAddress"),
            driver_opt=wanted.pairs("DriverOpts"),
        )
        return nothing(200)

    async def _disconnect(self, request: web.Request) -> web.StreamResponse:
        network = await self._network(request)
        fields = Fields(await parameters.body(request))
        await in_thread(network.disconnect, fields.text("Container"), force=fields.flag("Force"))
        return nothing(200)

    async def _prune(self, request: web.Request) -> web.StreamResponse:
        return answer(await in_thread(self._engine.networks.prune, parameters.filters(request)))
