"""Finding commands, counting arguments, telling errors, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from proa.cli.commands import ALIASES, ALONE, NOUNS, SHORTCUTS
from proa.cli.main import load
from proa.errors import CommandNotExecutable, CommandNotFound, Conflict, ImageNotFound
from tests.support.installation import REPOSITORY
from tests.unit.cli.support import Proa

SOURCE = os.path.join(REPOSITORY, "src")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rnu"], 1, "unknown command: proa rnu; did you mean 'proa run'?"),
        (["bananas"], 1, "unknown command: proa bananas; see 'proa --help'"),
        (
            ["container", "rnu"],
            1,
            "unknown command: proa container rnu; did you mean 'proa container run'?",
        ),
        (
            ["compose", "up"],
            1,
            "unknown command: proa compose; docker has it, this version of proa has not",
        ),
        (["--foo"], 125, "unknown flag: --foo"),
        (["container", "--foo"], 125, "unknown flag: --foo; see 'proa container --help'"),
        (["-H", "unix:///x", "ps"], 125, "--host is about a daemon, and proa has none"),
        (["--context", "x", "ps"], 125, "--context is about a daemon"),
        (["run"], 1, "'proa run' requires at least 1 argument"),
        (["run", "--rm"], 1, "'proa run' requires at least 1 argument"),
        (["exec", "web"], 1, "'proa exec' requires at least 2 arguments"),
        (["ps", "x"], 1, "'proa ps' accepts no arguments"),
        (["logs"], 1, "'proa logs' requires 1 argument"),
        (["tag", "a"], 1, "'proa tag' requires 2 arguments"),
        (["images", "a", "b"], 1, "'proa images' requires at most 1 argument"),
        (["run", "--foo", "x"], 125, "unknown flag: --foo"),
        (["ps", "-Z"], 125, "unknown shorthand flag: 'Z' in -Z; see 'proa ps --help'"),
        (["run", "--cap-add"], 125, "flag needs an argument: --cap-add"),
        (["stop", "-t", "x", "y"], 125, 'invalid argument "x" for "-t, --timeout" flag'),
        (["run", "-v", "x:/y", "alpine"], 125, 'volume name "x" is too short'),
        (["ps", "-f", "foo=bar"], 1, "invalid filter 'foo'"),
        (["container", "ls", "--hlep"], 125, "did you mean --help?"),
    ],
)
def test_mistakes(proa: Proa, arguments: list[str], code: int, message: str) -> None:
    assert proa(*arguments) == code
    assert proa.err.startswith("proa: ")
    assert message in proa.err
    assert proa.err.count("\n") == 1, "an error is one line"
    assert not proa.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandNotFound("no foo"), 127),
        (CommandNotExecutable("a directory"), 126),
        (ImageNotFound("no such image: x"), 125),
        (Conflict("taken"), 125),
        (PermissionError(13, "Permission denied", "/x"), 125),
        (RuntimeError("a bug"), 125),
    ],
)
def test_run_that_fails(proa: Proa, error: Exception, code: int) -> None:
    proa.engine.containers.outcome = error
    assert proa("run", "--pull", "never", "alpine") == code
    assert proa.err.startswith("proa: ")
    assert proa.err.count("\n") == 1


def test_what_other_commands_fail_with_is_1(proa: Proa) -> None:
    proa.engine.containers.outcome = ImageNotFound("no such image: x")
    assert proa("create", "--pull", "never", "x") == 1
    assert proa("exec", "gone", "ls") == 1


def test_errors_of_the_system_are_told_in_one_line(proa: Proa) -> None:
    proa.engine.containers.outcome = PermissionError(13, "Permission denied", b"/var/x")
    proa("run", "alpine")
    assert proa.err == "proa: /var/x: permission denied\n"


def test_bugs_are_called_bugs(proa: Proa) -> None:
    proa.engine.containers.outcome = KeyError("x\ny")
    proa("run", "alpine")
    assert proa.err.startswith("proa: internal error: KeyError: ")
    assert "--debug" in proa.err
    assert proa.err.count("\n") == 1


def test_the_containers_exit_code_is_passed_on(proa: Proa) -> None:
    proa.engine.containers.outcome = 137
    assert proa("run", "--rm", "alpine", "true") == 137


def test_every_command_can_be_loaded_and_called_by_each_name(proa: Proa) -> None:
    ways = [[noun, verb] for noun, verbs in NOUNS.items() for verb in verbs]
    ways += [[noun, alias] for noun, aliases in ALIASES.items() for alias in aliases]
    ways += [[name] for name in (*SHORTCUTS, *ALONE)]
    for way in ways:
        assert proa(*way, "--help") == 0
        assert proa.out.startswith(f"Usage:  proa {' '.join(way)}")


def test_tables_point_to_what_exists() -> None:
    for name, (noun, verb) in SHORTCUTS.items():
        assert verb in NOUNS[noun], name
    for noun, aliases in ALIASES.items():
        assert set(aliases.values()) <= set(NOUNS[noun])
    for module in [*ALONE.values(), *(m for verbs in NOUNS.values() for m in verbs.values())]:
        command = load(module)
        assert command.summary and not command.summary.endswith(".")
        known = ("", "containers", "running", "images", "networks", "volumes")
        assert command.completes in known


def test_help_goes_to_stdout(proa: Proa) -> None:
    for arguments in ([], ["--help"], ["help"], ["-h"]):
        assert proa(*arguments) == 0
        assert "Common Commands:\n  run " in proa.out
        assert not proa.err
    assert proa("container") == 0
    assert proa.out.startswith("Usage:  proa container COMMAND")
    assert proa("help", "run") == 0
    assert "Aliases:\n  proa container run, proa run\n" in proa.out


def test_help_is_laid_out_as_dockers(proa: Proa) -> None:
    proa("stop", "--help")
    assert proa.out == (
        "Usage:  proa stop [OPTIONS] CONTAINER [CONTAINER...]\n"
        "\n"
        "Ask containers to end, and kill those that do not\n"
        "\n"
        "Aliases:\n"
        "  proa container stop, proa stop\n"
        "\n"
        "Options:\n"
        "  -s, --signal string   Signal that asks it to end\n"
        "  -t, --timeout int     Seconds it has before it is killed; -1: for ever\n"
    )


def test_version(proa: Proa) -> None:
    assert proa("--version") == 0
    assert proa.out.startswith("proa version ")
    assert proa("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}") == 0
    assert proa.out.startswith("linux/")


def execute(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", "from proa.cli.main import main; main()", *arguments],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stderr=subprocess.PIPE,
        **options,
    )


def test_a_reader_that_goes_away_ends_it_by_sigpipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = execute("run", "--help", stdout=writer)
    os.close(writer)
    assert process.communicate()[1] == b""
    assert process.returncode == -signal.SIGPIPE


def test_a_full_disk_is_told() -> None:
    with open("/dev/full", "wb") as full:
        process = execute("ps", "--help", stdout=full)
        told = process.communicate()[1]
    assert told.startswith(b"proa: no space left")
    assert told.count(b"\n") == 1
    assert process.returncode == 1


def test_debug_shows_where() -> None:
    process = execute("--debug", "nonsense")
    assert b"Traceback" in process.communicate()[1]
    process = execute("nonsense")
    assert b"Traceback" not in process.communicate()[1]
