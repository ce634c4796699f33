"""Containers of an ordinary user who has subordinate ids."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable

import pytest

from tests.support.command import Command
from tests.support.users import User

pytestmark = pytest.mark.root


def test_the_life_of_a_container(box: Command) -> None:
    id = box.output("run", "-d", "--name", "web", "box", "sh", "-c", "echo up; exec sleep 600")

    assert box.output("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}") == f"{id} web"
    assert box.output("exec", "web", "id", "-u") == "0"
    assert box.output("exec", "--user", "user", "web", "id", "-u") == "7"
    box("exec", "web", "/no/such", code=127)
    assert box.output("logs", "web") == "up"
    assert "sleep 600" in box.output("top", "web")
    box("stop", "-t", "0", "web")
    assert box.output("inspect", "-f", "{{.State.Status}}", "web") == "exited"
    box("start", "web")
    box("kill", "web")
    assert box.output("wait", "web") == "137"
    box("rm", "web")
    assert box.output("ps", "-aq") == ""


def test_streams_and_exit_codes(box: Command) -> None:
    result = box(
        "run", "--rm", "-i", "box", "sh", "-c", "cat; echo err >&2; exit 3", input="in\n", code=3
    )

    assert (result.stdout, result.stderr) == ("in\n", "err\n")


def test_a_terminal_belongs_to_the_container_s_user(box: Command) -> None:
    process, terminal = box.start_on_terminal(
        "run", "--rm", "-it", "--user", "7", "box", "sh", "-c", "tty && echo yes > /dev/tty"
    )
    output = b""
    try:
        while chunk := os.read(terminal, 1024):
            output += chunk
    except OSError:
        pass  # EIO: nobody has it open any more
    os.close(terminal)

    assert process.wait(20) == 0
    assert output.split() == [b"/dev/pts/0", b"yes"]


def test_the_user_is_root_inside_and_others_are_subordinate(
    box: Command, unprivileged_user: User, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = os.path.join(unprivileged_user.home, "shared")
    os.mkdir(shared)
    os.chown(shared, unprivileged_user.uid, unprivileged_user.gid)

    box(
        *("run", "--rm", "-v", f"{shared}:/shared", "box", "sh", "-c"),
        "touch /shared/mine /shared/other && chown 7:8 /shared/other",
    )

    mine, other = os.stat(f"{shared}/mine"), os.stat(f"{shared}/other")
    assert (mine.st_uid, mine.st_gid) == (unprivileged_user.uid, unprivileged_user.gid)
    assert other.st_uid >= 100_000
    assert other.st_uid not in (0, 7)


def test_layers_keep_owners_and_whiteouts(box: Command) -> None:
    assert box.output("run", "--rm", "box", "stat", "-c", "%u:%g", "/srv/of-seven") == "7:8"
    assert box.output("run", "--rm", "box", "ls", "/srv") == "of-seven"


def test_what_is_removed_stays_removed(box: Command) -> None:
    box("run", "--name", "one", "box", "sh", "-c", "rm -r /srv; mkdir /srv; touch /srv/new")
    box("start", "one")
    # a container that ran twice sees its own changes; nobody else does
    box("wait", "one")
    assert box.output("run", "--rm", "box", "ls", "/srv") == "of-seven"


def test_files_of_subordinate_users_can_be_measured_and_removed(box: Command) -> None:
    box(
        *("run", "--name", "one", "box", "sh", "-c"),
        "mkdir -p /q/r && head -c 5000 /dev/zero > /q/r/x && chown -R 7 /q && chmod 700 /q",
    )

    assert "5kB" in box.output("ps", "-a", "-s", "--format", "{{.Size}}")
    box("rm", "one")
    assert os.listdir(f"{box.root}/containers") == []


@pytest.mark.parametrize("kind", ["network", "pid", "ipc"])
def test_namespaces_of_another_container_can_be_joined(box: Command, kind: str) -> None:
    box("run", "-d", "--name", "one", "--ipc", "shareable", "box", "sleep", "600")
    read = ("readlink", f"/proc/self/ns/{ {'network': 'net'}.get(kind, kind) }")

    joined = box.output("run", "--rm", f"--{kind}", "container:one", "box", *read)

    assert joined == box.output("exec", "one", *read)
    if kind == "ipc":
        box("run", "--rm", "--ipc", "container:one", "box", "touch", "/dev/shm/shared")
        assert box.output("exec", "one", "ls", "/dev/shm") == "shared"
    box("rm", "-f", "one")


def test_networks(box: Command) -> None:
    assert "lo" in box.output("run", "--rm", "--network", "none", "box", "ls", "/sys/class/net")
    hosts = box.output("run", "--rm", "--network", "host", "box", "ls", "/sys/class/net")
    assert set(hosts.split()) == set(os.listdir("/sys/class/net"))
    box("run", "--rm", "--network", "host", "box", "touch", "/sys/x", code=1)


def test_namespaces_of_the_host(box: Command) -> None:
    own = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "ipc", "uts")}
    for kind, link in own.items():
        assert (
            box.output(
                "run", "--rm", f"--{kind}", "host", "box", "readlink", f"/proc/self/ns/{kind}"
            )
            == link
        )


def test_limits_without_a_cgroup_are_named(box: Command) -> None:
    result = box("run", "--rm", "-m", "64m", "--cpus", "1", "--pids-limit", "9", "box", "true")
    if result.stderr:
        (line,) = result.stderr.splitlines()
        for name in ("memory.limit", "cpu.quota", "pids.limit"):
            assert name in line
    assert box("run", "--rm", "box", "true").stderr == ""


def test_privileged_is_root_of_the_user_namespace_only(box: Command) -> None:
    box("run", "--rm", "--privileged", "box", "mount", "-t", "tmpfs", "none", "/tmp")
    box("run", "--rm", "--privileged", "box", "sh", "-c", "echo 1 > /proc/sys/kernel/panic", code=1)


def test_the_store_and_its_sockets_are_the_user_s_alone(box: Command) -> None:
    id = box.output("run", "-d", "box", "sleep", "600")
    for path in ("", "blobs", "layers", "containers", "run", f"run/{id}"):
        assert stat.S_IMODE(os.stat(f"{box.root}/{path}").st_mode) & 0o077 == 0 or path == ""
    mode = os.stat(f"{box.root}/run/{id}/monitor.sock").st_mode
    assert stat.S_IMODE(mode) == 0o600
    box("rm", "-f", id)


def test_another_user_cannot_reach_it(box: Command, single: Command, single_id_user: User) -> None:
    id = box.output("run", "-d", "box", "sleep", "600")
    pid = box.output("inspect", "-f", "{{.State.Pid}}", id)
    stranger = Command(single.path, box.root, prefix=single.prefix, environment=single.environment)
    os.chmod(box.root, 0o700)

    assert "permission" in stranger("ps", code=None).stderr
    mine = single.output("ps", "-aq")
    assert mine == ""
    script = f"kill -9 {pid} || cat /proc/{pid}/environ || ls /proc/{pid}/root/"
    single("run", "--rm", "--pid", "host", "box", "sh", "-c", script, code=1)
    assert box.output("ps", "-q", "--no-trunc") == id
    box("rm", "-f", id)


def test_a_killed_monitor_takes_its_container_along(box: Command) -> None:
    id = box.output("run", "-d", "box", "sh", "-c", "sleep 600 & sleep 601")
    pid = int(box.output("inspect", "-f", "{{.State.Pid}}", id))
    with open(f"/proc/{pid}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])

    os.kill(monitor, 9)

    assert box.output("ps", "-q") == ""
    assert not os.path.exists(f"/proc/{pid}/cmdline") or not open(f"/proc/{pid}/cmdline").read()
    box("rm", id)


def test_images(box: Command, proa_as: Callable[[User], Command], unprivileged_user: User) -> None:
    saved = os.path.join(unprivileged_user.home, "box.tar")
    box("save", "-o", saved, "box")
    box("tag", "box", "other:1")
    assert "other" in box.output("images")
    second = proa_as(unprivileged_user)
    second("load", "-i", saved)
    assert second.output("images", "-q", "--no-trunc") == box.output(
        "images", "-q", "--no-trunc", "box"
    )
    assert second.output("run", "--rm", "box", "stat", "-c", "%u:%g", "/srv/of-seven") == "7:8"
    second("rmi", "box")
    assert [name for name in os.listdir(f"{second.root}/layers") if not name.startswith(".")] == []
    box("image", "bootstrap", "busybox")
    assert box.output("run", "--rm", "busybox", "echo", "hi") == "hi"


def test_the_default_root_is_below_the_xdg_directories(
    box: Command, unprivileged_user: User, archive: str
) -> None:
    for environment, expected in (
        ({}, ".local/share/proa"),
        ({"XDG_DATA_HOME": f"{unprivileged_user.home}/data"}, "data/proa"),
    ):
        root = f"{unprivileged_user.home}/{expected}"
        home = Command(
            box.path,
            root,
            prefix=box.prefix,
            environment={"HOME": unprivileged_user.home, "PATH": os.environ["PATH"], **environment},
        )
        # without --root
        home.argv = lambda *words, home=home: [*home.prefix, home.path, *words]  # type: ignore[method-assign]
        home("load", "-q", "-i", archive)
        assert home.output("run", "--rm", "box", "echo", "hi") == "hi"
        assert stat.S_IMODE(os.stat(root).st_mode) == 0o700


def test_su_gives_no_session_and_needs_none(box: Command, unprivileged_user: User) -> None:
    command = f"exec {box.path} --root {box.root} run --rm box id -u"
    su = Command("su", box.root)
    su.argv = lambda *words: ["su", "-", unprivileged_user.name, "-c", command]  # type: ignore[method-assign]

    assert su.output() == "0"


def test_a_closed_home_is_no_hindrance(
    unprivileged_user: User, binaries: str, archive: str
) -> None:
    os.chmod(unprivileged_user.home, 0o700)
    root = f"{unprivileged_user.home}/closed"
    command = Command(
        os.path.join(binaries, "proa"),
        root,
        prefix=unprivileged_user.command(),
        environment=unprivileged_user.environment(),
    )
    command("load", "-q", "-i", archive)

    # neither root inside nor its subordinate user could walk there by themselves outside
    assert command.output("run", "--rm", "--user", "7", "box", "id", "-u") == "7"


def test_the_library_in_a_program_with_threads(
    box: Command, archive: str, unprivileged_user: User
) -> None:
    library = f"{os.path.dirname(os.path.dirname(box.path))}/lib"
    script = f"""
