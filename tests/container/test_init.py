"""`--init` on a host that has no program for it: the container's first process is one."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from proa.engine.mounts import INIT_PROGRAMS
from tests.support.command import Command

pytestmark = pytest.mark.root

HIDE = 'for path do shift; [ "$path" = -- ] && break; mount --bind /dev/null "$path"; done; "$@"'


@pytest.fixture
def bare(alpine: Command) -> Command:
    """The command where the host's init programs cannot be seen."""
    there = sorted({os.path.realpath(path) for path in INIT_PROGRAMS if os.path.exists(path)})
    prefix = ["unshare", "--mount", "sh", "-c", HIDE, "sh", *there, "--"]
    return Command(alpine.path, alpine.root, prefix=prefix)


def test_it_is_the_first_process_and_the_command_its_child(bare: Command) -> None:
    shown = bare.output(
        *("run", "--rm", "--init", "alpine", "ps", "-o", "pid,ppid,comm,args")
    ).splitlines()  # fmt: skip
    assert [line.split() for line in shown[1:]] == [
        "1 0 proa-init proa-init -- ps -o pid,ppid,comm,args".split(),
        shown[2].split()[:1] + "1 ps ps -o pid,ppid,comm,args".split(),
    ]


def test_it_ends_as_the_command_does(bare: Command) -> None:
    bare("run", "--rm", "--init", "alpine", "sh", "-c", "exit 7", code=7)
    bare("run", "--rm", "--init", "alpine", "sh", "-c", "kill -KILL $$", code=137)
    result = bare("run", "--rm", "--init", "alpine", "no-such-program", code=127)
    assert "no-such-program" in result.stderr
    bare("run", "--rm", "--init", "alpine", "/etc", code=126)


def test_it_passes_signals_on_and_reaps_orphans(bare: Command) -> None:
    script = (
        "(sleep 0.111 &); trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    )
    bare("run", "-d", "--name", "box", "--init", "alpine", "sh", "-c", script)
    while bare.output("logs", "box") != "ready":
        time.sleep(0.02)
    time.sleep(0.3)
    shown = bare.output("top", "box", "-eo", "pid,stat,args").splitlines()
    assert not [line for line in shown if " Z" in line or line.endswith("sleep 0.111")], shown

    bare("stop", "box")
    assert bare.output("logs", "box") == "ready\ngot it"
    assert bare.output("inspect", "-f", "{{.State.ExitCode}}", "box") == "3"


def test_the_command_has_the_terminal(bare: Command) -> None:
    process, terminal = bare.start_on_terminal(
        *("run", "--rm", "-it", "--init", "alpine", "sh", "-c"),
        "trap 'echo interrupted; exit 5' INT; echo ready; read line",
    )
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    assert process.wait(20) == 5
    while b"interrupted" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    assert seen.count(b"interrupted") == 1


def test_it_has_no_more_rights_than_the_command(bare: Command) -> None:
    flags = ("--init", "-u", "1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    show = "grep -E 'Uid|Cap|NoNew|Seccomp:' /proc/1/status; ls -l /proc/1/exe /proc/1/fd"
    first = bare("run", "--rm", *flags, "alpine", "sh", "-c", show, code=1)
    fields = dict(line.split(":", 1) for line in first.stdout.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {"1000"}
    assert {fields[name].strip() for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()) == ("1", "2")
    assert "ermission denied" in first.stderr  # nobody looks into it


def test_another_runtime_says_what_to_install(bare: Command) -> None:
    if shutil.which("runc") is None:
        pytest.skip("no runc")
    result = bare("run", "--rm", "--init", "--runtime", "runc", "alpine", "true", code=125)
    assert "install the package catatonit" in result.stderr
