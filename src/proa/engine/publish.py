"""Published ports as people write them: `-p 127.0.0.1:8080-8090:80/tcp`."""

from __future__ import annotations

from proa.engine.config import PortBinding
from proa.errors import InvalidArgument
from proa.network.address import packed

PROTOCOLS = ("tcp", "udp", "sctp")
_FORM = "write it as [[ADDRESS:]PORT:]PORT[/PROTOCOL]"


def parse(text: str) -> list[PortBinding]:
    """The bindings of `[[ADDRESS:][PORT[-PORT]]:]PORT[-PORT][/PROTOCOL]`. Raises InvalidArgument.

    Two ranges of one length are paired; a range of the host for one port of the container is what
    may be chosen from.
    """
    if "=" in text:
        return _parse_fields(text)
    rest, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    address = ""
    if rest[:1] == "[":
        address, bracket, rest = rest[1:].partition("]")
        if not bracket or rest[:1] != ":":
            raise InvalidArgument(f"invalid IP address: {text}; {_FORM}")
        rest = rest[1:]
        host, colon, container = rest.rpartition(":")
        if not colon:
            host = ""
    else:
        before, _, container = rest.rpartition(":")
        address, _, host = before.rpartition(":")
        if ":" in address:
            raise InvalidArgument(f"invalid IP address: write [{address}] in brackets; {_FORM}")
    return _bindings(address, host, container, protocol)


def _parse_fields(text: str) -> list[PortBinding]:
    """Docker's long form: `target=80,published=8080,protocol=tcp,mode=host`."""
    fields = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in ("target", "published", "protocol", "mode"):
            raise InvalidArgument(f"invalid field key {name}")
        fields[name] = value
    if not fields.get("target"):
        raise InvalidArgument("missing mandatory field target")
    return _bindings(
        "", fields.get("published", ""), fields["target"], fields.get("protocol", "tcp")
    )


def _bindings(address: str, host: str, container: str, protocol: str) -> list[PortBinding]:
    if protocol not in PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {protocol}; there are {', '.join(PROTOCOLS)}")
    if not container:
        raise InvalidArgument(f"no port specified; {_FORM}")
    if address:
        try:
            packed(address)
        except InvalidArgument:
            raise InvalidArgument(f"invalid IP address: {address}; {_FORM}") from None
    first, last = _range(container, "containerPort")
    if not host or host == "0":
        return [PortBinding(port, protocol, address) for port in range(first, last + 1)]
    low, high = _range(host, "hostPort")
    if first == last:
        return [PortBinding(first, protocol, address, low, high if high > low else 0)]
    if high - low != last - first:
        raise InvalidArgument(
            f"invalid ranges specified for container and host Ports: {container} and {host}"
        )
    return [
        PortBinding(port, protocol, address, low + number)
        for number, port in enumerate(range(first, last + 1))
    ]


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    ends = (first, last if dash else first)
    if not all(end.isascii() and end.isdigit() and 0 < int(end) < 65536 for end in ends):
        raise InvalidArgument(f"invalid {what}: {text}; {_FORM}")
    low, high = int(ends[0]), int(ends[1])
    if low > high:
        raise InvalidArgument(f"invalid {what}: {text}; {_FORM}")
    return low, high
