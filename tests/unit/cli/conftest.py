from __future__ import annotations

import pytest

from tests.unit.cli.support import Proa


@pytest.fixture
def proa(monkeypatch: pytest.MonkeyPatch) -> Proa:
    return Proa(monkeypatch)
