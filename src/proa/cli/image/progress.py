"""How a build is shown: plain lines, a live tree on a terminal, raw JSON, or nothing.

The forms are those of BuildKit's client, which people and scripts know.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from proa.build import events
from proa.cli.output import STDERR, warn, write_bytes
from proa.errors import InvalidArgument
from proa.lean import clock

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("auto", "plain", "tty", "quiet", "rawjson")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")
_REDRAW = 0.1
_LOG_LINES = 6
_BLUE, _RED, _DIM, _PLAIN = "\x1b[34m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


class Progress(Protocol):
    """Shows events."""

    def __call__(self, event: events.Event) -> None:
        """Show one."""

    def close(self) -> None:
        """There are no more."""


def progress(kind: str) -> Progress:
    """The form of that name. Raises InvalidArgument."""
    if kind not in KINDS:
        raise InvalidArgument(f"invalid progress mode {kind!r}; there are {', '.join(KINDS)}")
    if kind == "auto":
        kind = "tty" if os.isatty(STDERR) and os.environ.get("TERM", "dumb") != "dumb" else "plain"
    if kind == "tty" and not os.isatty(STDERR):
        raise InvalidArgument("--progress=tty needs a terminal; leave it away, or use plain")
    shown: dict[str, Callable[[], Progress]] = {
        "plain": Plain,
        "tty": Live,
        "rawjson": RawJson,
        "quiet": Quiet,
    }
    return shown[kind]()


@dataclass(slots=True)
class _Step:
    name: str
    began: float
    lines: list[str] = field(default_factory=list)
    partial: dict[int, bytes] = field(default_factory=dict)
    finished: events.StepFinished | None = None

    def take(self, event: events.StepOutput) -> list[str]:
        """The lines that are complete now."""
        *whole, rest = (self.partial.get(event.stream, b"") + event.data).split(b"\n")
        if len(rest) > 1 << 16:
            whole, rest = [*whole, rest], b""
        self.partial[event.stream] = rest
        return [_clean(line) for line in whole]

    def rest(self) -> list[str]:
        """Lines that never ended."""
        found = [_clean(data) for data in self.partial.values() if data]
        self.partial.clear()
        return found


class Quiet:
    """Nothing."""

    def __call__(self, event: events.Event) -> None:
        """Show one."""

    def close(self) -> None:
        """There are no more."""


class Plain:
    """`#5 [2/4] RUN make`, `#5 0.123 output`, `#5 DONE 1.2s`."""

    def __init__(self) -> None:
        self._steps: dict[int, _Step] = {}

    def __call__(self, event: events.Event) -> None:
        """Show one."""
        match event:
            case events.StepStarted():
                self._steps[event.number] = _Step(event.name, event.time)
                warn(f"#{event.number} {event.name}")
            case events.StepOutput():
                step = self._steps[event.number]
                self._show(event.number, event.time, step, step.take(event))
            case events.StepNote():
                warn(f"#{event.number} {event.text}")
            case events.StepExplained():
                warn(f"#{event.number} not cached: {event.reason}")
            case events.StepFinished():
                step = self._steps[event.number]
                self._show(event.number, event.time, step, step.rest())
                warn(f"#{event.number} {_outcome(event, step)}\n")
            case events.BuildWarning():
                warn(_warning(event))
            case _:
                pass

    def close(self) -> None:
        """There are no more."""

    def _show(self, number: int, now: float, step: _Step, lines: list[str]) -> None:
        if lines:
            start = f"#{number} {now - step.began:.3f} "
            warn("\n".join((start + line).rstrip() for line in lines))


class RawJson:
    """One object a line, with BuildKit's members of a solve status."""

    def __init__(self) -> None:
        self._steps: dict[int, events.StepStarted] = {}

    def __call__(self, event: events.Event) -> None:
        """Show one."""
        data: dict[str, object]
        match event:
            case events.StepStarted():
                self._steps[event.number] = event
                data = {"vertexes": [self._vertex(event.number)]}
            case events.StepOutput():
                import base64

                text = base64.b64encode(event.data).decode()
                data = {
                    "logs": [
                        {
                            "vertex": _digest(event.number),
                            "stream": event.stream,
                            "data": text,
                            "timestamp": _stamp(event.time),
                        }
                    ]
                }
            case events.StepNote():
                data = {
                    "statuses": [
                        {
                            "id": event.text,
                            "vertex": _digest(event.number),
                            "timestamp": _stamp(event.time),
                        }
                    ]
                }
            case events.StepExplained():
                data = {"explanations": [{"vertex": _digest(event.number), "reason": event.reason}]}
            case events.StepFinished():
                vertex = self._vertex(event.number)
                vertex["completed"] = _stamp(event.time)
                if event.cached:
                    vertex["cached"] = True
                if event.error:
                    vertex["error"] = event.error
                data = {"vertexes": [vertex]}
            case events.BuildWarning():
                data = {
                    "warnings": [
                        {"level": 1, "short": f"{event.rule}: {event.message}", "line": event.line}
                    ]
                }
            case _:
                return
        warn(json.dumps(data))

    def close(self) -> None:
        """There are no more."""

    def _vertex(self, number: int) -> dict[str, object]:
        started = self._steps[number]
        return {
            "digest": _digest(number),
            "name": started.name,
            "started": _stamp(started.time),
        }


