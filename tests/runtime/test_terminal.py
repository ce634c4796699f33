"""Terminals, handed over or passed through."""

from __future__ import annotations

import array
import os
import pty
import socket
import subprocess
import threading

import pytest

from tests.runtime.bundle import Bundle, Runtime

pytestmark = pytest.mark.root


def receive(server: socket.socket, found: list[int]) -> None:
    connection, _ = server.accept()
    _, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    found.append(array.array("i", control[0][2])[0])
    connection.close()


def read_until(descriptor: int, text: bytes) -> bytes:
    data = b""
    while text not in data:
        data += os.read(descriptor, 4096)
    return data


def test_a_console_socket_gets_the_master(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.process["consoleSize"] = {"height": 33, "width": 77}
    bundle.shell(
        "stty size; tty; read line; echo got $line; ls -l /dev/console | cut -c1; sleep 100"
    )
    path = os.path.join(bundle.directory, "console.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    found: list[int] = []
    thread = threading.Thread(target=receive, args=(server, found))
    thread.start()
    try:
        runtime.create(bundle, "box", "--console-socket", path)
        thread.join(10)
        runtime("start", "box")
        master = found[0]
        assert b"33 77\r\n/dev/pts/0\r\n" in read_until(master, b"/dev/pts/0\r\n")
        os.write(master, b"hello\n")
        assert b"got hello\r\nc\r\n" in read_until(master, b"\nc\r\n")
        os.close(master)
    finally:
        server.close()


def test_in_the_foreground_it_is_ours(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.shell("test -t 0 && test -t 1 && echo yes; read x; echo $x; exit 4")
    bundle.save()
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [runtime.path, "--root", runtime.root, "run", "--bundle", bundle.directory, "box"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        read_until(master, b"yes\r\n")
        os.write(master, b"typed\n")
        read_until(master, b"typed\r\ntyped\r\n")
        assert process.wait(10) == 4
    finally:
        os.close(master)


def test_detached_needs_a_socket(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.save()
    runtime("create", "--bundle", bundle.directory, "box", code=1)
