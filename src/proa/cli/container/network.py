"""Flags about networks."""

from __future__ import annotations

from proa.cli.flags import UsageError
from proa.cli.output import warn
from proa.engine.config import EndpointConfig
from proa.errors import InvalidArgument, ProaError
from proa.lean.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_ONE_NETWORK = ("ip", "ip6", "link-local-ip", "network-alias")


def networks(values: Values) -> dict[str, Any]:
    """`--network`, and the flags about the endpoint that it makes. Raises UsageError."""
    found = [_endpoint(text) for text in values.texts("network")] or [EndpointConfig("default")]
    names = [item.network for item in found]
    if len(set(names)) < len(names):
        raise UsageError(
            f'invalid argument "{names[-1]}" for "--network" flag: network is given twice'
        )
    first = found[0]
    for name in _ONE_NETWORK:
        if values.given.get(name) and len(found) > 1 and _has(first, name):
            raise UsageError(
                f"conflicting options: cannot specify both --{name} and per-network"
                f" {name.replace('network-', '')}"
            )
    mode = first.network
    if mode == "container:":
        raise UsageError(
            'invalid argument "container:" for "--network" flag: a container\'s name is missing'
        )
    for flag in ("ip", "ip6"):
        if text := values.text(flag):
            _check_address(text, flag)
    first = replace(
        first,
        ipv4_address=values.text("ip") or first.ipv4_address,
        ipv6_address=values.text("ip6") or first.ipv6_address,
        aliases=(*first.aliases, *values.texts("network-alias")),
        link_local_ips=(*first.link_local_ips, *values.texts("link-local-ip")),
        mac_address=_mac(values.text("mac-address")) or first.mac_address,
    )
    endpoints = [item for item in (first, *found[1:]) if item != EndpointConfig(item.network)]
    if len(found) > 1:
        endpoints = [first, *found[1:]]
    given: dict[str, Any] = {"network_mode": mode}
    if endpoints:
        given["networks"] = tuple(
            replace(item, network="bridge") if item.network == "default" else item
            for item in endpoints
        )
        if mode == "default":
            given["network_mode"] = "bridge"
    if links := values.texts("link"):
        given["links"] = tuple(map(_link, links))
    return given


def _has(endpoint: EndpointConfig, flag: str) -> bool:
    return bool(
        {
            "ip": endpoint.ipv4_address,
            "ip6": endpoint.ipv6_address,
            "link-local-ip": endpoint.link_local_ips,
            "network-alias": endpoint.aliases,
        }[flag]
    )


def published(values: Values) -> dict[str, Any]:
    """`-p` and `-P`. Raises UsageError."""
    if "host" in values.texts("network") and any(map(values.given.get, ("publish", "publish-all"))):
        warn("WARNING: Published ports are discarded when using host network mode")
        return {"exposed_ports": tuple(_exposed(values))}
    from proa.engine.publish import parse

    found = []
    exposed: dict[str, None] = {}
    for text in values.texts("publish"):
        try:
            bindings = parse(text)
        except InvalidArgument as error:
            raise UsageError(
                f'invalid argument "{text}" for "-p, --publish" flag: {error}'
            ) from None
        found += bindings
        exposed.update((f"{item.port}/{item.protocol}", None) for item in bindings)
    given: dict[str, Any] = {"published": tuple(found)}
    if exposed:
        # what is published is exposed too
        given["exposed_ports"] = (*exposed, *_exposed(values))
    if values.flag("publish-all"):
        given["publish_all"] = True
    return given


def servers(values: Values) -> dict[str, Any]:
    """`--dns ADDRESS`. Raises UsageError."""
    for text in values.texts("dns"):
        # a zone may follow, as in fe80::1%eth0
        if not _is_address(text.partition("%")[0]):
            raise UsageError(
                f'invalid argument "{text}" for "--dns" flag: it is no IPv4 or IPv6 address'
            )
    return {"dns": tuple(values.texts("dns"))}


def exposed(values: Values) -> dict[str, Any]:
    """`--expose 80`, `53/udp`, `8000-8010`: what is only noted. Raises UsageError."""
    if values.given.get("publish"):
        return {}  # `published` has them all
    return {"exposed_ports": tuple(_exposed(values))}


