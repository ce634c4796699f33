"""Which proxy leads to a server: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as Go's programs read them.

golang.org/x/net/http/httpproxy: upper or lower case; NO_PROXY has names (with all below them),
`.name` (only what is below), addresses, networks, each with or without a port, or `*`.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def proxy_for(scheme: str, host: str, port: int, environment: Mapping[str, str]) -> str | None:
    """The URL of the proxy that leads to `scheme://host:port`; None: it is reached directly."""
    proxy = _get(environment, f"{scheme}_proxy")
    if not proxy or _is_excluded(host.lower().rstrip("."), port, _get(environment, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _get(environment: Mapping[str, str], name: str) -> str:
    return (environment.get(name.upper()) or environment.get(name) or "").strip()


def _is_excluded(host: str, port: int, entries: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(
        _matches(entry.strip().lower(), host, port, address)
        for entry in entries.split(",")
        if entry.strip()
    )


def _matches(
    entry: str,
    host: str,
    port: int,
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None,
) -> bool:
    if entry == "*":
        return True
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    else:
        return address is not None and address in network
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdecimal():
        if int(wanted) != port:
            return False
        entry = name.strip("[]")
    if address is not None:
        return _address(entry) == address
    entry = entry.removeprefix("*")
    return host.endswith(entry) if entry.startswith(".") else f".{host}".endswith(f".{entry}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
