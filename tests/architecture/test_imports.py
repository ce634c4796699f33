"""What the hot paths import, counted: each module costs a tenth of a millisecond or more."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from tests.support.installation import REPOSITORY

SOURCE = os.path.join(REPOSITORY, "src")
C_MODULES = frozenset(
    (
        *("_ctypes", "_functools", "_json", "_posixsubprocess", "_signal", "_socket", "_sqlite3"),
        *("_struct", "_thread", "_weakref", "fcntl", "marshal", "posix", "select", "sys", "time"),
        *("termios", "errno", "builtins", "_blake2", "math", "gc"),
    )
)
SMALL = frozenset(("__future__", "struct"))
"""Python modules of the standard library that are all but free."""

# command → how many modules of proa it may import, and a few to spare
COMMANDS = {
    ("ps",): 45,
    ("exec", "nobody", "true"): 48,
    ("run", "--rm", "--pull", "never", "nothing"): 75,
}


def imported(code: str) -> set[str]:
    """The modules that `code` adds to those of a bare interpreter."""
    show = "print(' '.join(sorted(sys.modules)), file=open(sys.argv[1], 'w'))"
    with tempfile.TemporaryDirectory() as directory:
        found = []
        for number, script in enumerate(("", code)):
            path = os.path.join(directory, str(number))
            subprocess.run(
                [
                    *(sys.executable, "-I", "-S", "-c"),
                    f"import sys\nsys.path.insert(0, {SOURCE!r})\n{script}\n{show}",
                    path,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            with open(path) as file:
                found.append(set(file.read().split()))
    return found[1] - found[0]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_hot_command_imports_next_to_nothing(arguments: tuple[str, ...], tmp_path: str) -> None:
    modules = imported(
        "from proa.cli.main import run\n"
        f"run(['--root', {os.path.join(str(tmp_path), 'root')!r}, *{arguments!r}])"
    )
    ours = {name for name in modules if name.partition(".")[0] == "proa"}

    assert modules - ours - C_MODULES - SMALL == set()
    assert len(ours) <= COMMANDS[arguments], sorted(ours)


def test_the_monitor_imports_next_to_nothing() -> None:
    modules = imported("import proa.monitor.main, proa.runtime.seccomp, proa.monitor.control")
    ours = {name for name in modules if name.partition(".")[0] == "proa"}

    assert modules - ours - C_MODULES - SMALL == set()
    assert not any(name.startswith(("proa.store", "proa.image", "proa.engine")) for name in ours)
    assert len(ours) <= 62, sorted(ours)


def test_importing_the_package_imports_nothing() -> None:
    assert imported("import proa") == {"proa"}
