"""The documents speak of what exists."""

from __future__ import annotations

import os
import re

import pytest

from tests.support.installation import REPOSITORY

PACKAGE = os.path.join(REPOSITORY, "src", "proa")


def document(name: str) -> str:
    with open(os.path.join(REPOSITORY, name), encoding="utf-8") as file:
        return file.read()


def test_the_architecture_names_each_package() -> None:
    tree = re.search(r"^```\nsrc/proa/\n(.*?)^```", document("ARCHITECTURE.md"), re.M | re.S)
    assert tree is not None
    named: set[str] = set()
    parent = ""
    for line in tree[1].splitlines():
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            break
        names = re.findall(r"(?:^ *|, )(\w+)/", line)
        if indent == 2 and names:
            parent = names[0]
        named.update(name if indent == 2 else f"{parent}/{name}" for name in names)

    packages = {
        os.path.relpath(directory, PACKAGE)
        for directory, _, files in os.walk(PACKAGE)
        if "__init__.py" in files and directory != PACKAGE
    }
    assert named == packages


def test_the_modules_that_the_architecture_names_exist() -> None:
    modules = re.findall(r"`([a-z]+/[a-z_/]+\.py)`", document("ARCHITECTURE.md"))
    assert modules
    for module in modules:
        assert os.path.exists(os.path.join(PACKAGE, module)), module


def test_each_decision_is_in_the_list() -> None:
    directory = os.path.join(REPOSITORY, "docs", "decisions")
    records = sorted(name for name in os.listdir(directory) if name != "README.md")
    rows = re.findall(r"^\| \[(\d{4})\]\((.*?)\) \|", document("docs/decisions/README.md"), re.M)

    assert [name for _, name in rows] == records
    for number, name in rows:
        assert name.startswith(number)
        assert document(f"docs/decisions/{name}").startswith(f"# {number} ")


@pytest.mark.parametrize(
    "name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/decisions/README.md"]
)
def test_links_lead_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", document(name)):
        assert os.path.exists(os.path.join(REPOSITORY, os.path.dirname(name), link)), link
