from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from proa.lean.sqlite import connect, error_types


def test_statements_and_parameters(tmp_path: Path) -> None:
    connection = connect(str(tmp_path / "a.db"))
    connection.execute("CREATE TABLE t (name TEXT PRIMARY KEY, size INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [("a", 1), ("b", 2)])
    assert connection.execute("SELECT size FROM t WHERE name = ?", ("b",)).fetchone() == (2,)
    connection.close()


def test_it_commits_by_itself_outside_of_transactions(tmp_path: Path) -> None:
    one, two = connect(str(tmp_path / "a.db")), connect(str(tmp_path / "a.db"))
    one.execute("CREATE TABLE t (x)")
    one.execute("INSERT INTO t VALUES (1)")
    assert two.execute("SELECT x FROM t").fetchall() == [(1,)]
    one.execute("BEGIN")
    one.execute("INSERT INTO t VALUES (2)")
    assert two.execute("SELECT x FROM t").fetchall() == [(1,)]
    one.execute("ROLLBACK")
    one.close()
    two.close()


def test_errors_have_their_types(tmp_path: Path) -> None:
    operational, integrity = error_types()
    connection = connect(str(tmp_path / "a.db"), timeout=0.01)
    connection.execute("CREATE TABLE t (x UNIQUE)")
    connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(integrity):
        connection.execute("INSERT INTO t VALUES (1)")
    other = connect(str(tmp_path / "a.db"), timeout=0.01)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(operational, match="locked"):
        connection.execute("INSERT INTO t VALUES (2)")
    other.close()
    connection.close()


def test_it_brings_no_python_modules_along() -> None:
    """The point of it: neither `sqlite3` nor the real `functools` is loaded."""
    program = (
        "import sys; sys.path.insert(0, 'src')\n"
        "from proa.lean.sqlite import connect\n"
        "connect(':memory:').execute('SELECT 1').fetchone()\n"
        "print(*sorted({'sqlite3', 'functools', 'collections', 're'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


def test_the_standard_library_still_works_afterwards() -> None:
    program = (
        "import sys; sys.path.insert(0, 'src')\n"
        "from proa.lean.sqlite import connect\n"
        "connect(':memory:')\n"
        "import functools, sqlite3\n"
        "assert functools.lru_cache(lambda: 1)() == 1 and functools.partial\n"
        "print(sqlite3.connect(':memory:').execute('SELECT 1').fetchone())"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "(1,)"
