"""`from proa import Engine`: containers from Python, in the shapes that docker-py's users know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import proa
from proa import Engine, Mount, Ulimit
from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def engine(alpine: Command) -> Iterator[Engine]:
    """An engine with the image `alpine`; its containers are removed afterwards."""
    with Engine(alpine.root) as engine:
        yield engine
        for container in engine.containers.list(all=True):
            container.remove(force=True)
    del engine


def test_the_output_of_a_command_is_returned(engine: Engine) -> None:
    assert engine.containers.run("alpine", ["echo", "hi"], remove=True) == b"hi\n"
    assert engine.containers.run("alpine", "echo 'two words'", remove=True) == b"two words\n"
    assert engine.containers.list(all=True) == []


def test_which_streams_are_returned(engine: Engine) -> None:
    command = ["sh", "-c", "echo out; echo err >&2"]

    assert engine.containers.run("alpine", command) == b"out\n"
    assert engine.containers.run("alpine", command, stdout=False, stderr=True) == b"err\n"
    both = engine.containers.run("alpine", command, stderr=True)
    assert sorted(both.splitlines()) == [b"err", b"out"]


def test_a_failed_command_raises_and_says_what_it_wrote(engine: Engine) -> None:
    with pytest.raises(proa.ContainerFailed) as caught:
        engine.containers.run("alpine", ["sh", "-c", "echo broken >&2; exit 3"], remove=True)

    assert caught.value.exit_code == 3
    assert caught.value.output == b"broken\n"
    assert "exit code 3" in str(caught.value)


def test_errors_are_kinds(engine: Engine) -> None:
    with pytest.raises(proa.ImageNotFound):
        engine.containers.create(proa.ContainerConfig(image="no-such-image"))
    with pytest.raises(proa.CommandNotFound):
        engine.containers.run("alpine", ["/no/such"], remove=True)
    with pytest.raises(proa.ContainerNotFound):
        engine.containers.get("nobody")
    with pytest.raises(proa.InvalidArgument, match="no option colour"):
        engine.containers.run("alpine", "true", colour="red")
    with pytest.raises(proa.Unsupported, match="lxc_conf"):
        engine.containers.run("alpine", "true", lxc_conf={"a": "b"})
    assert engine.containers.list(all=True) == []


def test_many_options(engine: Engine, tmp_path: os.PathLike[str]) -> None:
    host = os.path.join(tmp_path, "host")
    os.mkdir(host)
    script = "echo $A; pwd; id -u; hostname; cat /h/file; touch /h/x 2>/dev/null || echo ro; " \
        "touch /t/x && echo tmpfs; ulimit -n; cat /sys/fs/cgroup/memory/memory.limit_in_bytes " \
        "2>/dev/null || cat /sys/fs/cgroup/memory.max; grep host.example /etc/hosts"  # fmt: skip
    with open(os.path.join(host, "file"), "w") as file:
        file.write("content\n")

    output = engine.containers.run(
        "alpine",
        ["sh", "-c", script],
        environment={"A": 1},
        working_dir="/usr",
        user="1000",
        hostname="box",
        volumes={host: {"bind": "/h", "mode": "ro"}},
        tmpfs={"/t": "size=1m"},
        mounts=[Mount("tmpfs", "/u")],
        ulimits=[Ulimit("nofile", 100, 200)],
        mem_limit="64m",
        extra_hosts={"host.example": "192.0.2.1"},
        labels=["a=b"],
        remove=True,
    )

    assert output.decode().split("\n")[:-1] == [
        *("1", "/usr", "1000", "box", "content", "ro", "tmpfs", "100", str(64 << 20)),
        "192.0.2.1\thost.example",
    ]


def test_a_detached_container_and_what_is_known_of_it(engine: Engine) -> None:
    container = engine.containers.run(
        "alpine", ["sleep", "600"], detach=True, name="web", labels={"role": "test"}
    )

    assert container.id.startswith(container.short_id) and len(container.short_id) == 12
    assert (container.name, container.labels["role"]) == ("web", "test")
    container.reload()
    assert container.status == "running"
    assert container.attrs["State"]["Pid"] == container.pid
    assert container.image.id == engine.images.get("alpine").id
    assert [item.name for item in engine.containers.list(filters={"label": "role=test"})] == ["web"]
    assert engine.containers.get(container.id[:6]).id == container.id
    assert "CMD" in container.top()[0]
    assert container.stats(stream=False)["pids_stats"]["current"] == 1
    container.rename("web2")
    container.reload()
    assert container.name == "web2"


def test_its_life(engine: Engine) -> None:
    container = engine.containers.run(
        "alpine", ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.02; done"], detach=True
    )
    container.reload()
    container.pause()
    container.reload()
    assert container.status == "paused"
    with pytest.raises(proa.Conflict, match="paused"):
        container.exec_run("true")
    container.unpause()
    container.reload()
    time.sleep(0.1)
    container.stop()
    assert container.wait() == 7
    container.reload()
    assert (container.status, container.exit_code) == ("exited", 7)
    container.start()
    container.reload()
    container.restart(timeout=0)
    container.reload()
    assert container.status == "running"
    container.kill()
    container.reload()
    assert container.exit_code == 137
    container.remove()
    with pytest.raises(proa.ContainerNotFound):
        container.reload()


def test_a_failed_start_is_recorded(engine: Engine) -> None:
    container = engine.containers.create(proa.ContainerConfig("alpine", command=("/no/such",)))
    with pytest.raises(proa.CommandNotFound):
        container.start()
    container.reload()

    assert (container.status, container.exit_code) == ("created", 127)
    assert "/no/such" in container.attrs["State"]["Error"]


def test_further_commands(engine: Engine) -> None:
    container = engine.containers.run("alpine", ["sleep", "600"], detach=True)
    container.reload()

    code, output = container.exec_run(["sh", "-c", "echo $A; pwd; id -u; exit 4"],
                                      environment=["A=b"], workdir="/etc", user="1000")  # fmt: skip
    assert (code, output) == (4, b"b\n/etc\n1000\n")
    result = container.exec_run("sh -c 'echo out; echo err >&2'", demux=True)
    assert result.output == (b"out\n", b"err\n")
    assert container.exec_run("tty", tty=True).output == b"/dev/pts/0\r\n"
    assert container.exec_run("touch /made", detach=True).exit_code is None
    deadline = time.monotonic() + 10
    while container.exec_run("test -e /made").exit_code:
        assert time.monotonic() < deadline
    with pytest.raises(proa.CommandNotFound):
        container.exec_run("/no/such")


def test_logs(engine: Engine) -> None:
    script = "echo one; echo two >&2; sleep 0.3; echo three"
    container = engine.containers.run("alpine", ["sh", "-c", script], detach=True)
    container.reload()

    lines = list(container.logs(stream=True))
    assert lines == [b"one\n", b"two\n", b"three\n"]
    assert container.logs() == b"one\ntwo\nthree\n"
    assert container.logs(stderr=False) == b"one\nthree\n"
    assert container.logs(tail=1) == b"three\n"
    stamped = container.logs(timestamps=True, tail=1)
    assert isinstance(stamped, bytes) and stamped.endswith(b"Z three\n")
    assert container.logs(since=time.time() + 60) == b""


def test_threads_share_an_engine(engine: Engine) -> None:
    outputs: dict[int, bytes] = {}

    def work(number: int) -> None:
        for turn in range(3):
            key = number * 10 + turn
            outputs[key] = engine.containers.run("alpine", ["echo", str(key)], remove=True)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outputs == {n * 10 + t: f"{n * 10 + t}\n".encode() for n in range(4) for t in range(3)}
    assert engine.containers.list(all=True) == []


def test_a_large_program_with_threads_is_never_forked(alpine: Command) -> None:
    program = f"""
