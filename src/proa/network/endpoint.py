"""How a container is connected with a network: what is planned, as plain data."""

from __future__ import annotations

from proa.lean.record import as_dict, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@record
class Bridge:
    """What a bridge of a network is to be."""

    network: str
    """the network's id"""
    name: str
    """of the link: `proa0`"""
    gateways: tuple[tuple[str, int], ...] = ()
    """its own addresses, with the prefix length of the subnet"""
    subnets: tuple[str, ...] = ()
    mtu: int = 0
    internal: bool = False
    masquerade: bool = True
    open: bool = True
    """its containers may talk to each other"""


@record
class Endpoint:
    """A connection that is to be made."""

    network: str
    """the network's id"""
    name: str
    """the network's name"""
    driver: str
    """bridge, macvlan, ipvlan"""
    interface: str
    """in the container: eth0"""
    mac: str
    addresses: tuple[tuple[str, int], ...] = ()
    """with the prefix length of their subnets"""
    gateways: tuple[str, ...] = ()
    """where the default routes lead; none where another endpoint has them"""
    bridge: Bridge | None = None
    parent: str = ""
    """macvlan, ipvlan: the interface of the host"""
    mode: str = ""
    mtu: int = 0
    proxied: bool = False
    """ports are published by a process that listens, so that the host's INPUT rules apply"""
    publishes: bool = False
    """ports are published by way of it, if it is the first that does"""


def to_message(endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint as a JSON object."""
    found = as_dict(endpoint)
    if endpoint.bridge is not None:
        found["bridge"] = as_dict(endpoint.bridge)
    return found


def from_message(message: Mapping[str, Any]) -> Endpoint:
    """The endpoint that `to_message` made."""
    values = {key: _tuples(value) for key, value in message.items()}
    if values.get("bridge"):
        values["bridge"] = Bridge(
            **{key: _tuples(value) for key, value in message["bridge"].items()}
        )
    return Endpoint(**values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
