"""`--chmod` and `--chown` of COPY and ADD."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument
from proa.monitor.user import look_up

if TYPE_CHECKING:
    from collections.abc import Callable

_CLAUSE = re.compile(r"([ugoa]*)((?:[+=-][rwxXst]*)+)")
_ACTION = re.compile(r"([+=-])([rwxXst]*)")
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}


def parse_mode(text: str) -> Callable[[int, bool], int]:
    """What makes a new mode of an old one, given whether it is a directory's.

    `text`: octal, or symbolic as chmod(1) has it: `u=rwX,go=rX`. Raises InvalidArgument.
    """
    if re.fullmatch(r"0?[0-7]{1,4}", text):
        fixed = int(text, 8)
        return lambda _mode, _is_directory: fixed
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
    if not all(clauses):
        raise InvalidArgument(
            f"invalid chmod parameter: {text!r}: it is octal between 0 and 07777, or as u=rwX,go=rX"
        )

    def change(mode: int, is_directory: bool) -> int:
        for clause in clauses:
            assert clause is not None
            who = 0
            for letter in clause[1] or "a":
                who |= _WHO[letter]
            for operator, letters in _ACTION.findall(clause[2]):
                bits = _bits(letters, mode, is_directory) & who
                if operator == "+":
                    mode |= bits
                elif operator == "-":
                    mode &= ~bits
                else:
                    mode = (mode & ~(who & 0o777)) | bits
        return mode & 0o7777

    return change


def _bits(letters: str, mode: int, is_directory: bool) -> int:
    bits = 0
    for letter in letters:
        if letter == "X":
            bits |= 0o111 if is_directory or mode & 0o111 else 0
        elif letter == "s":
            bits |= 0o6000
        elif letter == "t":
            bits |= 0o1000
        else:
            bits |= _BITS[letter]
    return bits


def find_owner(root: int, text: str) -> tuple[int, int]:
    """The user and group of `user[:group]`, looked up in the file system `root`.

    Without a group it is the one of the user's number. Raises NotFound, InvalidArgument.
    """
    user, colon, _ = text.partition(":")
    if not user and not colon:
        raise InvalidArgument("--chown needs USER[:GROUP]")
    found = look_up(root, text if text.partition(":")[2] else user)
    return found.uid, found.gid if text.partition(":")[2] else found.uid
