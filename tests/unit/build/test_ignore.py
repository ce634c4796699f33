from __future__ import annotations

import pytest

from proa import InvalidArgument
from proa.build.dockerfile.ignore import Ignore


@pytest.mark.parametrize(
    ("patterns", "ignored", "kept"),
    [
        ("*.md", ["a.md"], ["b/a.md", "a.mdx"]),
        ("**/*.md", ["a.md", "b/a.md", "b/c/a.md"], ["a.txt"]),
        ("**.go", ["a.go", "b/a.go"], ["a.gox"]),
        ("node_modules/", ["node_modules", "node_modules/x/y"], ["a/node_modules"]),
        ("/abs", ["abs", "abs/x"], ["x/abs"]),
        ("a/**", ["a/b", "a/b/c"], ["a"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z", "a/z/deeper"], ["z", "b/a/z"]),
        ("**", ["a", "a/b"], []),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[a-c]x", ["ax", "bx"], ["dx"]),
        ("[^a]x", ["bx"], ["ax"]),
        (r"\*", ["*"], ["a"]),
        ("*\n!keep", ["a"], ["keep", "keep/x"]),
        ("*\n!a/keep", ["a", "a/x"], ["a/keep", "a/keep/x"]),
        ("!a\na", ["a"], []),
        ("*.md\n!README*.md\nREADME-secret.md", ["x.md", "README-secret.md"], ["README.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", ["x.md"], ["README.md", "README-secret.md"]),
        ("# a comment\n\n  spaced  ", ["spaced"], ["# a comment"]),
        (" # no comment", ["# no comment"], []),
        ("a/../b", ["b"], ["a"]),
        ("./c//d/", ["c/d"], ["c"]),
        (".", [], ["a"]),
        ("a**b", ["ab", "axb", "ax/yb", "a/q/b"], ["xab"]),
        ("foo**", ["foo", "foox", "foo/x"], ["xfoo"]),
    ],
)
def test_which_paths_are_ignored(patterns: str, ignored: list[str], kept: list[str]) -> None:
    ignore = Ignore.parse(patterns)
    assert [path for path in (*ignored, *kept) if ignore.is_ignored(path)] == ignored


@pytest.mark.parametrize("pattern", ["[", "a[b", "[]", "[a-]", "a\\", "!"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(InvalidArgument, match="pattern"):
        Ignore.parse(pattern)


def test_an_ignored_directory_is_entered_only_for_an_exception() -> None:
    ignore = Ignore.parse("vendor\nbuild\n!vendor/kept/*.c\n!*.h")
    vendor = ignore.enter(ignore.root, "vendor")
    assert vendor.ignored and vendor.excepted_below
    assert not ignore.enter(vendor, "other").excepted_below
    assert ignore.enter(vendor, "kept").excepted_below
    build = ignore.enter(ignore.root, "build")
    assert build.ignored and not build.excepted_below


def test_many_stars_take_no_time() -> None:
    assert not Ignore.parse("a*" * 60 + "b").is_ignored("a" * 250)
    assert not Ignore.parse("/".join(["**"] * 60) + "/x*y*z").is_ignored("/".join(["x"] * 120))
