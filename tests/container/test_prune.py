"""`container prune` and `image prune`."""

from __future__ import annotations

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def three(alpine: Command) -> Command:
    """`runs`, `ended`, which has written 5000 bytes, and `made`, which has the label keep."""
    alpine("run", "-d", "--name", "runs", "alpine", "sleep", "1000")
    alpine("run", "--name", "ended", "alpine", "sh", "-c", "head -c 5000 /dev/zero > /x")
    alpine("create", "--name", "made", "-l", "keep", "alpine")
    return alpine


def names(proa: Command) -> str:
    return " ".join(proa.output("ps", "-a", "--format", "{{.Names}}").split())


def test_what_does_not_run_goes(three: Command) -> None:
    ids = three.output("ps", "-aq", "--no-trunc", "-f", "status=exited", "-f", "status=created")
    shown = three.output("container", "prune", "--force")
    assert shown == f"Deleted Containers:\n{ids}\n\nTotal reclaimed space: 5kB"
    assert names(three) == "runs"
    assert three.output("container", "prune", "-f") == "Total reclaimed space: 0B"


def test_it_asks_first(three: Command) -> None:
    result = three("container", "prune", input="no\n")
    assert result.stdout == "Are you sure you want to continue? [y/N] "
    assert result.stderr == "WARNING! This will remove all stopped containers.\n"
    assert names(three) == "made ended runs"
    assert "Deleted Containers" in three("container", "prune", input="y\n").stdout
    assert names(three) == "runs"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("label=keep", "ended runs"),
        ("label!=keep", "made runs"),
        ("until=1h", "made ended runs"),
        ("until=0s", "runs"),
        ("until=2020-01-01", "made ended runs"),
    ],
)
def test_only_some(three: Command, text: str, left: str) -> None:
    three("container", "prune", "-f", "--filter", text)
    assert names(three) == left


@pytest.mark.parametrize("text", ["bogus=1", "until=never"])
def test_what_is_no_filter(three: Command, text: str) -> None:
    assert "invalid filter" in three("container", "prune", "-f", "--filter", text, code=1).stderr
    assert names(three) == "made ended runs"


def test_images_that_nobody_uses(alpine: Command) -> None:
    alpine("create", "--name", "box", "alpine")
    alpine("image", "prune", "-af")
    assert "alpine" in alpine.output("images")
    alpine("rm", "box")
    assert "untagged: alpine:latest" in alpine.output("image", "prune", "-af")
    assert alpine.output("images", "-q") == ""
