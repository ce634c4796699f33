"""Laws of a Dockerfile's words and patterns."""

from __future__ import annotations

import posixpath
import re

from hypothesis import given
from hypothesis import strategies as st

from proa import DockerfileError, InvalidArgument
from proa.build.dockerfile.ignore import Ignore
from proa.build.dockerfile.source import Source
from proa.build.dockerfile.stages import read
from proa.build.dockerfile.words import expand

NAMES = st.sampled_from(["a", "b", "ab", "ba", "a.b"])
COMPONENTS = st.sampled_from(["a", "b", "ab", "*", "**", "?", "a*", "*b", "a?", "[ab]", "a.b"])
PATTERNS = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)


@given(st.text())
def test_single_quotes_keep_all(text: str) -> None:
    text = text.replace("'", "")
    assert expand(f"'{text}'", {"a": "x"}).text == text


@given(st.text())
def test_escapes_keep_each_character(text: str) -> None:
    escaped = "".join(f"\\{character}" for character in text)
    found = expand(escaped, {"a": "x"})
    assert found.text == text
    assert found.words == ([text] if text else [])


@given(st.text(alphabet="abc${}:-+?#%/'\"\\* \t"), st.text(alphabet="ab/*"))
def test_whatever_is_written_is_expanded_or_refused(text: str, value: str) -> None:
    try:
        found = expand(text, {"a": value, "b": ""})
    except InvalidArgument:
        return
    assert found.used <= {"a", "b"}
    assert all(found.words)


@given(st.text(alphabet="ab*?."), st.text(alphabet="ab.", max_size=12))
def test_longest_and_shortest_trim_what_a_regular_expression_finds(
    pattern: str, value: str
) -> None:
    expression = "".join(
        {"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern
    )
    ends = [end for end in range(len(value) + 1) if re.fullmatch(expression, value[:end])]
    longest = expand(f"${{v##{pattern}}}", {"v": value}).text
    shortest = expand(f"${{v#{pattern}}}", {"v": value}).text
    assert longest == (value[max(ends) :] if ends else value)
    if not pattern.startswith("#"):
        assert shortest == (value[min(ends) :] if ends else value)


def reference(pattern: str) -> re.Pattern[str]:
    """Docker's documentation of patterns, as one regular expression."""
    parts = posixpath.normpath(pattern).split("/")
    text = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            text += ".+" if last else "(?:.*/)?"
            continue
        text += part.replace(".", r"\.").replace("*", "[^/]*").replace("?", "[^/]")
        if not last:
            text += "/"
    return re.compile(text)


@given(
    st.lists(st.tuples(st.booleans(), PATTERNS), max_size=4),
    st.lists(NAMES, min_size=1, max_size=5),
)
def test_the_last_pattern_that_matches_a_path_or_one_above_counts(
    patterns: list[tuple[bool, str]], names: list[str]
) -> None:
    ignore = Ignore.parse("\n".join(("!" if negated else "") + text for negated, text in patterns))
    above = ["/".join(names[:count]) for count in range(1, len(names) + 1)]
    expected = False
    for negated, pattern in patterns:
        if any(reference(pattern).fullmatch(path) for path in above):
            expected = not negated
    assert ignore.is_ignored("/".join(names)) == expected


@given(st.lists(PATTERNS, min_size=1, max_size=3), st.lists(NAMES, min_size=2, max_size=4))
def test_a_directory_without_exceptions_has_none_below(
    patterns: list[str], names: list[str]
) -> None:
    ignore = Ignore.parse("\n".join(["**", *(f"!{pattern}" for pattern in patterns)]))
    state = ignore.root
    for position, name in enumerate(names):
        state = ignore.enter(state, name)
        if state.ignored and not state.excepted_below:
            for below in range(position + 1, len(names) + 1):
                assert ignore.is_ignored("/".join(names[:below]))


@given(st.text(alphabet="FROMRUNCPYadeg <-=\\\n\"'#[],$\t\r`"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        dockerfile = read(Source(f"FROM a\n{text}"))
    except DockerfileError as error:
        assert error.line >= 1
        return
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            assert 1 <= instruction.span.first <= instruction.span.last
