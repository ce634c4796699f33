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

LAUNCHERS = Path(REPOSITORY, "src", "launch")
PROBE = """
import sys
def main():
    flags = sys.flags
    print("isolated" if flags.isolated and flags.no_site else "ordinary", *sys.argv[1:], sep="|")
"""
VERSION = f"python3.{sys.version_info[1]}"
MODULES = {"proa": "proa/cli/main.py", "proa-runtime": "proa/runtime/cli/main.py"}
"""The launchers, and what each of them starts."""
ORDINARY = {"proa": "proa/__main__.py", "proa-runtime": "proa/runtime/cli/__main__.py"}
"""What they start where it is not where pip puts it."""


@pytest.fixture(params=MODULES)
def name(request: pytest.FixtureRequest) -> str:
    """A launcher."""
    return str(request.param)


def lay_out(prefix: Path, name: str, *, site_packages: bool = True) -> Path:
    """An installation whose command only says how it was started; the launcher's path."""
    binaries = prefix / "bin"
    binaries.mkdir(parents=True)
    for interpreter in ("python3", VERSION):
        (binaries / interpreter).symlink_to(os.path.realpath(sys.executable))
    shutil.copy2(LAUNCHERS / name, binaries / name)
    if site_packages:
        make_package(prefix / "lib" / VERSION / "site-packages", name)
    return binaries / name


def make_package(directory: Path, name: str) -> None:
    module = Path(MODULES[name])
    (directory / module.parent).mkdir(parents=True)
    for parent in (module.parent, *list(module.parent.parents)[:-1]):
        (directory / parent / "__init__.py").touch()
    (directory / module).write_text(PROBE)
    (directory / "proa" / "lean").mkdir()
    for part in ("__init__.py", "bundle.py"):
        shutil.copy(Path(REPOSITORY, "src", "proa", "lean", part), directory / "proa" / "lean")
    dotted = str(module.with_suffix("")).replace("/", ".")
    (directory / ORDINARY[name]).write_text(f"from {dotted} import main\nmain()\n")


def call(*argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    result = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return result.stdout.rstrip("\n")


def test_it_is_executable(name: str) -> None:
    assert stat.S_IMODE((LAUNCHERS / name).stat().st_mode) & 0o111


def test_by_its_path(tmp_path: Path, name: str) -> None:
    assert call(lay_out(tmp_path / "venv", name), "run", "a b", "", "-c") == "isolated|run|a b||-c"


def test_by_a_relative_path(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path / "venv", name)
    assert call(f"./{name}", "ps", cwd=tmp_path / "venv" / "bin") == "isolated|ps"
    assert call(f"venv/bin/{name}", "ps", cwd=tmp_path) == "isolated|ps"
    assert call("sh", name, "ps", cwd=tmp_path / "venv" / "bin") == "isolated|ps"


def test_from_the_path(tmp_path: Path, name: str) -> None:
    launcher = lay_out(tmp_path / "venv", name)
    env = {"PATH": f"{launcher.parent}:{os.environ['PATH']}"}
    assert call("sh", "-c", f"{name} ps", env=env) == "isolated|ps"
    # an empty element of PATH is the working directory, and $0 then has no slash
    assert call("sh", "-c", f"PATH=:$PATH; {name} ps", cwd=launcher.parent) == "isolated|ps"


def test_with_spaces_and_a_leading_dash_in_the_path(tmp_path: Path, name: str) -> None:
    launcher = lay_out(tmp_path / "-my venv $HOME", name)
    assert call(launcher, "ps") == "isolated|ps"


@pytest.mark.parametrize("target", ["{launcher}", "../venv/bin/{name}", "second"])
def test_by_a_symlink(tmp_path: Path, name: str, target: str) -> None:
    launcher = lay_out(tmp_path / "venv", name)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "second").symlink_to(launcher)
    (elsewhere / name).symlink_to(target.format(launcher=launcher, name=name))
    assert call(elsewhere / name, "ps") == "isolated|ps"
    assert call(f"./{name}", "ps", cwd=elsewhere) == "isolated|ps"


def test_in_a_symlinked_directory(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path / "venv", name)
    (tmp_path / "link").symlink_to("venv/bin")
    assert call(tmp_path / "link" / name, "ps") == "isolated|ps"


def test_an_editable_installation_starts_the_ordinary_way(tmp_path: Path, name: str) -> None:
    launcher = lay_out(tmp_path / "venv", name, site_packages=False)
    make_package(tmp_path / "src", name)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "src")}
    assert call(launcher, "run", "a b", env=env) == "ordinary|run|a b"


def test_a_package_of_another_python_is_not_taken(tmp_path: Path, name: str) -> None:
    launcher = lay_out(tmp_path / "venv", name, site_packages=False)
    make_package(tmp_path / "venv" / "lib" / "python3.9" / "site-packages", name)
    make_package(tmp_path / "src", name)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "src")}
    assert call(launcher, "ps", env=env) == "ordinary|ps"


def test_without_an_interpreter_beside_it(tmp_path: Path, name: str) -> None:
    """`pip install --user`: the interpreter is the one of PATH."""
    launcher = lay_out(tmp_path / "venv", name, site_packages=False)
    (launcher.parent / "python3").unlink()
    make_package(tmp_path / "src", name)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "PYTHONPATH": str(tmp_path / "src")}
    assert call(launcher, "ps", env=env) == "ordinary|ps"


def test_the_working_directory_is_never_imported(tmp_path: Path, name: str) -> None:
    trap = tmp_path / "trap"
    (trap / "proa").mkdir(parents=True)
    (trap / "proa" / "__init__.py").write_text("raise SystemExit('trapped')")
    (trap / "posixpath.py").write_text("raise SystemExit('trapped')")
    assert call(lay_out(tmp_path / "venv", name), "ps", cwd=trap) == "isolated|ps"
    ordinary = lay_out(tmp_path / "other", name, site_packages=False)
    make_package(tmp_path / "src", name)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "src")}
    assert call(ordinary, "ps", cwd=trap, env=env) == "ordinary|ps"


def test_the_environment_does_not_reach_the_interpreter(tmp_path: Path, name: str) -> None:
    trap = tmp_path / "trap"
    make_package(trap, name)
    (trap / "proa" / "__init__.py").write_text("raise SystemExit('trapped')")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(trap), "PYTHONINSPECT": "1"}
    assert call(lay_out(tmp_path / "venv", name), "ps", env=env) == "isolated|ps"


def test_it_starts_no_process_of_its_own(tmp_path: Path, name: str) -> None:
    """The shell becomes the interpreter: one process from start to end."""
    launcher = lay_out(tmp_path / "venv", name)
    main = tmp_path / "venv" / "lib" / VERSION / "site-packages" / MODULES[name]
    main.write_text("import os\ndef main(): print(os.getpid(), os.times().children_user)\n")
    process = subprocess.Popen([launcher, "ps"], stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()
    assert output.split() == [str(process.pid), "0.0"]