import sys, threading
sys.path.insert(0, f"{library}/python3.{{sys.version_info[1]}}/site-packages")
stop = threading.Event()
threading.Thread(target=stop.wait).start()
try:
    from proa import Engine
    with Engine({box.root!r}) as engine:
        engine.images.remove("box")
        with open({archive!r}, "rb") as file:
            (image,) = engine.images.load(file)
        print(image.tags)
        print(engine.containers.run("box", ["id", "-u"]))
        others = ["sh", "-c", "mkdir -p /q/r; chown -R 7 /q; chmod 700 /q"]
        container = engine.containers.run("box", others, detach=True)
        container.wait()
        container.remove()
        try:
            engine.images.load(b"no archive at all")
        except Exception as error:
            print(type(error).__name__)
finally:
    stop.set()
"""
    python = Command(os.path.join(os.path.dirname(box.path), "python3"), box.root)
    python.prefix, python.environment = box.prefix, box.environment
    python.argv = lambda *words: [*box.prefix, python.path, "-c", script]  # type: ignore[method-assign]

    assert python().stdout.splitlines() == ["['box:latest']", "b'0\\n'", "CorruptData"]


def test_in_the_host_s_pid_namespace_all_end_together(box: Command) -> None:
    script = "sleep 86410 & (sleep 86411 & exec setsid sleep 86412) & exec sleep 86413"
    for flags in (("--pid", "host"), ("--pid", "host", "--network", "host")):
        box("run", "-d", "--name", "one", *flags, "box", "sh", "-c", script)
        box("exec", "-d", "one", "sleep", "86414")
        wait_until(lambda: len(sleepers(box)) == 5)
        assert len(box.output("top", "one").splitlines()) == 1 + 5
        box("stop", "-t", "0", "one")
        assert sleepers(box) == []
        box("rm", "one")


def test_processes_that_outlive_the_first_end_with_the_container(box: Command) -> None:
    # it is over before anyone could have looked at it
    box("run", "--rm", "--pid", "host", "box", "sh", "-c", "setsid sleep 86410 & exit 0")
    assert sleepers(box) == []


def test_a_killed_monitor_takes_all_along_that_it_had(box: Command) -> None:
    script = "sleep 86410 & exec sleep 86411"
    id = box.output("run", "-d", "--pid", "host", "box", "sh", "-c", script)
    wait_until(lambda: len(sleepers(box)) == 2)
    first = int(box.output("inspect", "-f", "{{.State.Pid}}", id))
    with open(f"/proc/{first}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    for pid in (first, monitor):
        os.kill(pid, 9)
    assert box.output("ps", "-q") == ""
    assert sleepers(box) == []


def sleepers(box: Command) -> list[int]:
    """The processes of this test's containers, on the host."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[0] == b"sleep" and words[1].startswith(b"8641"):
            found.append(int(name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_how_readily_it_is_killed_when_memory_runs_out(box: Command) -> None:
    read = ("cat", "/proc/self/oom_score_adj")
    box("run", "-d", "--name", "one", "--oom-score-adj", "432", "--restart", "on-failure", "box",
        "sh", "-c", "until [ -e /end ]; do sleep 0.05; done; rm /end; exit 1")  # fmt: skip
    assert box.output("exec", "one", *read) == "432"
    pid = box.output("inspect", "-f", "{{.State.Pid}}", "one")
    for turn in range(2):
        with open(f"/proc/{pid}/oom_score_adj") as file:
            assert file.read() == "432\n", turn
        box("exec", "one", "touch", "/end")
        shown = pid
        deadline = time.monotonic() + 10
        while shown in (pid, "0"):
            assert time.monotonic() < deadline
            shown = box.output("inspect", "-f", "{{.State.Pid}}", "one")
        pid = shown
    with open(f"/proc/{pid}/stat") as file:
        monitor = file.read().rpartition(")")[2].split()[1]
    with open(f"/proc/{monitor}/oom_score_adj") as file:
        assert file.read() == "0\n"
    box("rm", "-f", "one")

    lower = box("run", "--rm", "--oom-score-adj", "-100", "box", *read)
    assert lower.stdout == "0\n"
    assert "oomScoreAdj -100 was not applied" in lower.stderr


def test_networks_come_later_and_that_is_said(box: Command) -> None:
    """A container of an ordinary user has the loopback device alone, and no silence about ports."""
    assert box.output("run", "--rm", "box", "ls", "/sys/class/net") == "lo"
    refused = box("run", "--rm", "-p", "8080:80", "box", "true", code=125).stderr
    assert "cannot be published yet; use --network host" in refused
    said = box("run", "--rm", "--expose", "80", "box", "true").stderr
    assert "the ports that the container exposes are not reached" in said
