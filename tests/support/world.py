"""A network around the test's: this process's own namespace is the host, others are machines."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

HOST4, HOST6 = "198.51.100.1", "2001:db8:1::1"
OUTSIDE4, OUTSIDE6 = "198.51.100.2", "2001:db8:1::2"

_FETCH = """
import socket, sys, time
kind, address, port, timeout = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
end = time.monotonic() + timeout
while True:
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as peer:
        peer.settimeout(timeout)
        try:
            peer.connect((address, port))
            if kind == "udp":
                peer.send(b"question")
            data = peer.recv(1000)
            break
        except ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)  # the server has only just been started
print(data.decode().strip(), end="")
"""
_SERVE = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], int(sys.argv[2])), family=family) as server:
    print("ready", flush=True)
    while True:
        peer, address = server.accept()
        peer.sendall((address[0] + "\\n").encode())
        peer.close()
"""


class Machine:
    """A network namespace; the one of this process where there is no `pid`."""

    def __init__(self, pid: int | None = None) -> None:
        self._prefix = [] if pid is None else ["nsenter", f"--net=/proc/{pid}/ns/net"]

    def run(self, *argv: str) -> str:
        """What the command prints there; it must succeed."""
        done = subprocess.run([*self._prefix, *argv], capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"{argv}: {done.stderr}")
        return done.stdout

    def ip(self, *arguments: str) -> Any:
        """`ip -json`."""
        text = self.run("ip", "-json", *arguments)
        return json.loads(text) if text.strip() else None

    def fetch(
        self, address: str, port: int, kind: str = "tcp", *, timeout: float = 5.0
    ) -> str | None:
        """What the server there says; None where there is no answer."""
        argv = [sys.executable, "-I", "-S", "-c", _FETCH, kind, address, str(port), str(timeout)]
        done = subprocess.run([*self._prefix, *argv], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else None

    @contextlib.contextmanager
    def serving(self, address: str, port: int) -> Iterator[None]:
        """A server that tells each client its address."""
        argv = [sys.executable, "-I", "-S", "-c", _SERVE, address, str(port)]
        with subprocess.Popen([*self._prefix, *argv], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            try:
                yield
            finally:
                process.kill()


class World:
    """The host, and a machine outside that it has a link to."""

    def __init__(self, host: Machine, outside: Machine) -> None:
        self.host = host
        self.outside = outside


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Make the machine outside; everything is gone afterwards."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    try:
        host = Machine()
        while _namespace(holder.pid) == _namespace(None):
            pass  # it is not there yet
        outside = Machine(holder.pid)
        pid = str(holder.pid)
        host.run("ip", "link", "add", "uplink", "type", "veth", "peer", "eth0", "netns", pid)
        for machine, link, ipv4, ipv6 in (
            (host, "uplink", HOST4, HOST6),
            (outside, "eth0", OUTSIDE4, OUTSIDE6),
        ):
            machine.run("ip", "address", "add", f"{ipv4}/24", "dev", link)
            machine.run("ip", "address", "add", f"{ipv6}/64", "dev", link, "nodad")
            machine.run("ip", "link", "set", link, "up")
            machine.run("ip", "link", "set", "lo", "up")
        try:
            yield World(host, outside)
        finally:
            host.run("ip", "link", "delete", "uplink")
    finally:
        holder.kill()
        holder.wait()


@contextlib.contextmanager
def world_beyond(world: World, prefix: str) -> Iterator[Machine]:
    """A further machine, on another link of the host: PREFIX.1 is the host, PREFIX.2 it."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    try:
        while _namespace(holder.pid) == _namespace(None):
            pass
        pid = str(holder.pid)
        beyond = Machine(holder.pid)
        host = world.host
        host.run("ip", "link", "add", "uplink2", "type", "veth", "peer", "eth0", "netns", pid)
        for machine, link, number in ((host, "uplink2", 1), (beyond, "eth0", 2)):
            machine.run("ip", "address", "add", f"{prefix}.{number}/24", "dev", link)
            machine.run("ip", "link", "set", link, "up")
        try:
            yield beyond
        finally:
            host.run("ip", "link", "delete", "uplink2")
    finally:
        holder.kill()
        holder.wait()


def _namespace(pid: int | None) -> str:
    return os.readlink(f"/proc/{pid or 'self'}/ns/net")
