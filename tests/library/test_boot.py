"""`engine.boot` and `engine.halt`."""

from __future__ import annotations

import pytest

from proa import Engine
from tests.support.command import Command

pytestmark = pytest.mark.root


def test_halt_and_boot(alpine: Command) -> None:
    with Engine(alpine.root) as engine:
        assert engine.boot() == engine.halt() == []
        policy = {"Name": "always"}
        kept = engine.containers.run(
            "alpine", "sleep 100", detach=True, stop_timeout=0, restart_policy=policy
        )
        plain = engine.containers.run("alpine", "sleep 100", detach=True, stop_timeout=0)
        try:
            halted = engine.halt()
            assert {outcome.name for outcome in halted} == {kept.name, plain.name}
            assert [outcome.error for outcome in halted] == [None, None]
            assert [outcome.name for outcome in engine.boot()] == [kept.name]
            kept.reload()
            plain.reload()
            assert (kept.status, plain.status) == ("running", "exited")
        finally:
            kept.remove(force=True)
            plain.remove(force=True)