def _exposed(values: Values) -> dict[str, None]:
    found: dict[str, None] = {}
    for text in values.texts("expose"):
        numbers, _, protocol = text.lower().partition("/")
        first, dash, last = numbers.partition("-")
        ends = (first, last if dash else first)
        if (
            protocol not in ("", "tcp", "udp", "sctp")
            or not all(end.isascii() and end.isdigit() and 0 < int(end) < 65536 for end in ends)
            or int(ends[0]) > int(ends[1])
        ):
            raise UsageError(
                f'invalid argument "{text}" for "--expose" flag: write a port as 80, 53/udp or'
                " 8000-8010"
            )
        for number in range(int(ends[0]), int(ends[1]) + 1):
            found[f"{number}/{protocol or 'tcp'}"] = None
    return found


def hosts(values: Values) -> dict[str, Any]:
    """`--add-host name:address` or `name=address`. Raises UsageError."""
    found = []
    for text in values.texts("add-host"):
        name, separator, address = text.partition("=")
        if not separator or ":" in name:
            name, separator, address = text.partition(":")
        if address[:1] == "[" and address[-1:] == "]":
            address = address[1:-1]
        if not (name and address):
            raise UsageError(
                f'invalid argument "{text}" for "--add-host" flag: expected NAME:ADDRESS'
            )
        if address != "host-gateway" and not _is_address(address):
            raise UsageError(
                f'invalid argument "{text}" for "--add-host" flag: '
                f"'{address}' is no IPv4 or IPv6 address"
            )
        found.append(f"{name}:{address}")
    return {"extra_hosts": tuple(found)}


def _endpoint(text: str) -> EndpointConfig:
    """`NAME`, or `name=NAME,alias=…,ip=…`."""
    if "=" not in text:
        if not text:
            raise UsageError('invalid argument "" for "--network" flag: no network named')
        return EndpointConfig(text)
    single: dict[str, str] = {}
    several: dict[str, list[str]] = {"alias": [], "link-local-ip": [], "driver-opt": []}
    for field in text.split(","):
        key, _, value = field.partition("=")
        key = key.strip().lower()
        value = value.strip()
        if key in several:
            several[key].append(value)
        elif key in ("name", "ip", "ip6", "mac-address", "gw-priority"):
            single[key] = value
        else:
            raise UsageError(f'invalid argument "{text}" for "--network" flag: invalid key {key}')
    if not single.get("name"):
        raise UsageError(f'invalid argument "{text}" for "--network" flag: no network named')
    for key in ("ip", "ip6"):
        if single.get(key):
            _check_address(single[key], "network")
    priority = single.get("gw-priority", "0")
    if not priority.lstrip("-").isdecimal():
        raise UsageError(
            f'invalid argument "{text}" for "--network" flag: invalid gw-priority {priority}'
        )
    return EndpointConfig(
        single["name"],
        aliases=tuple(several["alias"]),
        ipv4_address=single.get("ip", ""),
        ipv6_address=single.get("ip6", ""),
        mac_address=_mac(single.get("mac-address", "")),
        link_local_ips=tuple(several["link-local-ip"]),
        driver_options=dict(item.partition("=")[::2] for item in several["driver-opt"]) or None,
        gw_priority=int(priority),
    )


def _mac(text: str) -> str:
    if not text:
        return ""
    from proa.network.address import mac_bytes, mac_text

    try:
        return mac_text(mac_bytes(text))
    except ProaError as error:
        raise UsageError(f'invalid argument "{text}" for "--mac-address" flag: {error}') from None


def _link(text: str) -> str:
    name, separator, alias = text.partition(":")
    if not name or (separator and not alias):
        raise UsageError(
            f'invalid argument "{text}" for "--link" flag: write it as NAME or NAME:ALIAS'
        )
    return f"{name}:{alias or name}"


def _check_address(text: str, flag: str) -> None:
    if not _is_address(text):
        raise UsageError(
            f'invalid argument "{text}" for "--{flag}" flag: it is no IPv4 or IPv6 address'
        )


def _is_address(text: str) -> bool:
    import _socket

    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False
