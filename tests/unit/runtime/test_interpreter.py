from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proa.errors import KernelError
from proa.runtime import interpreter

REPORT = """
import sys
def main():
    import json, os
    listing = os.listdir("/proc/self/fd")
    names = {n: os.readlink("/proc/self/fd/" + n) for n in listing if os.path.exists("/proc/self/fd/" + n)}
    report = {
        "argv": sys.argv,
        "environment": dict(os.environ),
        "descriptors": names,
        "path": sys.path,
        "session": os.getsid(0) == os.getpid(),
    }
    os.write(1, json.dumps(report).encode())
    os.close(1)
    os.read(0, 1)
"""  # noqa: E501


@pytest.fixture
def report_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module `proa_report`, importable beside a copy of the package proa."""
    source = Path(interpreter.__file__).parents[1]
    (tmp_path / "proa").symlink_to(source)
    (tmp_path / "proa_report.py").write_text(REPORT)
    monkeypatch.setattr(interpreter, "_directory", lambda: str(tmp_path))
    return "proa_report"


def run(module: str, *arguments: str, **options: object) -> dict[str, Any]:
    reader, writer = os.pipe()
    descriptors = {1: writer, 2: 2, **options.pop("descriptors", {})}  # type: ignore[dict-item]
    pid = interpreter.spawn(module, arguments, descriptors=descriptors, **options)  # type: ignore[arg-type]
    os.close(writer)
    with open(reader, "rb") as stream:
        text = stream.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0
    report: dict[str, Any] = json.loads(text)
    return report


def kept(report: dict[str, Any]) -> dict[str, str]:
    """The descriptors from 3 on, by number."""
    return {number: path for number, path in report["descriptors"].items() if int(number) > 2}


def test_the_module_gets_its_arguments_and_only_the_given_environment(report_module: str) -> None:
    report = run(report_module, "a", "b c", environment={"X": "1"})
    assert report["argv"] == ["proa_report", "a", "b c"]
    assert report["environment"] == {"X": "1"}


def test_no_environment_is_inherited(report_module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    assert run(report_module)["environment"] == {}


def test_only_named_descriptors_are_inherited(report_module: str) -> None:
    leak = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(leak, True)
    null, urandom = os.open("/dev/null", os.O_RDONLY), os.open("/dev/urandom", os.O_RDONLY)
    high = os.dup2(leak, 40)
    try:
        report = run(report_module, descriptors={5: urandom, 9: null})
    finally:
        for descriptor in (leak, null, urandom, high):
            os.close(descriptor)
    assert kept(report) == {"5": "/dev/urandom", "9": "/dev/null"}
    assert report["descriptors"]["0"] == "/dev/null"


def test_descriptors_may_swap_numbers(report_module: str) -> None:
    zero, full = os.open("/dev/zero", os.O_RDONLY), os.open("/dev/full", os.O_RDONLY)
    os.dup2(zero, 50)
    os.dup2(full, 51)
    try:
        assert kept(run(report_module, descriptors={50: 51, 51: 50})) == {
            "50": "/dev/full",
            "51": "/dev/zero",
        }
    finally:
        for descriptor in (zero, full, 50, 51):
            os.close(descriptor)


def test_a_list_of_descriptors_keeps_their_numbers(report_module: str) -> None:
    reader, writer = os.pipe()
    pid = interpreter.spawn(report_module, descriptors=[1, writer])
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert os.waitpid(pid, 0)[1] == 0


def write_to_program_of(module: str) -> str:
    """What happens to one who keeps /proc/PID/exe and writes to it when nobody executes it."""
    (reader, output), (stdin, writer) = os.pipe(), os.pipe()
    pid = interpreter.spawn(module, descriptors={0: stdin, 1: output, 2: 2})
    os.close(output)
    os.close(stdin)
    with open(reader, "rb") as stream:
        assert stream.read()
    program = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
    os.close(writer)
    assert os.waitpid(pid, 0)[1] == 0
    try:
        descriptor = os.open(f"/proc/self/fd/{program}", os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, b"\0")
        finally:
            os.close(descriptor)
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        os.close(program)
    return "written"


@pytest.fixture
def own_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the interpreter a copy that nobody else executes, which would be a defence too."""
    base = Path(sys.executable).resolve()
    (tmp_path / "bin").mkdir()
    shutil.copy(base, tmp_path / "bin" / "python")
    (tmp_path / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    monkeypatch.setattr(sys, "_base_executable", str(tmp_path / "bin" / "python"))


@pytest.mark.root
def test_the_program_cannot_be_written_to(report_module: str, own_interpreter: None) -> None:
    assert write_to_program_of(report_module) == "EROFS"


def test_a_process_of_its_own_session(report_module: str) -> None:
    assert run(report_module)["session"] is False
    assert run(report_module, session=True)["session"] is True


def test_nothing_beside_proa_stands_in_for_the_standard_library(
    report_module: str, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    assert run(report_module)["argv"] == ["proa_report"]


def test_third_party_packages_only_when_asked(report_module: str) -> None:
    assert not [p for p in run(report_module)["path"] if p.endswith("-packages")]
    assert [p for p in run(report_module, packages=True)["path"] if p.endswith("-packages")]


def test_no_descriptor_stays_behind(report_module: str) -> None:
    before = os.listdir("/proc/self/fd")
    run(report_module)
    assert os.listdir("/proc/self/fd") == before


def test_an_interpreter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_base_executable", "/nonexistent/python")
    with pytest.raises(KernelError, match="/nonexistent/python"):
        interpreter.spawn("proa_report")


def test_a_writable_interpreter_is_copied_where_mounting_is_not_allowed(
    report_module: str, own_interpreter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "_clone_mount", lambda path: None)
    assert write_to_program_of(report_module) == "EPERM"


def test_reexecution_keeps_arguments_descriptors_and_environment(report_module: str) -> None:
    directory = Path(interpreter.__file__).parents[2]
    code = f"""
import os, sys
sys.path.insert(0, {str(directory)!r})
from proa.runtime import interpreter
sys.path.insert(0, {interpreter._directory()!r})
import proa_report
if interpreter.is_protected():
    proa_report.main()
os.dup2(os.open("/dev/zero", os.O_RDONLY), 40, inheritable=True)
interpreter._directory = lambda: sys.path[0]
interpreter.reexecute("proa_report", ["x"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={"Y": "2"},
        check=True,
    )
    report = json.loads(done.stdout)
    assert report["argv"] == ["proa_report", "x"]
    assert report["environment"]["Y"] == "2"
    assert kept(report) == {"40": "/dev/zero"}
