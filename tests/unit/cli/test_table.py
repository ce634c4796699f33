from __future__ import annotations

import pytest

from proa.cli.table import layout, quoted, tabbed, truncated


def test_a_column_is_as_wide_as_its_widest_cell_and_three() -> None:
    rows = [["CONTAINER ID", "IMAGE", "NAMES"], ["0123456789ab", "docker.io/x/y:z", "web"]]
    assert layout(rows) == (
        "CONTAINER ID   IMAGE             NAMES\n0123456789ab   docker.io/x/y:z   web\n"
    )


def test_a_column_is_ten_wide_at_least() -> None:
    assert layout([["A", "B"], ["x", "y"]]) == "A         B\nx         y\n"


def test_a_line_without_a_column_ends_it() -> None:
    assert tabbed("a\tb\nplain\nwide-wide-wide\tb\n") == (
        "a         b\nplain\nwide-wide-wide   b\n"
    )


def test_characters_count_not_bytes() -> None:
    assert layout([["größe-größe", "x"]]) == "größe-größe   x\n"


def test_nothing() -> None:
    assert layout([]) == ""
    assert tabbed("") == ""


@pytest.mark.parametrize(
    ("text", "length", "short"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("", 3, ""), ("abc", 1, "a")],
)
def test_truncation(text: str, length: int, short: str) -> None:
    assert truncated(text, length) == short


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", '"a b"'),
        ('say "x"\n', '"say \\"x\\"\\n"'),
        ("\x1b[31m", '"\\x1b[31m"'),
        ("é\u200b", '"é\\u200b"'),
        ("\udcff", '"\\xff"'),
    ],
)
def test_quotes(text: str, shown: str) -> None:
    assert quoted(text) == shown
