"""Connects containers that exist with networks, and takes them from there; they may run."""

from __future__ import annotations

from proa.engine import config as configs
from proa.engine import endpoints
from proa.engine.create import write_resolv_conf
from proa.engine.network import find
from proa.errors import Conflict, NetworkNotFound
from proa.lean.record import replace
from proa.network.endpoint import to_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.engine.config import ContainerConfig, EndpointConfig
    from proa.engine.container import Container
    from proa.engine.engine import Engine
    from proa.store.networks import EndpointRow, NetworkRow

    Made = tuple[NetworkRow, EndpointConfig, EndpointRow]

_LIVE = ("running", "paused")


def connect(
    engine: Engine, network: NetworkRow, container: Container, wanted: EndpointConfig
) -> None:
    """Connect `container` with `network` as `wanted`. Raises Conflict, InvalidArgument …"""
    store, config = engine.store, container.config
    if network.driver in ("host", "null"):
        raise Conflict(f"container cannot be connected to network {network.name}")
    if not endpoints.has_own(config):
        raise Conflict(
            f"container {container.name} has the network mode {config.network_mode}: it cannot be"
            " connected with any other network"
        )
    if any(item.network == network.name for item in config.networks):
        raise Conflict(
            f"endpoint with name {container.name} already exists in network {network.name}"
        )
    changed = replace(config, networks=(*config.networks, wanted))
    if config.networks:
        endpoints.check(store, changed)
    if container.status not in _LIVE:
        _save(container, changed)
        return
    network = endpoints.usable(store, network)
    row = container.row
    interface = _next_interface(store.networks.endpoints(container=row.id))
    made = endpoints.allocate_for(store, network, row, config, wanted, interface)
    try:
        endpoint = endpoints.endpoint_of(network, made)
        routes = _routes(engine, container, changed)
        named = endpoints.has_names(changed)
        container.change_network(
            {"connect": to_message(endpoint), "routes": routes, "names": named}
        )
    except BaseException:
        store.networks.release(row.id, network.id)
        raise
    _save(container, changed)
    endpoints.write_hosts(store, container.row, changed)
    if named and not endpoints.has_names(config):
        write_resolv_conf(store, container.id, changed)


def disconnect(
    engine: Engine, network: NetworkRow, container: Container, *, force: bool = False
) -> None:
    """Take `container` from `network`. Raises Conflict."""
    store, config = engine.store, container.config
    remaining = tuple(item for item in config.networks if item.network != network.name)
    if len(remaining) == len(config.networks):
        raise Conflict(f"container {container.name} is not connected to network {network.name}")
    changed = replace(config, networks=remaining)
    if container.status in _LIVE:
        routes = _routes(engine, container, changed, without=network.id)
        try:
            container.change_network({"disconnect": network.id, "routes": routes})
        except Conflict:
            if not force:
                raise
        store.networks.release(container.id, network.id)
    _save(container, changed)
    endpoints.write_hosts(store, container.row, changed)


def _save(container: Container, config: ContainerConfig) -> None:
    container.set_request(configs.to_json(config))


def _next_interface(existing: list[EndpointRow]) -> str:
    taken = {str(item.config.get("interface")) for item in existing}
    return next(name for name in (f"eth{number}" for number in range(256)) if name not in taken)


def _routes(
    engine: Engine, container: Container, config: ContainerConfig, *, without: str = ""
) -> list[list[str]]:
    """Where the default routes lead from now on, each with the interface that it leaves by."""
    made: list[Made] = []
    rows = {item.network: item for item in engine.store.networks.endpoints(container=container.id)}
    for item in config.networks:
        try:
            network = find(engine.store, item.network)
        except NetworkNotFound:
            continue
        if network.id in rows and network.id != without:
            made.append((network, item, rows[network.id]))
    return [[gateway, interface] for gateway, interface in endpoints.ways_out(made).items()]
