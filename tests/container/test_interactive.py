"""Terminals, pipes, signals, and several clients at one container."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root

MEGABYTES = 64


class Terminal:
    """What a person at a terminal does: types, and waits for what appears."""

    def __init__(self, command: Command, *arguments: str) -> None:
        self.process, self.master = command.start_on_terminal(*arguments)
        self.shown = b""

    def resize(self, rows: int, columns: int) -> None:
        """Make the window another size; the kernel tells its foreground processes."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        # the command leads no foreground group of this terminal: it has none as controlling one
        self.process.send_signal(signal.SIGWINCH)

    def type(self, text: str) -> None:
        """Type it."""
        os.write(self.master, text.encode())

    def expect(self, pattern: str, timeout: float = 15.0) -> re.Match[bytes]:
        """Wait until `pattern` appears; what came up to it is forgotten."""
        deadline = time.monotonic() + timeout
        while True:
            if match := re.search(pattern.encode(), self.shown):
                self.shown = self.shown[match.end() :]
                return match
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"{pattern!r} did not appear, but {self.shown!r}")
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            if not data:
                raise AssertionError(f"{pattern!r} did not appear before the end: {self.shown!r}")
            self.shown += data

    def end(self) -> int:
        """Wait for the command; its exit code."""
        try:
            return self.process.wait(timeout=20)
        finally:
            os.close(self.master)


def test_a_shell_at_a_terminal(alpine: Command) -> None:
    shell = Terminal(alpine, "run", "--rm", "-it", "--name", "it", "alpine", "sh")
    shell.expect("# ")
    shell.type("tty; echo $TERM; exit 5\n")
    shell.expect(r"/dev/pts/0\r\n")
    shell.expect(r"xterm\r\n")

    assert shell.end() == 5
    assert alpine.output("ps", "-aq") == ""


def test_the_size_of_the_terminal_follows(alpine: Command) -> None:
    script = "trap 'stty size' WINCH; trap 'exit 6' INT; echo up; while :; do sleep 0.05; done"
    shell = Terminal(alpine, "run", "--rm", "-it", "alpine", "sh", "-c", script)
    shell.expect("up")
    shell.resize(33, 111)
    shell.expect("33 111")
    shell.resize(44, 122)
    shell.expect("44 122")
    shell.type("\x03")

    assert shell.end() == 6


def test_control_c_reaches_the_program(alpine: Command) -> None:
    shell = Terminal(alpine, "run", "--rm", "-it", "alpine", "sh")
    shell.expect("# ")
    shell.type("sleep 1000\n")
    time.sleep(0.5)
    shell.type("\x03")
    shell.expect("# ")
    shell.type("echo code $?; exit\n")
    shell.expect("code 130")

    assert shell.end() == 0


def test_detaching_and_attaching_again(alpine: Command) -> None:
    shell = Terminal(alpine, "run", "-it", "--name", "left", "alpine", "sh")
    shell.expect("# ")
    shell.type("A=kept\n")
    shell.expect("# ")
    shell.type("\x10\x11")
    assert shell.end() == 0
    assert alpine.output("ps", "--format", "{{.Names}} {{.State}}") == "left running"

    again = Terminal(alpine, "attach", "--detach-keys", "a,b", "left")
    again.expect("# ")  # the shell draws its prompt anew
    again.type("echo $A\n")
    again.expect(r"kept\r\n")
    # the first key alone is typed when another one follows
    again.type("ac")
    again.expect("ac")
    again.type("ab")
    again.expect("read escape sequence")
    assert again.end() == 1
    assert alpine.output("ps", "-q") != ""
    alpine("rm", "-f", "left")


