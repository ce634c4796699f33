"""Flags about networks. What cannot be honoured yet is refused, never ignored."""

from __future__ import annotations

from proa.cli.flags import UsageError
from proa.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_REFUSED = {
    "expose": "--expose",
    "ip": "--ip",
    "ip6": "--ip6",
    "link": "--link",
    "link-local-ip": "--link-local-ip",
    "mac-address": "--mac-address",
    "network-alias": "--network-alias",
    "publish": "-p/--publish",
    "publish-all": "-P/--publish-all",
}
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
    for name, shown in _REFUSED.items():
        if values.given.get(name):
            raise Unsupported(
                f"{shown} needs a bridge network, which comes with a later release; "
                f"{_WITHOUT_ADDRESS}"
            )
    return {}


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