import os, threading
def forked(): raise SystemExit("this process was forked")
heap = bytearray(300 << 20)
heap[::4096] = b"x" * len(heap[::4096])
stop = threading.Event()
others = [threading.Thread(target=stop.wait) for _ in range(20)]
for other in others: other.start()
os.fork = os.forkpty = lambda: (_ for _ in ()).throw(AssertionError("fork"))
os.register_at_fork(before=lambda: os.write(2, b"FORK\\n"))
from proa import Engine
with Engine({alpine.root!r}) as engine:
    print(engine.containers.run("alpine", ["echo", "hi"], remove=True))
    container = engine.containers.run("alpine", ["sleep", "60"], detach=True)
    container.reload()
    print(container.exec_run("echo there"))
    container.remove(force=True)
stop.set()
"""
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(proa.__file__))}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment,
        check=False, timeout=60,
    )  # fmt: skip

    assert result.stderr == ""
    assert "b'hi\\n'" in result.stdout and "there" in result.stdout


def test_the_output_from_now_on(engine: Engine) -> None:
    script = "echo before; read line; echo out $line; echo err >&2"
    container = engine.containers.run("alpine", ["sh", "-c", script], detach=True, stdin_open=True)
    container.reload()
    while container.logs() != b"before\n":
        time.sleep(0.01)

    late = container.attach(stream=True)
    pairs = container.attach(stream=True, demux=True)
    whole = container.attach(stream=True, logs=True)
    only_errors = container.attach(stream=True, stdout=False)
    with container.attach_socket(stdout=False, stderr=False) as sink:
        sink.sendall(b"said\n")

    assert sorted(b"".join(late).splitlines()) == [b"err", b"out said"]
    assert sorted(pairs, key=str) == [(None, b"err\n"), (b"out said\n", None)]
    assert sorted(b"".join(whole).splitlines()) == [b"before", b"err", b"out said"]
    assert b"".join(only_errors) == b"err\n"
    assert container.wait() == 0
    container.reload()
    assert sorted(container.attach(logs=True).splitlines()) == [b"before", b"err", b"out said"]
    assert container.attach(logs=True, demux=True) == (b"before\nout said\n", b"err\n")
    with pytest.raises(proa.Conflict, match="not running"):
        container.attach()


def test_attaching_waits_for_the_end(engine: Engine) -> None:
    container = engine.containers.run(
        "alpine", ["sh", "-c", "sleep 0.4; echo done"], detach=True, tty=True
    )
    container.reload()
    assert container.attach() == b"done\r\n"


def test_an_attachment_that_is_given_up_harms_nobody(engine: Engine) -> None:
    container = engine.containers.run("alpine", ["yes"], detach=True, log_config={"type": "none"})
    container.reload()
    for close in (True, False):
        stream = container.attach(stream=True)
        assert b"y\n" in next(stream)
        if close:
            stream.close()
        del stream
    container.reload()
    assert container.status == "running"
    container.kill()


def test_further_commands_with_input_and_in_pieces(engine: Engine) -> None:
    container = engine.containers.run("alpine", ["sleep", "600"], detach=True)
    container.reload()
    big = os.urandom(300_000)

    assert container.exec_run("cat", stdin=big).output == big
    assert container.exec_run("cat", stdin=True).output == b""
    code, output = container.exec_run(
        ["sh", "-c", "echo $A$B; id -u; grep -c ffffffff /proc/self/status"],
        environment={"A": "a", "B": 2}, user="root", privileged=True, stderr=False,
    )  # fmt: skip
    assert code == 0 and output.split()[:2] == [b"a2", b"0"]

    code, pieces = container.exec_run("sh -c 'echo 1; sleep 0.1; echo 2 >&2'", stream=True)
    assert code is None
    assert list(pieces) == [b"1\n", b"2\n"]
    script = "sh -c 'echo 1; sleep 0.1; echo 2 >&2'"
    assert list(container.exec_run(script, stream=True, demux=True).output) == [
        (b"1\n", None), (None, b"2\n")]  # fmt: skip
    assert list(container.exec_run(script, stream=True, stdout=False).output) == [b"2\n"]
    assert b"".join(container.exec_run("cat", stream=True, stdin=big).output) == big
    assert b"".join(container.exec_run("tty", stream=True, tty=True).output) == b"/dev/pts/0\r\n"


def test_a_further_command_s_socket(engine: Engine) -> None:
    container = engine.containers.run("alpine", ["sleep", "600"], detach=True)
    container.reload()

    result = container.exec_run("cat", socket=True, stdin=True)
    assert result.exit_code is None
    with result.output as socket:
        socket.sendall(b"hello")
        # 1: standard output, then the length
        assert socket.recv(8 + 5, 0x100) == b"\x01\0\0\0\0\0\0\x05hello"  # MSG_WAITALL
        socket.shutdown(1)
        assert socket.recv(1) == b""
    with container.exec_run(["sh"], socket=True, stdin=True, tty=True).output as socket:
        socket.sendall(b"echo $((40 + 2)); exit\n")
        received = b""
        while data := socket.recv(4096):
            received += data
    assert b"\r\n42\r\n" in received


def test_limits_can_be_changed(engine: Engine) -> None:
    container = engine.containers.run("alpine", ["sleep", "600"], detach=True)
    container.reload()

    done = container.update(
        mem_limit="32m",
        memswap_limit="32m",
        pids_limit=20,
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
    )

    assert done == {"Warnings": []}
    wanted = container.attrs["HostConfig"]
    assert (wanted["Memory"], wanted["PidsLimit"]) == (32 << 20, 20)
    assert wanted["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    found = container.stats(stream=False, one_shot=True)
    assert found["pids_stats"]["limit"] == 20
    assert found["memory_stats"]["limit"] == 32 << 20
    container.update(restart_policy={"Name": "no"})
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "no"
    with pytest.raises(proa.InvalidArgument, match="no option colour"):
        container.update(colour="red")
    with pytest.raises(proa.InvalidArgument, match="6MB"):
        container.update(mem_limit="1m")


def test_output_as_it_comes(engine: Engine) -> None:
    script = "echo one; sleep 0.2; echo two; echo err >&2"
    pieces = engine.containers.run("alpine", ["sh", "-c", script], stream=True, remove=True)
    assert next(pieces) == b"one\n"
    assert list(pieces) == [b"two\n"]
    failing = engine.containers.run("alpine", ["sh", "-c", "echo x; exit 3"], stream=True)
    assert next(failing) == b"x\n"
    with pytest.raises(proa.ContainerFailed) as caught:
        next(failing)
    assert caught.value.exit_code == 3
    with pytest.raises(proa.CommandNotFound):
        engine.containers.run("alpine", "/no/such", stream=True, remove=True)


def test_mounts_in_docker_py_s_form(engine: Engine, tmp_path: os.PathLike[str]) -> None:
    host = os.path.join(tmp_path, "host")
    os.mkdir(host)
    mounts = [
        {"Type": "bind", "Source": host, "Target": "/m", "ReadOnly": True},
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}},
    ]
    output = engine.containers.run(
        "alpine", ["sh", "-c", "grep -e ' /m ' -e ' /t ' /proc/mounts; touch /m/x 2>&1 || :"],
        mounts=mounts, remove=True,
    ).decode()  # fmt: skip
    assert "size=1024k,mode=700" in output
    assert "Read-only file system" in output
    with pytest.raises(proa.InvalidArgument, match="neither"):
        engine.containers.run("alpine", "true", mounts=["/a:/b"])
    with pytest.raises(proa.Unsupported, match="type npipe"):
        engine.containers.run("alpine", "true", mounts=[{"Target": "/x", "Type": "npipe"}])


def test_lists_and_options_as_in_docker_py(engine: Engine) -> None:
    first = engine.containers.run("alpine", "true", detach=True, labels=["a=b"])
    second = engine.containers.run("alpine", ["sh", "-c", "exit 2"], detach=True)
    for container in (first, second):
        container.reload()
        container.wait()

    def names(**options: object) -> list[str]:
        found = engine.containers.list(all=True, sparse=True, **options)  # type: ignore[arg-type]
        return [container.name for container in found]

    assert names(before=second.name) == [first.name]
    assert names(since=first.short_id) == [second.name]
    assert names(filters={"exited": 2}) == [second.name]
    assert names(filters={"is-task": False, "label": ["a=b"]}) == [first.name]
    assert (first.ports, first.health) == ({}, "unknown")
    options = {"cgroupns": "host", "version": "auto", "isolation": None, "cpu_rt_period": None}
    assert engine.containers.run("alpine", "echo hi", remove=True, **options) == b"hi\n"
    with pytest.raises(proa.Unsupported, match="init_path"):
        engine.containers.run("alpine", "true", init_path="/bin/init")
    assert sorted(engine.containers.prune()["ContainersDeleted"]) == sorted([first.id, second.id])


def test_waiting_has_an_end(engine: Engine) -> None:
    container = engine.containers.run("alpine", ["sleep", "600"], detach=True)
    container.reload()
    with pytest.raises(proa.TimedOut, match="has not ended in"):
        container.wait(timeout=0.2)
    container.kill(9)
    assert container.wait(timeout=5) == 137
    with pytest.raises(proa.InvalidArgument, match="70000 rows"):
        container.resize(70_000, 80)
    container.remove(v=True, force=True)


def test_what_it_uses(engine: Engine) -> None:
    box = engine.containers.run(
        "alpine", ["sh", "-c", "while :; do :; done"], detach=True, mem_limit="64m"
    )
    found = box.stats(stream=False)
    cpu, before = found["cpu_stats"], found["precpu_stats"]
    assert cpu["cpu_usage"]["total_usage"] > before["cpu_usage"]["total_usage"] > 0
    assert cpu["system_cpu_usage"] > before["system_cpu_usage"]
    assert found["memory_stats"]["limit"] == 64 << 20
    assert found["preread"] < found["read"]
    stream = box.stats(decode=True)
    assert next(stream)["id"] == next(stream)["id"] == box.id
    assert json.loads(next(box.stats()))["name"] == f"/{box.name}"
    box.kill()
    assert list(stream) == []
    assert box.stats(stream=False)["memory_stats"] == {}
