from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from proa import InvalidArgument
from proa.build.dockerfile.words import Rules, expand

VARIABLES = {"a": "1", "path": "/x/y/z.tar.gz", "empty": "", "two": "b c"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a", "1"),
        ("${a}b", "1b"),
        ("$ab", ""),
        ("a$", "a$"),
        ("$a$a", "11"),
        (r"\$a", "$a"),
        (r"\\$a", r"\1"),
        (r"\a\b", "ab"),
        ("'$a'", "$a"),
        ('"$a"', "1"),
        (r'"\$a \" \\ \n"', r'$a " \ \n'),
        ("a'b c'd", "ab cd"),
        ("${unset:-x y}", "x y"),
        ("${unset-x}", "x"),
        ("${empty:-x}", "x"),
        ("${empty-x}", ""),
        ("${a:+x}", "x"),
        ("${a+x}", "x"),
        ("${empty:+x}", ""),
        ("${empty+x}", "x"),
        ("${unset:+x}", ""),
        ("${unset:-${other:-$a}}", "1"),
        ("${a:?not given}", "1"),
        ("${path#*/}", "x/y/z.tar.gz"),
        ("${path##*/}", "z.tar.gz"),
        ("${path%.*}", "/x/y/z.tar"),
        ("${path%%.*}", "/x/y/z"),
        ("${path%nothing}", "/x/y/z.tar.gz"),
        ("${path/?/-}", "-x/y/z.tar.gz"),
        (r"${path//\//-}", "-x-y-z.tar.gz"),
        ("${path/z*/}", "/x/y/"),
        ("${unset#x}", ""),
        ("$1 $@ $10", "  "),
        ("${two}", "b c"),
        ("ünï$a", "ünï1"),
    ],
)
def test_a_word_is_expanded(text: str, expected: str) -> None:
    assert expand(text, VARIABLES).text == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("'a b' c", ["a b", "c"]),
        (r"a\ b c", ["a b", "c"]),
        ("$two", ["b", "c"]),
        ('"$two"', ["b c"]),
        ("x$two", ["xb", "c"]),
        ("", []),
    ],
)
def test_words_are_split_after_expansion(text: str, words: list[str]) -> None:
    assert expand(text, VARIABLES).words == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'a", "single-quote"),
        ('"a', "double-quote"),
        ("${a", "missing '}'"),
        ("${a:-b", "missing '}'"),
        ("${", "missing '}'"),
        ("${}", "bad substitution"),
        ("${:x}", "bad substitution"),
        ("${a:x}", "unsupported modifier"),
        ("${a^}", "unsupported modifier"),
        ("${a/b}", "missing '/'"),
        ("${a/b/c", "missing '}'"),
        (r"${a#\x}", "invalid escape"),
        ("${unset:?}", "unset: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${unset?say it}", "unset: say it"),
        ("${a:-" * 100 + "}" * 100, "nested"),
    ],
)
def test_what_cannot_be_expanded(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        expand(text, VARIABLES)


def test_it_tells_what_was_used_and_what_was_missing() -> None:
    found = expand("$a $unset ${other:-x} ${third+x}", VARIABLES)
    assert found.used == {"a"}
    assert found.missing == {"unset"}


def test_another_escape_character() -> None:
    assert expand("`$a c:\\$a", VARIABLES, Rules(escape="`")).text == "$a c:\\1"


def test_patterns_are_those_of_a_shell() -> None:
    """Trimming and replacing, compared with bash on words of few letters."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    random.seed(5)
    cases = []
    for _ in range(400):
        value = "".join(random.choices("ab/.", k=random.randrange(1, 8)))
        pattern = "".join(random.choices("ab.*?", k=random.randrange(1, 5)))
        operator = random.choice(["#", "##", "%", "%%"])
        cases.append((value, f"${{x{operator}{pattern}}}"))
        cases.append((value, f"${{x{random.choice(['/', '//'])}{pattern}/-}}"))
    script = "".join(f"x='{value}'; echo \"{text}\"\n" for value, text in cases)
    result = subprocess.run(
        ["bash", "--norc", "-s"], input=script, capture_output=True, text=True, check=True
    )
    for (value, text), expected in zip(cases, result.stdout.splitlines(), strict=True):
        assert expand(text, {"x": value}).text == expected, (value, text)
