"""SQLite through the standard library's C module, without its Python.

`import sqlite3` costs 4 ms, nearly all of it for Python modules around `_sqlite3` that are not
used here: datetime adapters, and `functools` for the one name `lru_cache`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from sqlite3 import Connection
    from typing import Any


def connect(path: str, *, timeout: float = 30.0) -> Connection:
    """Open the database file `path` in autocommit mode; the caller says BEGIN itself.

    `timeout`: seconds to wait for another process's transaction.
    """
    module = _load()
    connection: Connection = module.connect(path, timeout=timeout, isolation_level=None)
    return connection


def error_types() -> tuple[type[Exception], type[Exception]]:
    """The module's `OperationalError` (busy, full, unreadable) and `IntegrityError`."""
    module = _load()
    return module.OperationalError, module.IntegrityError


def _load() -> Any:
    if "_sqlite3" in sys.modules or "functools" in sys.modules:
        import _sqlite3

        return _sqlite3
    # _sqlite3 asks functools for lru_cache while it loads, to cache prepared statements. The
    # real functools would bring collections and half of what this module is there to avoid:
    # 2.3 ms. The cache itself is C, in _functools.
    stand_in = type(sys)("functools")
    stand_in.lru_cache = _lru_cache  # type: ignore[attr-defined]
    sys.modules["functools"] = stand_in
    try:
        import _sqlite3
    finally:
        del sys.modules["functools"]
    return _sqlite3


def _lru_cache(maxsize: int) -> Callable[[Any], Any]:
    import _functools  # type: ignore[import-not-found]

    return lambda function: _functools._lru_cache_wrapper(function, maxsize, False, tuple)
