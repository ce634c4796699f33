"""Flags about networks. What cannot be honoured yet is refused, never ignored."""

from __future__ import annotations

from proa.cli.flags import UsageError
from proa.cli.output import warn
from proa.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_REFUSED = {
    "ip": "--ip",
    "ip6": "--ip6",
    "link": "--link",
    "link-local-ip": "--link-local-ip",
    "mac-address": "--mac-address",
    "network-alias": "--network-alias",
    "publish": "-p/--publish",
    "publish-all": "-P/--publish-all",
}
_PUBLISHING = ("publish", "publish-all")
_WITHOUT_ADDRESS = "use --network none, --network host or --network container:NAME"


def mode(values: Values) -> dict[str, Any]:
    """`--network`. Raises UsageError, Unsupported."""
    names = [_name(text) for text in values.texts("network")]
    if len(names) > 1:
        raise Unsupported(
            f"several networks ({', '.join(names)}) are not available yet; {_WITHOUT_ADDRESS}"
        )
    name = names[0]
    if name in ("default", "none", "host"):
        return {"network_mode": name}
    if name.startswith("container:"):
        if not name.removeprefix("container:"):
            raise UsageError(
                f'invalid argument "{name}" for "--network" flag: a container\'s name is missing'
            )
        return {"network_mode": name}
    raise Unsupported(
        f"network {name} is not available: networks come with a later release; {_WITHOUT_ADDRESS}"
    )


def refuse(values: Values) -> dict[str, Any]:
    """Flags that need a network of their own. Raises Unsupported where one was given."""
    if "host" in values.texts("network") and any(map(values.given.get, _PUBLISHING)):
        warn("WARNING: Published ports are discarded when using host network mode")
    for name, shown in _REFUSED.items():
        if name in _PUBLISHING and "host" in values.texts("network"):
            continue
        if values.given.get(name):
            raise Unsupported(
                f"{shown} needs a bridge network, which comes with a later release; "
                f"{_WITHOUT_ADDRESS}"
            )
    return {}


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
    return {"exposed_ports": tuple(found)}


def hosts(values: Values) -> dict[str, Any]:
    """`--add-host name:address` or `name=address`. Raises UsageError, Unsupported."""
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
        if address == "host-gateway":
            raise Unsupported(
                "--add-host with host-gateway needs a bridge network, which comes with a later "
                "release; with --network host the host is 127.0.0.1"
            )
        if not _is_address(address):
            raise UsageError(
                f'invalid argument "{text}" for "--add-host" flag: '
                f"'{address}' is no IPv4 or IPv6 address"
            )
        found.append(f"{name}:{address}")
    return {"extra_hosts": tuple(found)}


def _name(text: str) -> str:
    """The network's name in `NAME` or `name=NAME,alias=…`."""
    if "=" not in text:
        if not text:
            raise UsageError('invalid argument "" for "--network" flag: no network named')
        return text
    name = ""
    for field in text.split(","):
        key, _, value = field.partition("=")
        key = key.strip().lower()
        if key == "name":
            name = value
        elif key in (
            "alias",
            "ip",
            "ip6",
            "mac-address",
            "link-local-ip",
            "driver-opt",
            "gw-priority",
        ):
            raise Unsupported(
                f"{key} of a network needs a bridge network, which comes with a later release; "
                f"{_WITHOUT_ADDRESS}"
            )
        else:
            raise UsageError(f'invalid argument "{text}" for "--network" flag: invalid key {key}')
    if not name:
        raise UsageError(f'invalid argument "{text}" for "--network" flag: no network named')
    return name


def _is_address(text: str) -> bool:
    import _socket

    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False
