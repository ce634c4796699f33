"""Which paths of a build context do not exist for the build: the patterns of .dockerignore.

Docker's rules: patterns are Go's `filepath.Match` with `**` for any number of directories; one
that matches a directory matches all below it; `!` makes exceptions; the last one that matches
counts. Patterns are compiled once into automata over the components of paths, so that a walk
pays for each name once, and knows of an ignored directory whether anything below it may count.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from proa.errors import InvalidArgument

_ANY_DEPTH = "**"
_MOST_FORMS = 16
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a path."""

    ignored: bool
    excepted_below: bool
    """it is ignored, but an exception may match something below it"""
    _matched: int
    """the number of the last pattern that matched it or a directory above; -1: none"""
    _live: tuple[tuple[int, _Form, tuple[int, ...]], ...]
    """forms that may match below, and how far they have come"""


class Ignore:
    """The patterns of one file."""

    def __init__(self, patterns: list[str] | tuple[str, ...]) -> None:
        """Raises InvalidArgument for a pattern that is not well formed."""
        self.patterns = tuple(patterns)
        self._is_exception: list[bool] = []
        live: list[tuple[int, _Form, tuple[int, ...]]] = []
        for pattern in patterns:
            number = len(self._is_exception)
            self._is_exception.append(pattern.startswith("!"))
            for form in _forms(pattern.removeprefix("!"), pattern):
                live.append((number, form, form.start))
        self.root = State(False, False, -1, tuple(live))

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """The patterns in the text of a .dockerignore file. Raises InvalidArgument."""
        patterns = []
        for line in text.removeprefix(_BYTE_ORDER_MARK).splitlines():
            if line.startswith("#"):
                continue
            pattern = line.strip()
            mark = ""
            if pattern.startswith("!"):
                mark, pattern = "!", pattern[1:].strip()
                if not pattern:
                    raise InvalidArgument('illegal exclusion pattern: "!"')
            if not pattern:
                continue
            patterns.append(mark + clean(pattern))
        return cls(patterns)

    def enter(self, state: State, name: str) -> State:
        """The state of `name` in the directory whose state is `state`."""
        matched = state._matched
        live = []
        for number, form, positions in state._live:
            reached = form.step(positions, name)
            if not reached:
                continue
            if form.is_end(reached):
                matched = max(matched, number)
            if form.goes_on(reached):
                live.append((number, form, reached))
        ignored = matched >= 0 and not self._is_exception[matched]
        below = ignored and any(
            self._is_exception[number] and number > matched for number, _, _ in live
        )
        return State(ignored, below, matched, tuple(live))

    def is_ignored(self, path: str) -> bool:
        """Whether `path`, relative to the context, is ignored; the context itself never is."""
        state = self.root
        for name in path.strip("/").split("/"):
            if name not in ("", "."):
                state = self.enter(state, name)
        return state.ignored

    def __bool__(self) -> bool:
        return bool(self.patterns)


def clean(pattern: str) -> str:
    """The pattern as Go's `filepath.Clean` has it, without a slash before it."""
    cleaned = posixpath.normpath(pattern)
    # POSIX lets two slashes mean something: here they do not
    return cleaned.lstrip("/") or "/"


