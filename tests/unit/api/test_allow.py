from __future__ import annotations

import pytest

from proa.api.allow import rules
from proa.errors import InvalidArgument


def test_without_rules_everything_is_served() -> None:
    allows = rules([], read_only=False)
    assert allows("POST", "/containers/create")
    assert allows("GET", "/info")


def test_only_what_a_rule_says() -> None:
    allows = rules(["GET /containers/**", "POST /containers/*/restart"], read_only=False)
    assert allows("GET", "/containers/json")
    assert allows("HEAD", "/containers/a/archive")
    assert allows("POST", "/containers/web/restart")
    assert allows("GET", "/_ping")
    assert not allows("POST", "/containers/a/b/restart")
    assert not allows("POST", "/containers/web/exec")
    assert not allows("GET", "/images/json")


def test_read_only() -> None:
    allows = rules([], read_only=True)
    assert allows("GET", "/containers/json")
    assert not allows("POST", "/containers/a/start")
    assert not allows("GET", "/containers/a/attach/ws")


@pytest.mark.parametrize("rule", ["", "GET", "FETCH /x", "GET containers"])
def test_what_is_no_rule(rule: str) -> None:
    with pytest.raises(InvalidArgument, match="is no rule"):
        rules([rule], read_only=False)
