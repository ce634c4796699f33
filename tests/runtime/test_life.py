"""The life of a container, command by command."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from tests.runtime.bundle import Bundle, Runtime

pytestmark = pytest.mark.root


def test_run_gives_output_and_exit_code(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("echo out; echo err >&2; exit 7")
    bundle.save()
    result = runtime("run", "--bundle", bundle.directory, "box", code=7)

    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert json.loads(runtime("list", "-f", "json").stdout or "[]") in ([], None)


def test_created_started_stopped_deleted(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("echo begun; sleep 1000")
    pid_file = os.path.join(bundle.directory, "pid")
    runtime.create(bundle, "box", "--pid-file", pid_file)
    state = runtime.state()

    assert state["status"] == "created"
    assert state["id"] == "box"
    assert state["bundle"] == bundle.directory
    with open(pid_file) as file:
        assert int(file.read()) == state["pid"]
    assert runtime.output(bundle) == ""

    runtime("start", "box")
    runtime.wait_for("running")
    deadline = time.monotonic() + 5
    while runtime.output(bundle) != "begun\n":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [item["id"] for item in json.loads(runtime("list", "-f", "json").stdout)] == ["box"]
    assert runtime("list", "-q").stdout == "box\n"
    runtime("start", "box", code=1)
    runtime("delete", "box", code=1)

    runtime("kill", "box", "KILL")
    runtime.wait_for("stopped")
    runtime("delete", "box")
    runtime("state", "box", code=1)


def test_a_created_container_can_be_deleted(runtime: Runtime, bundle: Bundle) -> None:
    runtime.create(bundle)
    runtime("delete", "--force", "box")
    runtime("state", "box", code=1)
    runtime("delete", "--force", "box")


def test_exec(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    runtime.start_detached(bundle)

    result = runtime("exec", "--env", "A=b", "--cwd", "/tmp", "box", "sh", "-c", "echo $A; pwd")
    assert result.stdout == "b\n/tmp\n"
    runtime("exec", "box", "sh", "-c", "exit 9", code=9)
    assert runtime("exec", "--user", "7:8", "box", "id", "-u").stdout == "7\n"
    result = runtime("exec", "box", "/no/such", code=None)
    assert result.returncode != 0
    assert "/no/such" in result.stderr
    process = {**bundle.process, "args": ["id", "-g"], "user": {"uid": 7, "gid": 9}}
    path = os.path.join(bundle.directory, "process.json")
    with open(path, "w") as file:
        json.dump(process, file)
    assert runtime("exec", "--process", path, "box").stdout == "9\n"
    assert runtime("exec", "box", "cat", input="through\n").stdout == "through\n"


def test_exec_detached_writes_its_pid(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    runtime.start_detached(bundle)
    path = os.path.join(bundle.directory, "exec-pid")
    subprocess.run(
        [
            *(runtime.path, "--root", runtime.root),
            *("exec", "--detach", "--pid-file", path, "box", "sleep", "2000"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )

    with open(path) as file:
        pid = int(file.read())
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        assert file.read() == b"sleep\x002000\x00"
    assert pid in json.loads(runtime("ps", "-f", "json", "box").stdout)


def test_pause_and_resume(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("i=0; while :; do i=$((i+1)); echo $i > /n; done")
    runtime.start_detached(bundle)
    runtime("pause", "box")
    assert runtime.state()["status"] == "paused"
    path = os.path.join(bundle.rootfs, "n")
    with open(path) as file:
        first = file.read()
    time.sleep(0.1)
    with open(path) as file:
        assert file.read() == first
    runtime("resume", "box")
    assert runtime.state()["status"] == "running"
    runtime("resume", "box", code=1)


def test_kill_sends_the_signal(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("trap 'echo got; exit' USR1; echo ready; while :; do sleep 0.05; done")
    runtime.start_detached(bundle)
    deadline = time.monotonic() + 5
    while runtime.output(bundle) != "ready\n":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    runtime("kill", "box", "SIGUSR1")
    runtime.wait_for("stopped")
    assert runtime.output(bundle) == "ready\ngot\n"
    runtime("kill", "box", "TERM", code=1)


def test_ps_lists_its_processes(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1234"]
    runtime.start_detached(bundle)

    assert json.loads(runtime("ps", "-f", "json", "box").stdout) == [runtime.state()["pid"]]
    deadline = time.monotonic() + 5
    while "sleep 1234" not in runtime("ps", "box").stdout:
        assert time.monotonic() < deadline  # runc's start returns before execve


def test_events_and_update(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    bundle.linux["resources"]["memory"] = {"limit": 64 << 20}
    runtime.start_detached(bundle)
    stats = json.loads(runtime("events", "--stats", "box").stdout)

    assert stats["type"] == "stats"
    assert stats["data"]["memory"]["usage"]["limit"] == 64 << 20
    runtime("update", "--memory", str(32 << 20), "box")
    stats = json.loads(runtime("events", "--stats", "box").stdout)
    assert stats["data"]["memory"]["usage"]["limit"] == 32 << 20
    runtime("update", "-r", "-", "box", input=json.dumps({"pids": {"limit": 55}}))
    stats = json.loads(runtime("events", "--stats", "box").stdout)
    assert stats["data"]["pids"]["limit"] == 55


def test_spec_and_features(runtime: Runtime, bundle: Bundle) -> None:
    runtime("spec", "--bundle", bundle.directory)
    with open(os.path.join(bundle.directory, "config.json")) as file:
        spec = json.load(file)
    assert spec["process"]["terminal"] is True
    runtime("spec", "--bundle", bundle.directory, code=1)
    spec["process"].update(terminal=False, args=["echo", "hi"])
    bundle.spec = spec
    assert runtime.run(bundle) == "hi\n"
    assert "createContainer" in json.loads(runtime("features").stdout)["hooks"]


def test_the_same_id_twice(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    runtime.start_detached(bundle)
    assert "box" in runtime.refuse(bundle) or "exist" in runtime.refuse(bundle)
    assert runtime.state()["status"] == "running"


@pytest.mark.parametrize("id", ["", "..", "a/b", "a b", "ä"])
def test_invalid_ids(runtime: Runtime, bundle: Bundle, id: str) -> None:
    bundle.save()
    runtime("run", "--bundle", bundle.directory, id, code=1)


def test_what_is_missing_is_named(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["/no/such/command"]
    assert "/no/such/command" in runtime.refuse(bundle)
    bundle.process["args"] = ["nosuchcommand"]
    assert "nosuchcommand" in runtime.refuse(bundle)
    bundle.process["args"] = ["/etc"]
    assert "/etc" in runtime.refuse(bundle)
    bundle.process["args"] = ["true"]
    bundle.spec["root"]["path"] = "nowhere"
    assert "nowhere" in runtime.refuse(bundle)
    with open(os.path.join(bundle.directory, "config.json"), "w") as file:
        file.write("{")
    runtime("run", "--bundle", bundle.directory, "box", code=1)
    os.unlink(os.path.join(bundle.directory, "config.json"))
    runtime("run", "--bundle", bundle.directory, "box", code=1)


def test_errors_go_to_the_log(runtime: Runtime, bundle: Bundle) -> None:
    log = os.path.join(bundle.directory, "log.json")
    bundle.process["args"] = ["/no/such"]
    bundle.save()
    runtime(
        *("--log", log, "--log-format", "json"),
        *("run", "--bundle", bundle.directory, "box"),
        code=1,
    )
    with open(log) as file:
        entries = [json.loads(line) for line in file]
    assert entries[-1]["level"] == "error"
    assert "/no/such" in entries[-1]["msg"]


def test_descriptors_are_handed_down_only_where_asked(runtime: Runtime, bundle: Bundle) -> None:
    with open(os.path.join(bundle.directory, "given"), "w+") as file:
        os.set_inheritable(file.fileno(), True)
        bundle.shell("ls /proc/self/fd | wc -l")
        bundle.save()
        command = [runtime.path, "--root", runtime.root, "run", "--bundle", bundle.directory]
        three = file.fileno()

        def arrange() -> None:
            os.dup2(three, 3)

        for options, expected in (((), b"4\n"), (("--preserve-fds", "1"), b"5\n")):
            result = subprocess.run(
                [*command, *options, "box"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                pass_fds=(3,) if three == 3 else (3, three),
                preexec_fn=arrange,
                check=True,
            )
            assert result.stdout == expected


def test_one_that_is_over_at_once(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["true"]
    for turn in range(15):
        runtime.start_detached(bundle, f"box{turn}")
        runtime.wait_for("stopped", f"box{turn}")
        runtime("delete", f"box{turn}")
