"""How far a pull or push has got, as Docker shows it: a line for each layer."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from proa.cli.output import STDOUT, write_bytes
from proa.cli.units import decimal_size

if TYPE_CHECKING:
    from typing import Protocol

    from proa.image.progress import Progress

    class Display(Protocol):
        """Whom notices are passed to."""

        def __call__(self, notice: Progress, /) -> None:
            """Show it."""


_BAR = 50


def display(descriptor: int = STDOUT) -> Display:
    """What shows progress on a descriptor: in place on a terminal, else line by line."""
    return Terminal(descriptor) if os.isatty(descriptor) else Lines(descriptor)


class Lines:
    """Each step in a line of its own; how many bytes there are is left out."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def __call__(self, notice: Progress) -> None:
        """Show it."""
        if notice.current is not None:
            return
        with self._lock:
            write_bytes(self._descriptor, f"{_text(notice)}\n".encode())


class Terminal:
    """A line for each layer, rewritten as it goes on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}

    def __call__(self, notice: Progress) -> None:
        """Show it."""
        with self._lock:
            text = self._fitted(notice)
            if not notice.id:
                # what follows a message for all goes below it
                self._rows.clear()
                self._write(f"{text}\n")
                return
            row = self._rows.get(notice.id)
            if row is None:
                self._rows[notice.id] = len(self._rows)
                self._write(f"{text}\n")
                return
            up = len(self._rows) - row
            self._write(f"\x1b[{up}A\r\x1b[2K{text}\r\x1b[{up}B")

    def _write(self, text: str) -> None:
        write_bytes(self._descriptor, text.encode())

    def _fitted(self, notice: Progress) -> str:
        try:
            columns = os.get_terminal_size(self._descriptor).columns or 80
        except OSError:
            columns = 80
        text = _text(notice)
        if notice.current is not None:
            amount = decimal_size(notice.current, 4)
            if notice.total:
                amount += f"/{decimal_size(notice.total, 4)}"
                if columns > 110:
                    done = min(_BAR * notice.current // notice.total, _BAR)
                    arrow = "=" * done + ">" if done < _BAR else "=" * _BAR
                    amount = f"[{arrow:<{_BAR}}] {amount:>18}"
            text = f"{text} {amount}"
        # a line that wraps could not be rewritten
        return text[: columns - 1]


def _text(notice: Progress) -> str:
    return f"{notice.id}: {notice.status}" if notice.id else notice.status
