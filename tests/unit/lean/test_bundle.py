from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proa.lean import bundle

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from proa.lean import bundle
bundle.load("first")
import proa.one
bundle.load("second")
import proa.two.inner
if "save" in sys.argv:
    bundle.save()
two = proa.two
print(proa.one.VALUE, two.inner.VALUE, two.inner.__file__ == two.__path__[0] + "/inner.py")
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A directory with a package proa that has little more than bundles."""
    proa = tmp_path / "proa"
    for directory in ("lean", "two"):
        (proa / directory).mkdir(parents=True)
    (proa / "__init__.py").touch()
    (proa / "lean" / "__init__.py").touch()
    shutil.copy(bundle.__file__, proa / "lean")
    (proa / "one.py").write_text("VALUE = 1\n")
    # a package that imports a module of its own comes after it
    (proa / "two" / "__init__.py").write_text("from proa.two.inner import VALUE\n")
    (proa / "two" / "inner.py").write_text("import proa.one\nVALUE = proa.one.VALUE + 1\n")
    return tmp_path


def run(packages: Path, *words: str, user: int | None = None) -> str:
    argv = [sys.executable, "-I", "-S", "-c", PROGRAM, str(packages), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, user=user)
    return done.stdout.strip()


def bundles(packages: Path) -> set[str]:
    return {path.name.partition(".")[0] for path in packages.glob("proa/__pycache__/*.bundle")}


def opened(packages: Path) -> set[str]:
    """The modules whose own compiled files a process opens."""
    argv = ["strace", "-f", "-e", "trace=openat,open", sys.executable, "-I", "-S", "-c", PROGRAM]
    done = subprocess.run([*argv, str(packages)], capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if f"{packages}/proa" in line]
    return {line.partition('"')[2].rpartition("/")[2].partition(".")[0] for line in lines}


def test_what_was_imported_comes_from_bundles_the_next_time(packages: Path) -> None:
    assert run(packages, "save") == "1 2 True"
    assert bundles(packages) == {"first", "second"}
    assert run(packages, "save") == "1 2 True"


@pytest.mark.skipif(shutil.which("strace") is None, reason="counts opened files by strace")
def test_a_bundle_stands_for_the_files_of_its_modules(packages: Path) -> None:
    run(packages)
    assert {"one", "inner"} <= opened(packages)
    run(packages, "save")
    assert not {"one", "inner"} & opened(packages)


def test_without_save_nothing_is_written(packages: Path) -> None:
    run(packages)
    assert bundles(packages) == set()


def test_a_changed_module_is_noticed(packages: Path) -> None:
    run(packages, "save")
    source = packages / "proa" / "one.py"
    source.write_text("VALUE = 9\n")
    os.utime(source, ns=(1, 1))

    assert run(packages, "save") == "9 10 True"
    assert run(packages) == "9 10 True"


@pytest.mark.parametrize("damage", [b"", b"\0", b"no bundle"])
def test_a_damaged_bundle_is_made_anew(packages: Path, damage: bytes) -> None:
    run(packages, "save")
    for path in packages.glob("proa/__pycache__/*.bundle"):
        path.write_bytes(damage)

    assert run(packages, "save") == "1 2 True"
    assert all(path.stat().st_size > 100 for path in packages.glob("proa/__pycache__/*.bundle"))


def test_it_works_where_nothing_can_be_written(packages: Path) -> None:
    run(packages)  # Python's own compiled files
    directory = packages / "proa" / "__pycache__"
    shutil.rmtree(directory)
    directory.write_text("no directory")

    assert run(packages, "save") == "1 2 True"


PARTS = """
import sys
sys.path.insert(0, sys.argv[1])
from proa.lean import bundle
bundle.load("entry")
if "three" in sys.argv:
    with bundle.Part("three"):
        import proa.three
if "two" in sys.argv:
    with bundle.Part("two"):
        import proa.three.inner
import proa.one
print(*sorted(name for name in sys.modules if name.startswith("proa.t")))
bundle.save()
"""


def test_a_part_is_loaded_by_whoever_needs_it(packages: Path) -> None:
    """Also where the package of its modules was in another part, which is not loaded this time."""
    (packages / "proa" / "three").mkdir()
    (packages / "proa" / "three" / "__init__.py").touch()
    (packages / "proa" / "three" / "inner.py").write_text("VALUE = 3\n")

    def run_parts(*words: str) -> str:
        argv = [sys.executable, "-I", "-S", "-c", PARTS, str(packages), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    for _ in range(2):
        assert run_parts("three", "two") == "proa.three proa.three.inner"
    assert bundles(packages) == {"entry", "three", "two"}
    assert run_parts("two") == "proa.three proa.three.inner"
    assert run_parts() == "", "an entry point has nothing of a part"
