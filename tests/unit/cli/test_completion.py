"""The scripts are run by their shells."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from proa.cli.container.run import COMMAND as RUN
from tests.unit.cli.support import Proa


def complete(proa: Proa, *words: str) -> list[str]:
    proa("completion", "bash")
    script = (
        f"{proa.out}\nproa() {{ printf 'web\\ndb\\n'; }}\n"
        f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}\n"
        '_proa; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    result = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    assert not result.stderr
    return result.stdout.split()


def test_bash(proa: Proa) -> None:
    assert complete(proa, "proa", "ren") == ["rename"]
    assert complete(proa, "proa", "container", "un") == ["unpause"]
    assert complete(proa, "proa", "--root", "/x", "st") == ["start", "stats", "stop"]
    assert complete(proa, "proa", "run", "--cap-a") == ["--cap-add"]
    assert complete(proa, "proa", "container", "run", "--cap-a") == ["--cap-add"]
    assert complete(proa, "proa", "stop", "w") == ["web"]
    assert complete(proa, "proa", "completion", "z") == ["zsh"]
    assert complete(proa, "proa", "--ro") == ["--root"]


@pytest.mark.parametrize(("shell", "check"), [("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_others(proa: Proa, shell: str, check: list[str]) -> None:
    assert proa("completion", shell) == 0
    for long, _, _, text in RUN.flags:
        if text:
            assert long in proa.out
    if program := shutil.which(shell):
        subprocess.run([program, *check], input=proa.out, text=True, check=True)


def test_no_such_shell(proa: Proa) -> None:
    assert proa("completion", "tcsh") == 125
    assert "bash, zsh, fish" in proa.err
