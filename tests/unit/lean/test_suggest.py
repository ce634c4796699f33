from __future__ import annotations

import pytest

from proa.lean.suggest import distance, nearest


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [
        ("run", "run", 0),
        ("rnu", "run", 1),
        ("ru", "run", 1),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
    ],
)
def test_distance(first: str, second: str, edits: int) -> None:
    assert distance(first, second) == edits
    assert distance(second, first) == edits


def test_nearest_is_near() -> None:
    known = ("run", "rm", "rmi", "restart", "rename")
    assert nearest("rnu", known) == "run"
    assert nearest("restrat", known) == "restart"
    assert nearest("rena", known) == "rename"
    assert nearest("bananas", known) is None
