"""The README tells the truth: its lines are run, and print what stands below them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import NamedTuple

import pytest

from tests.support import images
from tests.support.command import Command
from tests.support.installation import REPOSITORY

with open(os.path.join(REPOSITORY, "README.md"), encoding="utf-8") as _file:
    README = _file.read()


class Step(NamedTuple):
    """A command of a block `console`, and what it prints."""

    command: str
    expected: str


@pytest.mark.root
@pytest.mark.skipif(images.busybox() is None, reason="needs busybox-static")
def test_its_commands_print_what_it_shows(proa: Command, tmp_path: os.PathLike[str]) -> None:
    environment = {**os.environ, "PATH": f"{commands(proa, tmp_path)}:{os.environ['PATH']}"}
    work = os.path.join(tmp_path, "work")
    os.mkdir(work)

    for step in steps():
        # a service that was just started needs a moment until it answers
        patience = time.monotonic() + (5 if step.command.startswith("proa exec") else 0)
        while True:
            output = run(step.command, work, environment)
            if pattern(step.expected).fullmatch(output) or time.monotonic() > patience:
                break
            time.sleep(0.05)
        shown = f"$ {step.command}\n{output}\nREADME.md has:\n{step.expected}"
        assert pattern(step.expected).fullmatch(output), shown


@pytest.mark.root
@pytest.mark.skipif(images.busybox() is None, reason="needs busybox-static")
def test_its_programs_run(proa: Command, tmp_path: os.PathLike[str]) -> None:
    proa("image", "bootstrap", "busybox")
    programs = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert programs

    for program in programs:
        assert "Engine()" in program
        result = subprocess.run(
            [sys.executable, "-c", program.replace("Engine()", f"Engine({proa.root!r})")],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.path.join(REPOSITORY, "src")},
            timeout=60,
            check=False,
        )
        assert (result.stderr, result.returncode) == ("", 0)


def test_the_files_it_names_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    for link in links:
        assert os.path.exists(os.path.join(REPOSITORY, link)), link


def run(command: str, directory: str, environment: dict[str, str]) -> str:
    """What a line of shell prints, on both of its streams."""
    return subprocess.run(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env=environment,
        timeout=60,
        check=False,
    ).stdout


def steps() -> list[Step]:
    """The commands of all blocks `console`, in their order."""
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = text.partition("\n")
            found.append(Step(command, expected))
    assert found
    return found


def pattern(expected: str) -> re.Pattern[str]:
    """What matches `expected`, where `…` stands for anything and blanks for blanks."""
    parts = re.split(r"(…| +)", expected)
    kinds = {"…": ".*?", " ": " +"}
    return re.compile("".join(kinds.get(part[:1], re.escape(part)) for part in parts), re.DOTALL)


def commands(proa: Command, directory: os.PathLike[str]) -> str:
    """A directory with a command `proa` that uses the test's own engine."""
    path = os.path.join(directory, "bin")
    os.mkdir(path)
    script = os.path.join(path, "proa")
    with open(script, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {proa.path} --root {proa.root} "$@"\n')
    os.chmod(script, 0o755)
    return path
