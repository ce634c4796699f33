"""Networks as the engine knows them: the three that are always there, and how bridges are named."""

from __future__ import annotations

import posix

from proa.errors import AlreadyExists, NetworkNotFound
from proa.lean.record import replace
from proa.network.endpoint import Bridge
from proa.store.networks import NetworkRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.store.store import Store

BRIDGE = "bridge"
"""The network that containers are on where nobody says another."""
PREDEFINED = {BRIDGE: "bridge", "host": "host", "none": "null"}
"""Their drivers."""
_OPTION = "com.docker.network.bridge."
_DEFAULT_LINK = "proa0"


def find(store: Store, name: str) -> NetworkRow:
    """The network of that name, id or id prefix; a predefined one is made when first asked for.

    Raises NetworkNotFound, AmbiguousName.
    """
    try:
        return store.networks.find(name)
    except NetworkNotFound:
        if name not in PREDEFINED:
            raise
    return _make(store, name)


def _make(store: Store, name: str) -> NetworkRow:
    config: dict[str, Any] = {"options": {}, "labels": {}, "ipam": []}
    id = posix.urandom(32).hex()
    if name == BRIDGE:
        from proa.engine.engine import DEFAULT_ROOT
        from proa.network.pool import choose4

        pool = choose4(store.networks.list(), first=True)
        config["ipam"] = [{"subnet": str(pool), "gateway": _first(pool)}]
        # another root on this machine has a bridge of another name
        link = _DEFAULT_LINK if store.root == DEFAULT_ROOT else f"br-{id[:12]}"
        config["options"] = {
            f"{_OPTION}default_bridge": "true",
            f"{_OPTION}enable_icc": "true",
            f"{_OPTION}enable_ip_masquerade": "true",
            f"{_OPTION}host_binding_ipv4": "0.0.0.0",  # noqa: S104
            f"{_OPTION}name": link,
            "com.docker.network.driver.mtu": "1500",
        }
    row = NetworkRow(id=id, name=name, driver=PREDEFINED[name], config=config)
    try:
        store.networks.insert(row, note=False)
    except AlreadyExists:
        pass  # another process was first
    return store.networks.find(name)


def _first(pool: Any) -> str:
    from proa.network.address import unpacked

    return unpacked(pool.at(pool.usable[0]))


def is_free(store: Store, network: NetworkRow) -> NetworkRow:
    """The network `bridge`, which nobody uses now, with a subnet that is free on this host."""
    from proa.network import pool

    taken = pool.host_subnets(apart=bridge_of(network).name)
    if not any(own.overlaps(other) for own in pool.subnets_of(network) for other in taken):
        return network
    others = [row for row in store.networks.list() if row.id != network.id]
    chosen = pool.choose4(others, first=True)
    config = {**network.config, "ipam": [{"subnet": str(chosen), "gateway": _first(chosen)}]}
    store.networks.set_config(network.id, config)
    return replace(network, config=config)


def bridge_of(network: NetworkRow) -> Bridge:
    """The bridge of a network of that driver."""
    config = network.config
    options = config.get("options") or {}
    gateways = [
        (pool["gateway"], int(pool["subnet"].partition("/")[2]))
        for pool in config.get("ipam", ())
        if pool.get("gateway")
    ]
    return Bridge(
        network=network.id,
        name=str(options.get(f"{_OPTION}name") or f"br-{network.id[:12]}"),
        gateways=tuple(gateways),
        subnets=tuple(pool["subnet"] for pool in config.get("ipam", ())),
        mtu=int(options.get("com.docker.network.driver.mtu") or 0),
        internal=bool(config.get("internal")),
        masquerade=_said(options, f"{_OPTION}enable_ip_masquerade"),
        open=_said(options, f"{_OPTION}enable_icc"),
    )


def _said(options: Any, name: str) -> bool:
    """A switch among the options, which is on unless said."""
    return str(options.get(name, "true")).lower() not in ("false", "0", "f")
