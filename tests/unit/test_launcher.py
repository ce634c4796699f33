"""The launcher finds its interpreter and package, wherever it is called from."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.installation import REPOSITORY

LAUNCHER = Path(REPOSITORY, "src", "launch", "proa")
PROBE = """
import sys
def main():
    flags = sys.flags
    print("isolated" if flags.isolated and flags.no_site else "ordinary", *sys.argv[1:], sep="|")
"""
VERSION = f"python3.{sys.version_info[1]}"


def lay_out(prefix: Path, *, site_packages: bool = True) -> Path:
    """An installation whose `proa` only says how it was started; the launcher's path."""
    binaries = prefix / "bin"
    binaries.mkdir(parents=True)
    for name in ("python3", VERSION):
        (binaries / name).symlink_to(os.path.realpath(sys.executable))
    shutil.copy2(LAUNCHER, binaries / "proa")
    if site_packages:
        make_package(prefix / "lib" / VERSION / "site-packages")
    return binaries / "proa"


def make_package(directory: Path) -> None:
    package = directory / "proa" / "cli"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package.parent / "__main__.py").write_text("from proa.cli.main import main\nmain()\n")
    (package / "__init__.py").touch()
    (package / "main.py").write_text(PROBE)


def call(*argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    result = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return result.stdout.rstrip("\n")


def test_it_is_executable() -> None:
    assert stat.S_IMODE(LAUNCHER.stat().st_mode) & 0o111


def test_by_its_path(tmp_path: Path) -> None:
    assert call(lay_out(tmp_path / "venv"), "run", "a b", "", "-c") == "isolated|run|a b||-c"


def test_by_a_relative_path(tmp_path: Path) -> None:
    lay_out(tmp_path / "venv")
    assert call("./proa", "ps", cwd=tmp_path / "venv" / "bin") == "isolated|ps"
    assert call("venv/bin/proa", "ps", cwd=tmp_path) == "isolated|ps"
    assert call("sh", "proa", "ps", cwd=tmp_path / "venv" / "bin") == "isolated|ps"


def test_from_the_path(tmp_path: Path) -> None:
    launcher = lay_out(tmp_path / "venv")
    env = {"PATH": f"{launcher.parent}:{os.environ['PATH']}"}
    assert call("sh", "-c", "proa ps", env=env) == "isolated|ps"
    # an empty element of PATH is the working directory, and $0 then has no slash
    assert call("sh", "-c", "PATH=:$PATH; proa ps", cwd=launcher.parent) == "isolated|ps"


def test_with_spaces_and_a_leading_dash_in_the_path(tmp_path: Path) -> None:
    launcher = lay_out(tmp_path / "-my venv $HOME")
    assert call(launcher, "ps") == "isolated|ps"


@pytest.mark.parametrize("target", ["{launcher}", "../venv/bin/proa", "second"])
def test_by_a_symlink(tmp_path: Path, target: str) -> None:
    launcher = lay_out(tmp_path / "venv")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "second").symlink_to(launcher)
    (elsewhere / "proa").symlink_to(target.format(launcher=launcher))
    assert call(elsewhere / "proa", "ps") == "isolated|ps"
    assert call("./proa", "ps", cwd=elsewhere) == "isolated|ps"


def test_in_a_symlinked_directory(tmp_path: Path) -> None:
    lay_out(tmp_path / "venv")
    (tmp_path / "link").symlink_to("venv/bin")
    assert call(tmp_path / "link" / "proa", "ps") == "isolated|ps"


def test_an_editable_installation_starts_the_ordinary_way(tmp_path: Path) -> None:
    launcher = lay_out(tmp_path / "venv", site_packages=False)
    make_package(tmp_path / "src")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "src")}
    assert call(launcher, "run", "a b", env=env) == "ordinary|run|a b"


def test_a_package_of_another_python_is_not_taken(tmp_path: Path) -> None:
    launcher = lay_out(tmp_path / "venv", site_packages=False)
    make_package(tmp_path / "venv" / "lib" / "python3.9" / "site-packages")
    make_package(tmp_path / "src")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "src")}
    assert call(launcher, "ps", env=env) == "ordinary|ps"


def test_without_an_interpreter_beside_it(tmp_path: Path) -> None:
    """`pip install --user`: the interpreter is the one of PATH."""
    launcher = lay_out(tmp_path / "venv", site_packages=False)
    (launcher.parent / "python3").unlink()
    make_package(tmp_path / "src")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "PYTHONPATH": str(tmp_path / "src")}
    assert call(launcher, "ps", env=env) == "ordinary|ps"


def test_the_working_directory_is_never_imported(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (trap / "proa").mkdir(parents=True)
    (trap / "proa" / "__init__.py").write_text("raise SystemExit('trapped')")
    (trap / "posixpath.py").write_text("raise SystemExit('trapped')")
    assert call(lay_out(tmp_path / "venv"), "ps", cwd=trap) == "isolated|ps"
    ordinary = lay_out(tmp_path / "other", site_packages=False)
    make_package(tmp_path / "src")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "src")}
    assert call(ordinary, "ps", cwd=trap, env=env) == "ordinary|ps"


def test_the_environment_does_not_reach_the_interpreter(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    make_package(trap)
    (trap / "proa" / "__init__.py").write_text("raise SystemExit('trapped')")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(trap), "PYTHONINSPECT": "1"}
    assert call(lay_out(tmp_path / "venv"), "ps", env=env) == "isolated|ps"


def test_it_starts_no_process_of_its_own(tmp_path: Path) -> None:
    """The shell becomes the interpreter: one process from start to end."""
    launcher = lay_out(tmp_path / "venv")
    main = tmp_path / "venv" / "lib" / VERSION / "site-packages" / "proa" / "cli" / "main.py"
    main.write_text("import os\ndef main(): print(os.getpid(), os.times().children_user)\n")
    process = subprocess.Popen([launcher, "ps"], stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()
    assert output.split() == [str(process.pid), "0.0"]
