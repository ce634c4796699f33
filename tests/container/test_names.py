"""The name server at 127.0.0.11: who is called what, and what lies beyond."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import dnslib
import pytest
from dnslib.server import BaseResolver, DNSServer

from tests.support import world as worlds
from tests.support.command import Command
from tests.support.processes import descendants, wait_until_gone
from tests.support.world import Machine, World

pytestmark = pytest.mark.root


@pytest.fixture
def world() -> Iterator[World]:
    with worlds.world() as found:
        yield found


@pytest.fixture
def front(alpine: Command) -> Command:
    """A network with the containers web (alias site) and shop (aliases site and store)."""
    alpine("network", "create", "--ipv6", "--subnet", "10.9.0.0/24", "front")
    alpine("run", "-d", "--name", "web", "--network", "front", "--network-alias", "site",
           "--hostname", "Wide", "alpine", "sleep", "600")  # fmt: skip
    alpine("run", "-d", "--name", "shop", "--network", "name=front,alias=site,alias=store",
           "alpine", "sleep", "600")  # fmt: skip
    return alpine


_ASK = """
import socket, struct, sys
how, server, hexadecimal = sys.argv[1:]
query = bytes.fromhex(hexadecimal)
if how == "tcp":
    with socket.create_connection((server, 53), 8) as peer:
        peer.sendall(struct.pack(">H", len(query)) + query)
        with peer.makefile("rb") as file:
            print(file.read(struct.unpack(">H", file.read(2))[0]).hex())
else:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(8)
        peer.connect((server, 53))
        peer.send(query)
        print(peer.recv(65535).hex())
