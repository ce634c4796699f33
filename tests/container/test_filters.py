"""`ps --filter`: what each filter takes, on real containers."""

from __future__ import annotations

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def two(alpine: Command) -> Command:
    """`runs`, and the younger `ended` with exit code 3."""
    labels = ("-l", "a=b", "-l", "plain")
    mounts = ("--mount", "type=bind,src=/tmp,dst=/inside")
    alpine("run", "-d", "--name", "runs", *labels, *mounts, "alpine", "sleep", "1000")
    alpine("run", "--name", "ended", "--network", "host", "alpine", "sh", "-c", "exit 3", code=3)
    return alpine


def names(proa: Command, *filters: str) -> str:
    flags = [word for text in filters for word in ("--filter", text)]
    return " ".join(proa.output("ps", "-a", "--format", "{{.Names}}", *flags).split())


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("status=running",), "runs"),
        (("status=running", "status=exited"), "ended runs"),
        (("exited=3",), "ended"),
        (("exited=0",), ""),
        (("label=a",), "runs"),
        (("label=a=b", "label=plain"), "runs"),
        (("label=a=c",), ""),
        (("ancestor=alpine",), "ended runs"),
        (("ancestor=alpine:latest", "exited=3"), "ended"),
        (("ancestor=nosuch",), ""),
        (("before=ended",), "runs"),
        (("since=runs",), "ended"),
        (("volume=/tmp",), "runs"),
        (("volume=/inside",), "runs"),
        (("volume=/elsewhere",), ""),
        (("network=bridge",), "runs"),
        (("network=host",), "ended"),
        (("health=none",), "ended runs"),
        (("health=healthy",), ""),
        (("expose=80/tcp",), ""),
        (("publish=8000-8080",), ""),
        (("is-task=false",), "ended runs"),
        (("is-task=true",), ""),
        (("name=^/runs$",), "runs"),
        (("name=^runs$",), "runs"),
        (("name=un",), "runs"),
        (("NAME=runs",), "runs"),
    ],
)
def test_a_filter(two: Command, filters: tuple[str, ...], found: str) -> None:
    assert names(two, *filters) == found


def test_by_id(two: Command) -> None:
    id = two.output("ps", "-q")
    assert names(two, f"id={id}") == "runs"
    assert names(two, f"id={id[:3]}", "exited=3") == ""


def test_ports_of_the_image(alpine: Command) -> None:
    alpine("create", "--name", "first", "alpine")
    alpine("save", "-o", f"{alpine.root}/archive", "alpine")
    alpine("import", "-c", "EXPOSE 8080 53/udp", f"{alpine.root}/archive", "server")
    alpine("create", "--name", "server", "server", "true")
    for port in ("8080", "8000-9000", "53/udp"):
        assert names(alpine, f"expose={port}") == "server"
    assert names(alpine, "expose=53") == ""


@pytest.mark.parametrize(
    ("text", "said", "code"),
    [
        ("bogus=1", "invalid filter 'bogus'", 1),
        ("=x", "invalid filter ''", 1),
        ("label!=a", "invalid filter 'label!'", 1),
        ("status=bogus", "invalid filter 'status=bogus'", 1),
        ("exited=x", "invalid filter 'exited=x'", 1),
        ("health=bogus", "invalid filter 'health=bogus'", 1),
        ("expose=bogus", "invalid filter 'expose=bogus'", 1),
        ("publish=70000", "invalid filter 'publish=70000'", 1),
        ("is-task=bogus", "invalid filter 'is-task=bogus'", 1),
        ("name=(", "not a regular expression", 1),
        ("before=nosuch", "no such container: nosuch", 1),
        ("bogus", 'invalid argument "bogus" for "-f, --filter" flag', 125),
    ],
)
def test_what_is_no_filter(alpine: Command, text: str, said: str, code: int) -> None:
    result = alpine("ps", "--filter", text, code=code)
    assert said in result.stderr
    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)
