from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from proa.engine.images import Images
from proa.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "root"))


@pytest.fixture
def images(store: Store) -> Images:
    return Images(store)


@pytest.fixture
def contents(store: Store) -> Callable[[], list[str]]:
    """What lies in the store beside its database."""
    return lambda: sorted(
        f"{place}/{name}"
        for place in ("blobs/sha256", "ingest", "layers", "run/leases", "run/locks")
        for name in os.listdir(store.path(place))
    )
