from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proa.lean.json import dumps, loads, quote

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_it_reads_what_the_standard_library_writes(value: Any) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, indent=2, ensure_ascii=False).encode()) == value


@given(VALUES)
def test_the_standard_library_reads_what_it_writes(value: Any) -> None:
    assert json.loads(dumps(value)) == value
    assert dumps(value) == json.dumps(value, separators=(",", ":"))
    assert dumps(value, sort_keys=True) == json.dumps(value, separators=(",", ":"), sort_keys=True)


@given(st.text())
def test_quote_keeps_characters(text: str) -> None:
    assert quote(text) == json.dumps(text, ensure_ascii=False)


@pytest.mark.parametrize(
    "text", ["", " ", "{", "[1,]", "{'a': 1}", "1 2", "nul", '"a', b"\xff", "NaN", "[Infinity]"]
)
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_an_error_says_where() -> None:
    with pytest.raises(ValueError, match=r"line 2 column 2"):
        loads('{"a": 1,\n x}')


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), [float("nan")], {"a": float("inf")}])
def test_what_json_does_not_have(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        dumps(value)


def test_errors_without_the_standard_library_loaded() -> None:
    """The C scanner wants `json.decoder` to raise its errors: a fresh process has none."""
    program = (
        "import sys; from proa.lean.json import loads\n"
        "assert 'json' not in sys.modules\n"
        "try: loads('[1,')\n"
        "except ValueError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": "src"},
    )
    assert "line 1" in result.stdout