"""


def ask(
    proa: Command, name: str, question: str, kind: str = "A", how: str = "udp"
) -> dnslib.DNSRecord:
    """What the name server of the container `name` answers."""
    import sys

    pid = int(proa.output("inspect", "-f", "{{.State.Pid}}", name))
    query = dnslib.DNSRecord.question(question, kind)
    argv = (sys.executable, "-I", "-S", "-c", _ASK, how, "127.0.0.11", query.pack().hex())
    reply = dnslib.DNSRecord.parse(bytes.fromhex(Machine(pid).run(*argv).strip()))
    assert reply.header.id == query.header.id
    return reply


def answers(reply: dnslib.DNSRecord) -> set[str]:
    return {str(record.rdata) for record in reply.rr}


def test_names_of_containers(front: Command) -> None:
    assert front.output("exec", "shop", "cat", "/etc/resolv.conf").splitlines()[0] == (
        "nameserver 127.0.0.11"
    )
    id = front.output("inspect", "-f", "{{.Id}}", "web")
    for name in ("web", "WEB.", "web.front", id[:12], "wide"):
        assert answers(ask(front, "shop", name)) == {"10.9.0.2"}, name
    assert answers(ask(front, "web", "site")) == {"10.9.0.2", "10.9.0.3"}
    assert answers(ask(front, "web", "site", how="tcp")) == {"10.9.0.2", "10.9.0.3"}
    assert answers(ask(front, "web", "store")) == {"10.9.0.3"}
    (ipv6,) = answers(ask(front, "web", "shop", "AAAA"))
    assert ipv6.startswith("fd")
    assert answers(ask(front, "web", "3.0.9.10.in-addr.arpa", "PTR")) == {"shop.front."}
    # a name that is ours is never asked for elsewhere, whatever else is wanted to know of it
    mail = ask(front, "web", "shop", "MX")
    assert (mail.header.rcode, mail.rr) == (0, [])
    assert front("exec", "web", "ping", "-c1", "-W2", "shop")


def test_they_change_while_containers_run(front: Command) -> None:
    front("rename", "shop", "market")
    assert answers(ask(front, "web", "market")) == {"10.9.0.3"}
    assert answers(ask(front, "web", "shop")) == set()
    front("run", "-d", "--name", "data", "alpine", "sleep", "600")
    front("network", "connect", "--alias", "db", "--ip", "10.9.0.77", "front", "data")
    assert answers(ask(front, "web", "db")) == {"10.9.0.77"}
    assert answers(ask(front, "data", "web")) == {"10.9.0.2"}, "that was on no network with names"
    assert "127.0.0.11" in front.output("exec", "data", "cat", "/etc/resolv.conf")
    front("network", "disconnect", "front", "data")
    assert answers(ask(front, "web", "db")) == set()


def test_names_stay_within_their_network(front: Command) -> None:
    front("network", "create", "back")
    link = ("--link", "data:db")
    front("run", "-d", "--name", "data", "--network", "back", "alpine", "sleep", "600")
    front("run", "-d", "--name", "api", "--network", "back", *link, "alpine", "sleep", "600")
    assert answers(ask(front, "data", "web")) == set()
    assert answers(ask(front, "api", "db")) == answers(ask(front, "data", "data"))
    assert answers(ask(front, "data", "db")) == set(), "a link is one container's alone"


class _World(BaseResolver):
    def resolve(self, request: dnslib.DNSRecord, handler: object) -> dnslib.DNSRecord:
        reply = request.reply()
        name = request.q.qname
        if str(name) == "long.example.":
            for number in range(200):
                reply.add_answer(dnslib.RR(name, 1, ttl=1, rdata=dnslib.A(f"192.0.2.{number}")))
        elif str(name) == "host.example.":
            reply.add_answer(dnslib.RR(name, 1, ttl=1, rdata=dnslib.A("192.0.2.1")))
        else:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        return reply


@pytest.fixture
def upstream(world: World) -> Iterator[str]:
    """A name server of the world, on an address of the host."""
    servers = [DNSServer(_World(), address=worlds.HOST4, tcp=tcp) for tcp in (False, True)]
    for server in servers:
        server.start_thread()
    yield worlds.HOST4
    for server in servers:
        server.stop()
        server.server.server_close()


def test_other_names_are_asked_for(front: Command, upstream: str) -> None:
    front("run", "-d", "--name", "api", "--network", "front", "--dns", upstream,
          "--dns-search", "example", "alpine", "sleep", "600")  # fmt: skip
    assert answers(ask(front, "api", "host.example")) == {"192.0.2.1"}
    assert answers(ask(front, "api", "host.example", how="tcp")) == {"192.0.2.1"}
    assert ask(front, "api", "none.example").header.rcode == dnslib.RCODE.NXDOMAIN
    assert "192.0.2.1" in front.output("exec", "api", "nslookup", "host")
    # what is too long for UDP is marked so, and is whole over TCP
    assert ask(front, "api", "long.example").header.tc
    assert len(ask(front, "api", "long.example", how="tcp").rr) == 200
    assert answers(ask(front, "api", "web")) == {"10.9.0.2"}


def test_who_reaches_nothing_learns_no_names(alpine: Command, upstream: str) -> None:
    """An internal network would not be one if names could carry something out."""
    alpine("network", "create", "--internal", "inside")
    alpine("run", "-d", "--name", "vault", "--network", "inside", "--dns", upstream,
           "alpine", "sleep", "600")  # fmt: skip
    assert ask(alpine, "vault", "host.example").header.rcode == dnslib.RCODE.SERVFAIL
    assert len(answers(ask(alpine, "vault", "vault"))) == 1


def test_port_53_is_the_container_s_own(front: Command) -> None:
    script = "nc -lu -p 53 & nc -l -p 53 & sleep 0.3; netstat -lnut; nslookup shop"
    shown = front.output("exec", "web", "sh", "-c", script)
    assert shown.count(":53 ") == 2
    assert "10.9.0.3" in shown


def server() -> int:
    for process in descendants():
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            if b"proa.monitor.dns" in file.read():
                return process.pid
    raise AssertionError("there is no name server")


def test_it_is_started_when_somebody_asks_and_again(front: Command) -> None:
    with pytest.raises(AssertionError, match="there is no name server"):
        server()
    assert answers(ask(front, "web", "shop")) == {"10.9.0.3"}
    for _ in range(2):
        pid = server()
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)
        assert answers(ask(front, "web", "shop")) == {"10.9.0.3"}
    pid = server()
    front("restart", "-t", "0", "web")
    assert answers(ask(front, "web", "shop")) == {"10.9.0.3"}
    front("rm", "-f", "web", "shop")
    wait_until_gone(pid)


def test_nonsense_is_not_answered(front: Command) -> None:
    pid = int(front.output("inspect", "-f", "{{.State.Pid}}", "web"))
    machine = Machine(pid)
    for data in ("00", "ff" * 600, "0000" + "8180" + "00" * 8, "1234" + "0100" + "0001" + "00" * 6):
        script = f"import socket; s = socket.socket(2, 2); s.sendto(bytes.fromhex({data!r}),"
        machine.run("python3", "-c", script + " ('127.0.0.11', 53))")
    time.sleep(0.05)
    assert answers(ask(front, "web", "shop")) == {"10.9.0.3"}
