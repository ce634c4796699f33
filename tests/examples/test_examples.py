"""Each example does what its first lines say it prints.

They run as a user's program does: on the installed package, in an interpreter of their own.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support import images, leaks, processes
from tests.support.command import Command
from tests.support.installation import REPOSITORY

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(images.busybox() is None, reason="needs busybox-static"),
]

EXAMPLES = os.path.join(REPOSITORY, "examples")
NAMES = sorted(name for name in os.listdir(EXAMPLES) if name.endswith(".py"))
PROGRAMS = [name for name in NAMES if not name.startswith("test_")]
TESTS = [name for name in NAMES if name.startswith("test_")]


@pytest.fixture(autouse=True)
def nothing_left_by_examples() -> Iterator[None]:
    """Examples that leave something behind would teach it."""
    before = leaks.observe()
    yield
    processes.reap_orphans()
    found = leaks.leaks(before)
    assert not found, "left behind:\n" + "\n".join(found)


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_prints_what_it_says(name: str, proa: Command) -> None:
    proa("image", "bootstrap", "busybox")

    result = run(proa, [os.path.join(EXAMPLES, name), proa.root])

    assert (result.stderr, result.returncode) == ("", 0)
    assert without_times(result.stdout.splitlines()) == without_times(promised(name))
    assert proa.output("ps", "--all", "--quiet") == ""


@pytest.mark.parametrize("name", TESTS)
def test_its_tests_pass(name: str, proa: Command) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", EXAMPLES]

    result = run(proa, ["-m", "pytest", *options, os.path.join(EXAMPLES, name)])

    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^2 passed", result.stdout, re.MULTILINE)


def test_each_is_in_the_list_of_examples() -> None:
    with open(os.path.join(EXAMPLES, "README.md"), encoding="utf-8") as file:
        listed = re.findall(r"^\| \[(\w+\.py)\]\(\1\) \|", file.read(), re.MULTILINE)

    assert sorted(listed) == NAMES


def run(proa: Command, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run Python with the installed package; pytest itself comes from this interpreter."""
    prefix = os.path.dirname(os.path.dirname(proa.path))
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = os.path.join(prefix, "lib", version, "site-packages")
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=60,
        check=False,
    )


def promised(name: str) -> list[str]:
    """The lines that the example's docstring promises: those indented below `Prints`."""
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
        text = ast.get_docstring(ast.parse(file.read()))
    assert text is not None
    match = re.search(r"^Prints[^\n]*:\n((?:    [^\n]*(?:\n|$))+)", text, re.MULTILINE)
    assert match is not None, f"{name} does not say what it prints"
    return [line.removeprefix("    ") for line in match[1].splitlines()]


def without_times(lines: list[str]) -> list[str]:
    """Lines with each time of day as `TIME`."""
    return [re.sub(r"\b\d\d:\d\d:\d\d\.\d{3}\b", "TIME", line) for line in lines]
