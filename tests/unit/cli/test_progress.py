"""What is shown of a transfer, on a terminal and elsewhere."""

from __future__ import annotations

import os
import pty
import termios

import pytest

from proa.cli.progress import Lines, Terminal, display
from proa.image.progress import Progress

NOTICES = [
    Progress("Pulling from a", "1"),
    Progress("Pulling fs layer", "aaa"),
    Progress("Pulling fs layer", "bbb"),
    Progress("Downloading", "aaa", 500_000, 2_000_000),
    Progress("Pull complete", "bbb"),
    Progress("Pull complete", "aaa"),
    Progress("done"),
]


def test_lines_have_no_amounts() -> None:
    reader, writer = os.pipe()
    shown = display(writer)
    assert isinstance(shown, Lines)
    for notice in NOTICES:
        shown(notice)
    os.close(writer)
    with open(reader) as file:
        assert file.read().splitlines() == [
            "1: Pulling from a",
            "aaa: Pulling fs layer",
            "bbb: Pulling fs layer",
            "bbb: Pull complete",
            "aaa: Pull complete",
            "done",
        ]


def screen(data: str) -> list[str]:
    """What a terminal shows after these bytes: just the sequences that are used."""
    rows = [""]
    row = 0
    position = 0
    while position < len(data):
        if data.startswith("\x1b[", position):
            end = position + 2
            while data[end].isdecimal():
                end += 1
            number, letter = data[position + 2 : end], data[end]
            if letter == "A":
                row -= int(number)
            elif letter == "B":
                row += int(number)
            else:
                assert (number, letter) == ("2", "K")
                rows[row] = ""
            position = end + 1
            continue
        if data[position] == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif data[position] != "\r":
            rows[row] += data[position]
        position += 1
    return rows


def read_until(terminal: int, last: str) -> str:
    """What was written: a terminal gives it in pieces of its own choosing."""
    data = ""
    while not data.endswith(last):
        data += os.read(terminal, 65536).decode()
    return data


@pytest.mark.parametrize("columns", [200, 30])
def test_a_terminal_has_one_line_for_each_layer(columns: int) -> None:
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, (24, columns))
        shown = display(theirs)
        assert isinstance(shown, Terminal)
        for notice in NOTICES[:4]:
            shown(notice)
        rows = screen(read_until(ours, "\x1b[2B"))
        if columns == 200:
            bar = "[" + "=" * 12 + ">" + " " * 37 + "]"
            assert rows == [
                "1: Pulling from a",
                f"aaa: Downloading {bar}          500kB/2MB",
                "bbb: Pulling fs layer",
                "",
            ]
        else:
            assert rows[1] == "aaa: Downloading 500kB/2MB"
            assert all(len(row) < columns for row in rows)
        for notice in NOTICES[4:]:
            shown(notice)
        after = read_until(ours, "done\r\n")
        assert after.count("Pull complete") == 2 and after.endswith("done\r\n")
    finally:
        os.close(ours)
        os.close(theirs)
