"""Signals by name and number."""

from __future__ import annotations

import _signal

from proa.errors import InvalidArgument


def parse(text: str) -> int:
    """`TERM`, `SIGTERM`, `15`, `SIGRTMIN+3` as a number. Raises InvalidArgument."""
    if text.isdecimal():
        number = int(text)
    else:
        name, plus, offset = text.upper().removeprefix("SIG").partition("+")
        name, minus, down = (name, "", "") if plus else name.partition("-")
        number = getattr(_signal, f"SIG{name}", 0) if name.isalnum() else 0
        if number and plus and offset.isdecimal():
            number += int(offset)
        elif number and minus and down.isdecimal():
            number -= int(down)
        elif plus or minus:
            number = 0
    if not 1 <= number <= 64:
        raise InvalidArgument(f"invalid signal: {text}; give a name such as SIGTERM, or 1 to 64")
    return int(number)
