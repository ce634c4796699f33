"""The order of the layers, which pyproject.toml states, holds."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from tests.support.installation import REPOSITORY

SOURCE = Path(REPOSITORY, "src", "proa")
MODULES = sorted(SOURCE.rglob("*.py"))


def test_imports_run_downwards_only() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _LINT, "--no-cache"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_every_package_is_in_the_order() -> None:
    """A new package has its place among the layers, or its imports would go unwatched."""
    import tomllib

    with open(os.path.join(REPOSITORY, "pyproject.toml"), "rb") as file:
        (layers,) = [
            contract["layers"]
            for contract in tomllib.load(file)["tool"]["importlinter"]["contracts"]
            if contract["type"] == "layers"
        ]
    placed = {name.strip() for layer in layers for name in layer.split("|")}
    found = {
        f"proa.{path.stem if path.is_file() else path.name}"
        for path in SOURCE.iterdir()
        if (path.is_dir() and (path / "__init__.py").exists()) or path.suffix == ".py"
    }
    assert found - {"proa.__init__", "proa.__main__"} == placed


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(SOURCE)): lines
        for path in MODULES
        if (lines := len(path.read_text().splitlines())) > 800
    }
    assert not long


def test_only_the_command_prints() -> None:
    printing = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in MODULES
        if path.relative_to(SOURCE).parts[0] not in ("cli", "__main__.py")
        and path.relative_to(SOURCE).parts[:2] != ("runtime", "cli")
        and path.relative_to(SOURCE) != Path("runtime/cli.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not printing


_LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"
