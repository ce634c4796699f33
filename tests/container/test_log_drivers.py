"""Log drivers: what each writes where, what can be read back, and targets that are slow or gone."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root

MANY = "i=0; while [ $i -lt 400 ]; do echo line $i of the container; i=$((i+1)); done"


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"line (\d+) of", text)]


def wait_for(proa: Command, name: str = "box") -> None:
    proa("wait", name)


def directory(proa: Command, name: str = "box") -> str:
    return os.path.join(proa.root, "containers", proa.output("inspect", "-f", "{{.Id}}", name))


# -- files


def test_local_is_compact_and_read_back(alpine: Command) -> None:
    script = "echo out; echo err >&2; printf 'no end'"
    alpine("run", "--name", "box", "--log-driver", "local", "alpine", "sh", "-c", script)

    logged = alpine("logs", "-t", "box")

    assert re.sub(r"\S+Z ", "", logged.stdout) == "out\nno end"
    assert re.sub(r"\S+Z ", "", logged.stderr) == "err\n"
    with open(alpine.output("inspect", "-f", "{{.LogPath}}", "box"), "rb") as file:
        data = file.read()
    # length, source, time, line, length: as Docker's own reader expects it
    length = int.from_bytes(data[:4], "big")
    assert data[4 : 4 + 8] == b"\x0a\x06stdout"
    assert data[4 + length : 8 + length] == data[:4]
    assert alpine.output("logs", "--tail", "1", "box") == "no end"


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_rotated_files_are_compressed_and_read(alpine: Command, driver: str) -> None:
    options = ("--log-opt", "max-size=6k", "--log-opt", "max-file=4", "--log-opt", "compress=true")
    alpine("run", "--name", "box", "--log-driver", driver, *options, "alpine", "sh", "-c", MANY)

    path = alpine.output("inspect", "-f", "{{.LogPath}}", "box")
    files = sorted(os.listdir(os.path.dirname(path)))
    log = os.path.basename(path)
    assert [name for name in files if name.startswith(log)] == [
        log, f"{log}.1.gz", f"{log}.2.gz", f"{log}.3.gz"
    ]  # fmt: skip
    with gzip.open(f"{path}.1.gz") as file:
        assert b"of the container" in file.read()
    found = numbers(alpine.output("logs", "box"))
    assert found == list(range(found[0], 400))


def test_following_goes_over_compressed_files(alpine: Command) -> None:
    options = ("--log-opt", "max-size=6k", "--log-opt", "max-file=30")
    script = f"while [ ! -e /go ]; do sleep 0.02; done; {MANY.replace('echo', 'sleep 0; echo')}"
    alpine("run", "-d", "--name", "box", "--log-driver", "local", *options, "alpine",
           "sh", "-c", script)  # fmt: skip
    following = alpine.start("logs", "-f", "box")
    alpine("exec", "box", "touch", "/go")
    output, _ = following.communicate(timeout=60)

    assert numbers(output.decode()) == list(range(400))


def test_details_are_what_the_options_name(alpine: Command) -> None:
    alpine(
        *("run", "--name", "box", "--label", "a=1", "--label", "com.x/b=2 3", "-e", "MODE=fast"),
        *("--log-opt", "labels=a", "--log-opt", "labels-regex=^com", "--log-opt", "env=MODE,PATHS"),
        *("--log-opt", "tag={{.Name}}/{{.ImageName}}", "alpine", "echo", "hi"),
    )
    assert alpine.output("logs", "--details", "box") == (
        "MODE=fast,a=1,com.x%2Fb=2+3,tag=box%2Falpine hi"
    )


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--log-driver", "fluentd"), "unknown log driver fluentd"),
        (("--log-opt", "colour=red"), "unknown log opt 'colour'"),
        (("--log-opt", "tag={{.Nmae}}"), "{{.Name}}"),
        (("--log-opt", "labels-regex=("), "not a regular expression"),
        (("--log-driver", "syslog", "--log-opt", "syslog-address=tcp+tls://a"), "TLS"),
    ],
)
def test_what_there_is_not_is_refused(alpine: Command, options: tuple[str, ...], word: str) -> None:
    assert word in alpine("create", *options, "alpine", "true", code=1).stderr


# -- syslog


class Daemon:
    """Takes messages by a datagram socket."""

    def __init__(self, family: int, address: object) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)

    def messages(self, count: int) -> list[str]:
        return [self.socket.recv(65536).decode() for _ in range(count)]


@pytest.fixture
def udp() -> Iterator[Daemon]:
    daemon = Daemon(socket.AF_INET, ("127.0.0.1", 0))
    yield daemon
    daemon.socket.close()


def syslog(address: str, *options: str) -> list[str]:
    found = ["--log-driver", "syslog", "--log-opt", f"syslog-address={address}"]
    for option in options:
        found += ["--log-opt", option]
    return found


@pytest.mark.parametrize(
    ("format", "pattern"),
    [
        ("", r"<{p}>[A-Z]\w\w [ \d]\d [\d:]{{8}} \S+ box/alpine\[\d+\]: {t}"),
        ("rfc3164", r"<{p}>[A-Z]\w\w [ \d]\d [\d:]{{8}} \S+ box/alpine\[\d+\]: {t}"),
        ("rfc5424", r"<{p}>1 [\d-]{{10}}T[\d:]{{8}}Z \S+ box/alpine \d+ box/alpine - {t}"),
        ("rfc5424micro", r"<{p}>1 [\d-]{{10}}T[\d:]{{8}}\.\d{{6}}Z \S+ box/alpine \d+ \S+ - {t}"),
    ],
)
def test_syslog_by_udp_in_all_formats(
    alpine: Command, udp: Daemon, format: str, pattern: str
) -> None:
    port = udp.socket.getsockname()[1]
    flags = syslog(f"udp://127.0.0.1:{port}", "syslog-facility=local1",
                   "tag={{.Name}}/{{.ImageName}}", f"syslog-format={format}")  # fmt: skip
    alpine("run", "--name", "box", *flags, "alpine", "sh", "-c", "echo to out; echo to err >&2")

    messages = sorted(udp.messages(2))  # err, with the lower number, first

    for message, severity, text in zip(messages, (3, 6), ("to err", "to out"), strict=True):
        expected = pattern.format(p=17 * 8 + severity, t=text)
        assert re.fullmatch(expected, message), message
    assert "does not support reading" in alpine("logs", "box", code=1).stderr


def test_syslog_by_a_unix_socket(alpine: Command) -> None:
    path = os.path.join(tempfile.gettempdir(), "log")
    daemon = Daemon(socket.AF_UNIX, path)
    try:
        alpine("run", "--rm", *syslog(f"unix://{path}"), "alpine", "echo", "hi there")
        assert re.fullmatch(r"<30>.{15} [0-9a-f]{12}\[\d+\]: hi there", daemon.messages(1)[0])
    finally:
        daemon.socket.close()
        os.unlink(path)


class Stream:
    """Takes messages by TCP, as one who may be slow or go."""

    def __init__(self, port: int = 0) -> None:
        self.socket = socket.create_server(("127.0.0.1", port))
        self.socket.settimeout(10)
        self.port = self.socket.getsockname()[1]

    def accept(self) -> socket.socket:
        connection, _ = self.socket.accept()
        connection.settimeout(10)
        return connection


def read_until(connection: socket.socket, word: bytes) -> bytes:
    data = b""
    while word not in data:
        part = connection.recv(65536)
        assert part, data[-200:]
        data += part
    return data


def test_syslog_by_tcp_and_over_an_outage(alpine: Command) -> None:
    daemon = Stream()
    script = ("while :; do while [ ! -e /$i ]; do sleep 0.02; done; rm /$i; echo said $i;"
              " i=$((i+1)); done")  # fmt: skip
    alpine("run", "-d", "--name", "box", *syslog(f"tcp://127.0.0.1:{daemon.port}"), "alpine",
           "sh", "-c", f"i=0; {script}")  # fmt: skip
    connection = daemon.accept()
    alpine("exec", "box", "touch", "/0")
    assert read_until(connection, b"said 0\n").endswith(b"]: said 0\n")

    connection.close()
    daemon.socket.close()
    alpine("exec", "box", "touch", "/1")  # nobody is there: it waits
    deadline = time.monotonic() + 10
    while "cannot be reached" not in alpine.output("inspect", "-f", "{{.State.LogError}}", "box"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    told = alpine.output("events", "--since", "10m", "--until", str(time.time()))
    assert re.search(r"container log_error \w+ \(error=.*cannot be reached", told), told
    daemon = Stream(daemon.port)
    connection = daemon.accept()
    alpine("exec", "box", "touch", "/2")
    assert b"said 1\n" in read_until(connection, b"said 2\n")
    alpine("rm", "-f", "box")
    connection.close()
    daemon.socket.close()


def test_what_is_left_when_the_target_is_gone_is_told(alpine: Command) -> None:
    daemon = Stream()
    flags = syslog(f"tcp://127.0.0.1:{daemon.port}")
    script = "while [ ! -e /go ]; do sleep 0.02; done; echo one; echo two"
    alpine("run", "-d", "--name", "box", *flags, "alpine", "sh", "-c", script)
    daemon.accept().close()
    daemon.socket.close()
    alpine("exec", "box", "touch", "/go")
    assert alpine.output("wait", "box") == "0"
    deadline = time.monotonic() + 10
    while "2 lines were lost" not in (
        told := alpine.output("inspect", "-f", "{{.State.LogError}}", "box")
    ):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def test_a_target_that_is_not_there_fails_the_start(alpine: Command) -> None:
    daemon = Stream()
    daemon.socket.close()
    flags = syslog(f"tcp://127.0.0.1:{daemon.port}")
    result = alpine("run", "--rm", *flags, "alpine", "true", code=125)
    assert "cannot be reached" in result.stderr
    assert str(daemon.port) in result.stderr
    result = alpine("run", "--rm", *syslog("unix:///nowhere/log"), "alpine", "true", code=125)
    assert "/nowhere/log" in result.stderr


FLOOD = "yes 'one line of the flood that goes on' | head -n 200000; touch /done; sleep 1000"
"""7.6 MB: more than a socket and our buffer take"""


def is_done(proa: Command) -> bool:
    return proa("exec", "box", "test", "-e", "/done", code=None).returncode == 0


def test_a_slow_target_holds_the_container_up_and_nothing_is_lost(alpine: Command) -> None:
    daemon = Stream()
    flags = syslog(f"tcp://127.0.0.1:{daemon.port}")
    alpine("run", "-d", "--name", "box", *flags, "alpine", "sh", "-c", FLOOD)
    connection = daemon.accept()
    time.sleep(0.5)
    assert not is_done(alpine)  # and yet its monitor answers

    lines = 0
    while lines < 200_000:
        lines += connection.recv(1 << 20).count(b"\n")
    deadline = time.monotonic() + 10
    while not is_done(alpine):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    alpine("rm", "-f", "box")
    connection.close()
    daemon.socket.close()


def test_in_non_blocking_mode_it_loses_lines_and_says_so(alpine: Command) -> None:
    daemon = Stream()
    flags = syslog(f"tcp://127.0.0.1:{daemon.port}", "mode=non-blocking", "max-buffer-size=100k")
    alpine("run", "-d", "--name", "box", *flags, "alpine", "sh", "-c", FLOOD)
    connection = daemon.accept()
    deadline = time.monotonic() + 20
    while not is_done(alpine):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    begin = time.monotonic()
    alpine("stop", "-t", "0", "box")
    assert time.monotonic() - begin < 5  # nobody waits for what the target does not take
    assert "lines were lost" in alpine.output("inspect", "-f", "{{.State.LogError}}", "box")
    alpine("rm", "box")
    connection.close()
    daemon.socket.close()


# -- journald


@pytest.fixture
def journal(alpine: Command) -> Iterator[Command]:
    """The command where a journald of the test's own listens, seen by nobody else."""
    daemon = "/lib/systemd/systemd-journald"
    if not os.access(daemon, os.X_OK) or not shutil.which("journalctl"):
        pytest.skip("no systemd-journald")
    place = tempfile.mkdtemp(prefix="journal-")
    ready = os.path.join(place, "ready")
    # a mount namespace in which /run/systemd and the journal's files are others
    script = (
        "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal /run/log/journal;"
        f" {daemon} & echo $$ > {ready}; wait"
    )
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 10
    socket_path = f"/proc/{process.pid}/root/run/systemd/journal/socket"
    while not os.path.exists(socket_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    inside = Command(
        alpine.path, alpine.root, prefix=["nsenter", f"--mount=/proc/{process.pid}/ns/mnt"]
    )
    yield inside
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(children) as file:
        for pid in file.read().split():
            os.kill(int(pid), 9)
    process.wait(10)
    shutil.rmtree(place)


def test_journald_takes_and_gives_back(journal: Command) -> None:
    script = "echo out; echo err >&2; head -c 20000 /dev/zero | tr '\\0' x; echo; printf 'a\\tb'"
    journal(
        *("run", "--name", "box", "--log-driver", "journald", "--label", "my-label=7"),
        *("--log-opt", "labels=my-label", "--log-opt", "tag={{.Name}}", "alpine", "sh", "-c"),
        script,
    )
    id = journal.output("inspect", "-f", "{{.Id}}", "box")
    deadline = time.monotonic() + 10
    while "a\tb" not in (logged := journal("logs", "box")).stdout:
        assert time.monotonic() < deadline, logged
        time.sleep(0.05)

    assert logged.stdout == "out\n" + "x" * 20000 + "\na\tb"
    assert logged.stderr == "err\n"
    assert journal.output("logs", "--tail", "1", "box") == "a\tb"
    shown = subprocess.run(
        [*journal.prefix, "journalctl", "-o", "json", f"CONTAINER_ID_FULL={id}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    entry = json.loads(shown.splitlines()[0])
    assert entry["CONTAINER_NAME"] == entry["CONTAINER_TAG"] == entry["SYSLOG_IDENTIFIER"] == "box"
    assert (entry["CONTAINER_ID"], entry["IMAGE_NAME"]) == (id[:12], "alpine")
    assert (entry["MY_LABEL"], entry["PRIORITY"], entry["MESSAGE"]) == ("7", "6", "out")


def test_journald_can_be_followed(journal: Command) -> None:
    script = "while [ ! -e /go ]; do sleep 0.02; done; echo one; sleep 0.2; echo two"
    journal("run", "-d", "--name", "box", "--log-driver", "journald", "alpine", "sh", "-c", script)
    following = journal.start("logs", "-f", "box")
    journal("exec", "box", "touch", "/go")
    output, _ = following.communicate(timeout=30)
    assert output == b"one\ntwo\n"


def test_without_a_journal_there_is_no_start(alpine: Command) -> None:
    if os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("this machine has a journal")
    result = alpine("run", "--rm", "--log-driver", "journald", "alpine", "true", code=125)
    assert "journald is not enabled on this host" in result.stderr