def test_leaving_a_further_command(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sleep", "1000")
    shell = Terminal(alpine, "exec", "-it", "--detach-keys", "ctrl-e", "box", "sh")
    shell.expect("# ")
    shell.type("\x05")
    shell.expect("read escape sequence")
    assert shell.end() == 1
    # it goes on
    assert "sh" in alpine.output("top", "box", "-o", "pid,comm").split()


def test_exec_at_a_terminal(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sleep", "1000")
    shell = Terminal(alpine, "exec", "-it", "box", "sh")
    shell.expect("# ")
    shell.resize(21, 99)
    time.sleep(0.3)
    shell.type("stty size; exit 9\n")
    shell.expect("21 99")

    assert shell.end() == 9

    left = Terminal(alpine, "exec", "-it", "box", "sh")
    left.expect("# ")
    left.type("\x10\x11")
    assert left.end() == 1
    alpine("rm", "-f", "box")


def test_stdin_without_a_terminal_is_refused_with_t(alpine: Command) -> None:
    result = alpine("run", "--rm", "-it", "alpine", "true", code=1)

    assert "the input device is not a TTY" in result.stderr
    assert alpine.output("ps", "-aq") == ""


@pytest.mark.parametrize("way", ["run", "exec"])
def test_much_input_and_output_without_loss(alpine: Command, way: str) -> None:
    arguments: tuple[str, ...] = ("run", "--rm", "-i", "alpine", "cat")
    if way == "exec":
        alpine("run", "-d", "--name", "box", "alpine", "sleep", "1000")
        arguments = ("exec", "-i", "box", "cat")
    block = os.urandom(1 << 20)
    process = alpine.start(*arguments)
    assert process.stdin is not None and process.stdout is not None
    feeder = os.fork()
    if not feeder:
        try:
            process.stdout.close()
            for _ in range(MEGABYTES):
                process.stdin.write(block)
            process.stdin.close()
        finally:
            os._exit(0)
    process.stdin.close()
    digest, size = hashlib.sha256(), 0
    slow = time.monotonic() + 1.0
    while data := process.stdout.read(1 << 16):
        digest.update(data)
        size += len(data)
        if time.monotonic() < slow:
            time.sleep(0.05)  # a reader that is slow at first
    os.waitpid(feeder, 0)
    process.wait()
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()

    expected = hashlib.sha256()
    for _ in range(MEGABYTES):
        expected.update(block)
    assert process.returncode == 0
    assert (size, digest.hexdigest()) == (MEGABYTES << 20, expected.hexdigest())
    if way == "exec":
        alpine("rm", "-f", "box")


def test_signals_are_passed_on(alpine: Command) -> None:
    script = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = alpine.start("run", "--rm", "alpine", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)

    assert (output, process.returncode) == (b"got it\n", 3)


def test_without_sig_proxy_the_command_alone_ends(alpine: Command) -> None:
    process = alpine.start(
        "run", "--name", "stays", "--sig-proxy=false", "alpine", "sh", "-c", "echo up; sleep 1000"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)

    assert process.returncode != 0
    assert alpine.output("inspect", "-f", "{{.State.Status}}", "stays") == "running"
    alpine("rm", "-f", "stays")


def test_a_stopped_client_holds_up_neither_the_container_nor_other_clients(
    alpine: Command,
) -> None:
    # more than pipes and sockets hold: a client that reads nothing must not matter
    script = "read x; head -c 8000000 /dev/zero | tr '\\0' x; echo; echo end; sleep 1000"
    alpine("run", "-d", "-i", "--name", "talks", "alpine", "sh", "-c", script)
    clients = [alpine.start("attach", "--no-stdin", "talks") for _ in range(3)]
    time.sleep(0.7)
    clients[0].send_signal(signal.SIGSTOP)
    starter = alpine.start("attach", "talks")
    assert starter.stdin is not None
    starter.stdin.write(b"go\n")
    starter.stdin.flush()
    for client in clients[1:]:
        assert client.stdout is not None
        assert len(client.stdout.readline()) == 8_000_001
        assert client.stdout.readline() == b"end\n"
    assert alpine.output("logs", "--tail", "1", "talks") == "end"
    clients[0].send_signal(signal.SIGCONT)
    assert clients[0].stdout is not None
    assert len(clients[0].stdout.readline()) == 8_000_001
    assert clients[0].stdout.readline() == b"end\n"
    alpine("rm", "-f", "talks")
    for client in (*clients, starter):
        client.communicate(timeout=20)


def test_logs_follow_and_rotate(alpine: Command) -> None:
    arguments = ("--log-opt", "max-size=100k", "--log-opt", "max-file=3")
    alpine(
        *("run", "-d", "-i", "--name", "rolls", *arguments, "alpine", "sh", "-c"),
        "sleep 1; for i in $(seq 0 9); do seq $((i*2000+1)) $((i*2000+2000)); sleep 0.2; done;"
        " echo end",
    )
    follower = alpine.start("logs", "-f", "rolls")
    output, _ = follower.communicate(timeout=60)
    assert output.decode() == "".join(f"{number}\n" for number in range(1, 20001)) + "end\n"

    path = alpine.output("inspect", "-f", "{{.LogPath}}", "rolls")
    sizes = [os.path.getsize(name) for name in (path, f"{path}.1", f"{path}.2")]
    assert all(size <= 100_000 for size in sizes)
    assert not os.path.exists(f"{path}.3")
    lines = alpine.output("logs", "rolls").split("\n")
    assert lines[-1] == "end" and lines[0] != "1"
    assert [int(line) for line in lines[:-1]] == list(range(int(lines[0]), 20001))
    assert alpine.output("logs", "-n", "2", "rolls") == "20000\nend"


def test_logs_by_time_and_details(alpine: Command) -> None:
    alpine(
        *("run", "--name", "stamps", "-e", "E=v", "-l", "a=b", "--log-opt", "labels=a"),
        *("--log-opt", "env=E", "alpine", "sh", "-c", "echo one; sleep 1.2; echo two"),
    )
    stamped = [line.split(" ", 1) for line in alpine.output("logs", "-t", "stamps").split("\n")]
    assert [text for _, text in stamped] == ["one", "two"]
    second = stamped[1][0]
    assert alpine.output("logs", "--since", second, "stamps") == "two"
    assert alpine.output("logs", "--until", stamped[0][0], "stamps") == "one"
    assert alpine.output("logs", "--since", "1h", "stamps") == "one\ntwo"
    assert alpine.output("logs", "--details", "stamps") == "E=v,a=b one\nE=v,a=b two"


def test_exec_in_the_background(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sleep", "1000")
    assert alpine("exec", "-d", "box", "sh", "-c", "echo done > /result").stdout == ""
    deadline = time.monotonic() + 10
    while alpine("exec", "box", "cat", "/result", code=None).stdout != "done\n":
        assert time.monotonic() < deadline
    alpine("rm", "-f", "box")


def test_killing_the_client_of_exec_leaves_the_container(alpine: Command) -> None:
    alpine("run", "-d", "--name", "box", "alpine", "sleep", "1000")
    client = alpine.start("exec", "-i", "box", "cat")
    time.sleep(0.5)
    client.kill()
    client.communicate()

    assert alpine.output("exec", "box", "echo", "alive") == "alive"
    alpine("rm", "-f", "box")


def test_a_closed_output_ends_the_client(alpine: Command) -> None:
    process = subprocess.Popen(
        [*alpine.argv("run", "--rm", "alpine", "sh", "-c", "yes | head -c 20000000; exit 0")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=alpine.environment,
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()

    assert process.wait(timeout=20) != 0
    deadline = time.monotonic() + 20
    while alpine.output("ps", "-aq"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