class Live:
    """A tree that is drawn anew while it changes: steps, their times, the last of their output."""

    def __init__(self) -> None:
        self._steps: dict[int, _Step] = {}
        self._warnings: list[str] = []
        self._drawn = 0
        self._last = 0.0
        self._began = time.time()
        self._done = False
        # a step may be silent for long: its time goes on, and its last words are shown
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def __call__(self, event: events.Event) -> None:
        """Show one."""
        with self._lock:
            self._note(event)
            if time.monotonic() - self._last > _REDRAW:
                self._draw()

    def _tick(self) -> None:
        while not self._closed.wait(_REDRAW):
            with self._lock:
                self._draw()

    def _note(self, event: events.Event) -> None:
        match event:
            case events.StepStarted():
                self._steps[event.number] = _Step(event.name, event.time)
            case events.StepOutput():
                step = self._steps[event.number]
                step.lines = [*step.lines, *step.take(event)][-_LOG_LINES:]
            case events.StepNote():
                self._steps[event.number].lines.append(event.text)
            case events.StepExplained():
                self._steps[event.number].lines.append(f"not cached: {event.reason}")
            case events.StepFinished():
                step = self._steps[event.number]
                step.lines += step.rest()
                step.finished = event
            case events.BuildWarning():
                self._warnings.append(_warning(event))
            case events.BuildFinished():
                self._done = True

    def close(self) -> None:
        """There are no more."""
        self._closed.set()
        self._ticker.join()
        self._draw()
        for warning in self._warnings:
            warn(warning)

    def _draw(self) -> None:
        self._last = time.monotonic()
        now = time.time()
        width, height = os.get_terminal_size(STDERR)
        width, height = width or 80, height or 24
        finished = sum(step.finished is not None for step in self._steps.values())
        state = " FINISHED" if self._done else ""
        lines = [f"[+] Building {now - self._began:.1f}s ({finished}/{len(self._steps)}){state}"]
        for step in self._steps.values():
            lines += self._lines(step, now, width)
        # what has left the screen cannot be drawn anew
        lines = lines[:1] + lines[1:][-max(height - 2, 1) :]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        text = up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J"
        write_bytes(STDERR, text.encode("utf-8", "surrogateescape"))
        self._drawn = len(lines)

    def _lines(self, step: _Step, now: float, width: int) -> list[str]:
        end = step.finished
        mark = "CACHED " if end is not None and end.cached else ""
        mark = "ERROR " if end is not None and end.error else mark
        mark = "CANCELED " if end is not None and end.canceled else mark
        seconds = f"{(now if end is None else end.time) - step.began:.1f}s"
        room = max(width - len(seconds) - 6, 10)
        name = (mark + step.name)[:room]
        color = _RED if end is not None and end.error else _BLUE if end is not None else ""
        found = [f"{color} => {name:<{room}} {seconds}{_PLAIN if color else ''}"]
        if end is None or end.error or any(line.startswith("not cached") for line in step.lines):
            found += [f"{_DIM} => => {line}"[: width + 3] + _PLAIN for line in step.lines]
        return found


def _outcome(event: events.StepFinished, step: _Step) -> str:
    if event.canceled:
        return "CANCELED"
    if event.error:
        return f"ERROR: {event.error}"
    return "CACHED" if event.cached else f"DONE {event.time - step.began:.1f}s"


def _warning(event: events.BuildWarning) -> str:
    return f"WARN: {event.rule}: {event.message} (line {event.line})"


def _clean(line: bytes) -> str:
    """A line without what speaks to the terminal; of what was overwritten, the last."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    return _CONTROL.sub("", text.rpartition("\r")[2])


def _stamp(seconds: float) -> str:
    return clock.from_nanoseconds(int(seconds * 1_000_000_000))


def _digest(number: int) -> str:
    import hashlib

    return f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"
