"""What registries send is parsed without ever raising, and what we can write is read as it was."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from proa.distribution.answers import printable, refusal
from proa.distribution.headers import (
    Challenge,
    challenges,
    content_range,
    next_page,
    received,
    retry_after,
)
from proa.errors import InvalidArgument
from proa.oci.reference import Reference

TOKENS = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1)
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]))
CHALLENGES = st.builds(
    Challenge, TOKENS.map(str.lower), st.dictionaries(TOKENS.map(str.lower), VALUES, min_size=1)
)


def written(challenge: Challenge) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    pairs = [f"{name}={quoted(value)}" for name, value in challenge.parameters.items()]
    return f"{challenge.scheme} {', '.join(pairs)}"


@given(st.lists(CHALLENGES, max_size=4))
def test_challenges_are_read_as_they_were_written(given_: list[Challenge]) -> None:
    assert challenges(map(written, given_)) == given_
    assert challenges([", ".join(map(written, given_))]) == given_


@given(st.lists(st.text() | st.text('Bbearsic "=,\\ \t'), max_size=3))
def test_no_challenge_is_too_strange(values: list[str]) -> None:
    for challenge in challenges(values):
        assert challenge.scheme == challenge.scheme.lower() != ""


@given(st.integers(0, 1 << 50), st.integers(0, 1 << 50), st.integers(1, 1 << 50) | st.none())
def test_content_ranges_are_read_as_they_were_written(
    first: int, length: int, more: int | None
) -> None:
    last = first + length
    size = None if more is None else last + more
    text = f"bytes {first}-{last}/{'*' if size is None else size}"
    assert content_range(text) == (first, last, size)
    assert received(f"0-{last}") == (last + 1 if last else 0)


@given(st.text() | st.text("bytes=0123456789-/* ") | st.text('<>;,rel=next" '))
def test_no_header_is_too_strange(text: str) -> None:
    found = content_range(text)
    assert found is None or 0 <= found[0] <= found[1]
    arrived = received(text)
    assert arrived is None or arrived >= 0
    seconds = retry_after(text)
    assert seconds is None or seconds >= 0
    next_page(text)


@given(st.binary() | st.text('{}[]":,errorscodemessage \x1b').map(str.encode))
def test_what_a_refusal_says_is_safe_for_a_terminal(body: bytes) -> None:
    assert refusal(500, body).text.isprintable()


@given(st.text())
def test_a_server_s_text_is_one_short_line(text: str) -> None:
    found = printable(text)
    assert found.isprintable() and len(found) <= 300


COMPONENT = st.from_regex(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", fullmatch=True)


@given(
    st.sampled_from(["docker.io", "localhost", "localhost:5000", "quay.io", "[::1]:5000", "a.b:1"]),
    st.lists(COMPONENT.filter(lambda text: len(text) < 60), min_size=2, max_size=3),
    st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True),
    st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
)
def test_references_are_read_as_they_were_written(
    domain: str, components: list[str], tag: str | None, digest: str | None
) -> None:
    text = f"{domain}/{'/'.join(components)}"
    text += f":{tag}" if tag else ""
    text += f"@{digest}" if digest else ""
    reference = Reference.parse(text)
    assert str(reference) == text
    assert Reference.parse(reference.familiar) == reference


@given(st.text() | st.text("abc/.:@_-ABC0123[]"))
def test_a_reference_leads_nowhere_but_into_a_registry(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidArgument:
        return
    for component in reference.path.split("/"):
        assert component.strip(".") == component != ""
    assert not set("/?#% \\@") & set(reference.domain)
    assert not set("?#% \\@:") & set(reference.path)
