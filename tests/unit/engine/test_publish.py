from __future__ import annotations

import pytest

from proa.cli.container.ports import ports
from proa.engine.config import PortBinding
from proa.engine.publish import parse
from proa.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "bindings"),
    [
        ("80", [PortBinding(80)]),
        ("8080:80", [PortBinding(80, first=8080)]),
        ("8080:80/UDP", [PortBinding(80, "udp", first=8080)]),
        ("127.0.0.1:8080:80", [PortBinding(80, host_ip="127.0.0.1", first=8080)]),
        ("127.0.0.1::80", [PortBinding(80, host_ip="127.0.0.1")]),
        ("[::1]:8080:80", [PortBinding(80, host_ip="::1", first=8080)]),
        ("8000-8001:80-81", [PortBinding(80, first=8000), PortBinding(81, first=8001)]),
        ("8000-8009:80", [PortBinding(80, first=8000, last=8009)]),
        ("80-81", [PortBinding(80), PortBinding(81)]),
        ("target=80,published=8080,protocol=udp", [PortBinding(80, "udp", first=8080)]),
    ],
)
def test_parse(text: str, bindings: list[PortBinding]) -> None:
    assert parse(text) == bindings


@pytest.mark.parametrize(
    "text", ["", "x", "0", "80/x", "1:2:3:4", "::1:80:80", "80-79", "1-2:3-5", "a:80:80", "-1:80"]
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse(text)


@pytest.mark.parametrize(
    ("published", "exposed", "text"),
    [
        ((), ("80/tcp",), "80/tcp"),
        (((80, "tcp", "0.0.0.0", 8080),), ("80/tcp", "81/udp"), "0.0.0.0:8080->80/tcp, 81/udp"),
        (
            ((80, "tcp", "0.0.0.0", 8080), (80, "tcp", "::", 8080)),
            (),
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
        ),
        (
            ((80, "tcp", "0.0.0.0", 8000), (81, "tcp", "0.0.0.0", 8001)),
            (),
            "0.0.0.0:8000-8001->80-81/tcp",
        ),
        (
            ((80, "tcp", "0.0.0.0", 8001), (81, "tcp", "0.0.0.0", 8000)),
            (),
            "0.0.0.0:8001->80/tcp, 0.0.0.0:8000->81/tcp",
        ),
    ],
)
def test_how_they_are_shown(published: object, exposed: tuple[str, ...], text: str) -> None:
    assert ports(published, exposed) == text  # type: ignore[arg-type]