class _Form:
    """A pattern as a list of components: numbers of those consumed are its positions."""

    __slots__ = ("_components", "_length", "start")

    def __init__(self, components: tuple[str, ...], pattern: str) -> None:
        self._components = [
            None if component == _ANY_DEPTH else compile_component(component, pattern)
            for component in components
        ]
        self._length = len(components)
        self.start = self._closed({0})

    def step(self, positions: tuple[int, ...], name: str) -> tuple[int, ...]:
        reached: set[int] = set()
        for position in positions:
            if position == self._length:
                continue
            component = self._components[position]
            if component is None:
                reached.add(position)
                if position == self._length - 1:
                    reached.add(position + 1)
            elif component == name if isinstance(component, str) else component.fullmatch(name):
                reached.add(position + 1)
        return self._closed(reached) if reached else ()

    def is_end(self, positions: tuple[int, ...]) -> bool:
        return self._length in positions

    def goes_on(self, positions: tuple[int, ...]) -> bool:
        return any(position < self._length for position in positions)

    def _closed(self, positions: set[int]) -> tuple[int, ...]:
        """With those that are reached where `**` stands for no directory at all.

        At a pattern's end it stands for something: `a/**` is not `a`.
        """
        for position in sorted(positions):
            while position < self._length - 1 and self._components[position] is None:
                position += 1
                positions.add(position)
        return tuple(positions)


def _forms(pattern: str, written: str) -> list[_Form]:
    forms: list[tuple[str, ...]] = [()]
    for component in pattern.split("/"):
        choices = _choices(component)
        forms = [(*form, *choice) for form in forms for choice in choices]
        if len(forms) > _MOST_FORMS:
            raise InvalidArgument(f"the pattern {written!r} has too many '**' inside of names")
    return [_Form(form, written) for form in forms]


def _choices(component: str) -> list[tuple[str, ...]]:
    """What a component means: with `**` inside of it, a name, or several directories."""
    if component == _ANY_DEPTH or _ANY_DEPTH not in component or "\\" in component:
        return [(component,)]
    left, _, right = component.partition(_ANY_DEPTH)
    right = right.lstrip("*")
    first = (f"{left}*",) if left else ()
    found = []
    for choice in _choices(f"*{right}" if right else "*"):
        found.append((*first, _ANY_DEPTH, *choice))
    if left:
        found += [(f"{left}{choice[0]}", *choice[1:]) for choice in _choices(f"*{right}")]
    return found


def compile_component(component: str, pattern: str) -> str | re.Pattern[str]:
    """A matcher of one name: the name itself where it has no wildcard.

    Each `*` but the last is atomic: it takes the least that lets what follows match, and there
    is no other choice to come back to. Otherwise matching could take exponential time.
    """
    if not any(character in component for character in "*?[\\"):
        return component
    parts: list[list[str]] = [[]]
    position = 0
    while position < len(component):
        character = component[position]
        position += 1
        if character == "*":
            parts.append([])
        elif character == "?":
            parts[-1].append(".")
        elif character == "\\":
            if position == len(component):
                raise InvalidArgument(f"syntax error in pattern {pattern!r}: it ends with '\\'")
            parts[-1].append(re.escape(component[position]))
            position += 1
        elif character == "[":
            text, position = _class(component, position, pattern)
            parts[-1].append(text)
        else:
            parts[-1].append(re.escape(character))
    first, *others = ["".join(part) for part in parts]
    if not others:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{part})" for part in others[:-1] if part)
    return re.compile(f"{first}{middle}.*{others[-1]}", re.DOTALL)


def _class(component: str, position: int, pattern: str) -> tuple[str, int]:
    """The regular expression of the characters in brackets, and the position behind them."""
    broken = InvalidArgument(f"syntax error in pattern {pattern!r}: a '[' is not closed")
    negated = component[position : position + 1] == "^"
    position += negated
    ranges = []
    while True:
        low, position = _class_character(component, position, broken)
        high = low
        if component[position : position + 1] == "-":
            high, position = _class_character(component, position + 1, broken)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        if component[position : position + 1] == "]":
            break
    inner = "".join(ranges)
    if not inner:
        return ("." if negated else "(?!)"), position + 1
    return f"[{'^' if negated else ''}{inner}]", position + 1


def _class_character(component: str, position: int, broken: InvalidArgument) -> tuple[str, int]:
    character = component[position : position + 1]
    if character in ("", "]", "-"):
        raise broken
    if character == "\\":
        position += 1
        character = component[position : position + 1]
        if not character:
            raise broken
    return character, position + 1
