"""Patterns in the expansion of variables: `*` and `?`, as in `${name%%.*}`.

Bracket expressions are none there, as BuildKit has it. Matching takes time in proportion to the
lengths of pattern and text: these come from strangers.
"""

from __future__ import annotations

from proa.errors import InvalidArgument

_ANY = "*"
_ONE = "?"
Tokens = tuple[tuple[bool, str], ...]
"""(whether it is a wildcard, the character)"""


def compile_pattern(pattern: str) -> Tokens:
    """The pattern's tokens. Raises InvalidArgument for an escape that it cannot have."""
    tokens: list[tuple[bool, str]] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "\\":
            escaped = pattern[position : position + 1]
            if escaped not in ("*", "?", "\\", "}", "/"):
                raise InvalidArgument(f"invalid escape '\\{escaped}'")
            position += 1
            tokens.append((False, escaped))
        else:
            tokens.append((character in (_ANY, _ONE), character))
    return tuple(tokens)


def match_prefix(tokens: Tokens, text: str, start: int = 0, *, longest: bool) -> int | None:
    """Where the shortest or longest match ends that begins at `start`; None: there is none."""
    end = len(tokens)
    states = _closure(tokens, {0})
    found = None
    position = start
    while True:
        if end in states:
            found = position
            if not longest:
                return found
        if position == len(text) or not states:
            return found
        character = text[position]
        reached = set()
        for state in states:
            if state == end:
                continue
            wild, token = tokens[state]
            if wild and token == _ANY:
                reached.add(state)
            elif wild or token == character:
                reached.add(state + 1)
        states = _closure(tokens, reached)
        position += 1


def without_prefix(pattern: str, text: str, *, longest: bool) -> str:
    """`text` without what `pattern` matches at its beginning."""
    end = match_prefix(compile_pattern(pattern), text, longest=longest)
    return text if end is None else text[end:]


def without_suffix(pattern: str, text: str, *, longest: bool) -> str:
    """`text` without what `pattern` matches at its end."""
    end = match_prefix(compile_pattern(pattern)[::-1], text[::-1], longest=longest)
    return text if end is None else text[: len(text) - end]


def replaced(pattern: str, replacement: str, text: str, *, all: bool) -> str:
    """`text` with the first, or each, longest match of `pattern` replaced.

    What is empty matches nowhere.
    """
    tokens = compile_pattern(pattern)
    parts = []
    position = copied = 0
    while position < len(text):
        end = match_prefix(tokens, text, position, longest=True)
        if end is None or end == position:
            position += 1
            continue
        parts += [text[copied:position], replacement]
        position = copied = end
        if not all:
            break
    return "".join([*parts, text[copied:]])


def _closure(tokens: Tokens, states: set[int]) -> set[int]:
    """`states` with those that are reached by letting `*` match nothing."""
    pending = list(states)
    while pending:
        state = pending.pop()
        if state < len(tokens) and tokens[state] == (True, _ANY) and state + 1 not in states:
            states.add(state + 1)
            pending.append(state + 1)
    return states
