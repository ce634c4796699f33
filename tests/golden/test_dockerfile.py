"""Dockerfiles, and what is read in them: a folder for each case.

`PROA_WRITE_GOLDEN=1` writes what is found as what is expected; look at the difference then.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proa import DockerfileError
from proa.build.dockerfile.instructions import Instruction
from proa.build.dockerfile.lint import lint
from proa.build.dockerfile.source import Source
from proa.build.dockerfile.stages import read
from proa.lean.record import fields

HERE = Path(__file__).parent / "dockerfile"
COMMON = set(fields(Instruction))


def cases(kind: str) -> list[str]:
    found = sorted(path.name for path in (HERE / kind).iterdir())
    assert found
    return found


def expect(folder: Path, name: str, found: str) -> None:
    path = folder / name
    if os.environ.get("PROA_WRITE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text()


def describe(value: Instruction) -> str:
    said = [
        f"{name}={getattr(value, name)!r}"
        for name in fields(value)
        if name not in COMMON and getattr(value, name) != getattr(type(value), name, None)
    ]
    lines = f"{value.span.first}-{value.span.last}"
    return f"{lines:>7} {value.name} {' '.join(said)}".rstrip()


@pytest.mark.parametrize("case", cases("positive"))
def test_what_is_read(case: str) -> None:
    folder = HERE / "positive" / case
    dockerfile = read(Source.decode((folder / "Dockerfile").read_bytes()))
    found = [describe(argument) for argument in dockerfile.arguments]
    for stage in dockerfile.stages:
        found += [f"stage {stage.name}", describe(stage.start)]
        found += [describe(instruction) for instruction in stage.instructions]
    expect(folder, "expected", "\n".join(found) + "\n")


@pytest.mark.parametrize("case", cases("negative"))
def test_what_is_refused(case: str) -> None:
    folder = HERE / "negative" / case
    with pytest.raises(DockerfileError) as caught:
        read(Source.decode((folder / "Dockerfile").read_bytes()))
    expect(folder, "expected", f"{caught.value}\n{caught.value.excerpt}\n")


@pytest.mark.parametrize("case", cases("lint"))
def test_what_is_questionable(case: str) -> None:
    folder = HERE / "lint" / case
    warnings = lint(read(Source.decode((folder / "Dockerfile").read_bytes())))
    found = [f"{item.span.first}: {item.rule}: {item.message}" for item in warnings]
    expect(folder, "expected", "".join(f"{line}\n" for line in found))
