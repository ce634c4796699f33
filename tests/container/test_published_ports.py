"""Published ports: from everywhere they are to be reached, and from nowhere else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.support import world as worlds
from tests.support.command import Command
from tests.support.processes import wait_for
from tests.support.world import HOST4, OUTSIDE4, World

pytestmark = pytest.mark.root
SERVE = ("nc", "-lk", "-p", "80", "-e", "echo", "hello")


@pytest.fixture
def world() -> Iterator[World]:
    with worlds.world() as found:
        yield found


@pytest.mark.parametrize("bridged", ["0", "1"], ids=["without-br-netfilter", "with"])
def test_from_everywhere(alpine: Command, world: World, bridged: str) -> None:
    """Other hosts, this host by each of its addresses, other containers, the container itself."""
    _filter_bridged(bridged)
    alpine("network", "create", "other")
    alpine("run", "-d", "--name", "web", "-p", "8080:80", "alpine", *SERVE)
    alpine("run", "-d", "--name", "near", "alpine", "sleep", "60")
    alpine("run", "-d", "--name", "far", "--network", "other", "alpine", "sleep", "60")

    assert world.outside.fetch(HOST4, 8080) == "hello"
    assert world.host.fetch("127.0.0.1", 8080) == "hello"
    assert world.host.fetch(HOST4, 8080) == "hello"
    for name in ("web", "near", "far"):
        script = f"nc -w 2 {HOST4} 8080 </dev/null"
        assert alpine.output("exec", name, "sh", "-c", script) == "hello", name
    assert world.outside.fetch(HOST4, 80, timeout=0.5) is None


def _filter_bridged(wanted: str) -> None:
    """Whether bridged packets pass the rules too: on where the kernel has br_netfilter."""
    try:
        for name in ("iptables", "ip6tables"):
            with open(f"/proc/sys/net/bridge/bridge-nf-call-{name}", "w") as file:
                file.write(wanted)
    except FileNotFoundError:
        if wanted == "1":
            pytest.skip("this kernel has no br_netfilter")


def test_the_client_is_seen_as_it_is(alpine: Command, world: World) -> None:
    argv = ("nc", "-lk", "-p", "80", "-e", "sh", "-c", "netstat -tn | grep :80")
    alpine("run", "-d", "--name", "web", "-p", "80:80", "alpine", *argv)
    assert OUTSIDE4 in (world.outside.fetch(HOST4, 80) or "")


def test_udp_and_one_address_and_ranges(alpine: Command, world: World) -> None:
    argv = ("sh", "-c", "while true; do nc -lu -p 53 -e echo answer; done")
    publish = (
        "-p",
        f"{HOST4}:5353:53/udp",
        "-p",
        "127.0.0.1:7000-7001:70-71",
        "-p",
        "9000-9009:90",
    )
    alpine("run", "-d", "--name", "names", *publish, "alpine", *argv)
    assert world.outside.fetch(HOST4, 5353, "udp") == "answer"
    assert alpine.output("port", "names").splitlines() == [
        f"53/udp -> {HOST4}:5353",
        "70/tcp -> 127.0.0.1:7000",
        "71/tcp -> 127.0.0.1:7001",
        "90/tcp -> 0.0.0.0:9000",
    ]
    assert alpine.output("port", "names", "53/udp") == f"{HOST4}:5353"
    alpine("port", "names", "80", code=1)
    shown = alpine.output("ps", "--format", "{{.Ports}}")
    assert shown == (f"{HOST4}:5353->53/udp, 127.0.0.1:7000-7001->70-71/tcp, 0.0.0.0:9000->90/tcp")
    assert alpine.output("ps", "-q", "--filter", "publish=53/udp")
    assert not alpine.output("ps", "-q", "--filter", "publish=53")


def test_what_is_published_on_the_loopback_stays_there(alpine: Command, world: World) -> None:
    alpine("run", "-d", "--name", "web", "-p", "127.0.0.1:8080:80", "alpine", *SERVE)
    alpine("run", "-d", "--name", "near", "--cap-add", "NET_ADMIN", "alpine", "sleep", "60")
    assert world.host.fetch("127.0.0.1", 8080) == "hello"
    assert world.outside.fetch(HOST4, 8080, timeout=0.5) is None
    # not even for a neighbour who sends packets for 127.0.0.1 here
    world.outside.run("sysctl", "-qw", "net.ipv4.conf.eth0.route_localnet=1")
    world.outside.run("ip", "route", "flush", "table", "local", "dev", "lo")
    world.outside.run("ip", "route", "add", "127.0.0.0/8", "via", HOST4)
    assert world.outside.fetch("127.0.0.1", 8080, timeout=0.5) is None
    # and what else listens on the host's loopback is not reached by a container
    with world.host.serving("127.0.0.1", 7):
        script = (
            "echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet;"
            "ip route flush table local; ip route add 127.0.0.1 via 172.17.0.1;"
            "nc -w 1 127.0.0.1 7 </dev/null"
        )
        alpine("run", "-d", "--name", "sly", "--privileged", "alpine", "sleep", "60")
        done = alpine("exec", "sly", "sh", "-c", script, code=None)
        assert done.returncode and done.stdout == ""


def test_all_exposed_ports(alpine: Command, world: World) -> None:
    alpine("run", "-d", "--name", "web", "-P", "--expose", "80", "--expose", "81/udp",
           "alpine", *SERVE)  # fmt: skip
    ports = json.loads(alpine.output("inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"))
    assert set(ports) == {"80/tcp", "81/udp"}
    (binding,) = ports["80/tcp"]
    assert world.outside.fetch(HOST4, int(binding["HostPort"])) == "hello"


def test_a_port_has_one_owner(alpine: Command, world: World) -> None:
    alpine("run", "-d", "--name", "web", "-p", "8080:80", "alpine", *SERVE)
    refused = alpine("run", "--name", "late", "-p", "8080:80", "alpine", "true", code=125)
    assert "bind for 0.0.0.0:8080 failed: port is already allocated" in refused.stderr
    assert alpine.output("inspect", "-f", "{{.State.Status}}", "late") == "created"
    for address in ("127.0.0.1", ""):
        with socket.socket() as own, pytest.raises(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind((address, 8080))
    # a range has others
    alpine("run", "-d", "--name", "next", "-p", "8080-8081:80", "alpine", *SERVE)
    assert alpine.output("port", "next") == "80/tcp -> 0.0.0.0:8081"
    alpine("rm", "-f", "next")

    # with the end of the container the port is free: for a program, and for a container
    alpine("stop", "-t", "0", "web")
    with socket.create_server(("127.0.0.1", 8080)) as own:
        held = alpine("start", "late", code=1)
        assert "port is already allocated" in held.stderr
        own.close()
    alpine("start", "late")
    # 127.0.0.1 has TIME_WAIT connections of the server that was there
    alpine("start", "web")
    assert world.outside.fetch(HOST4, 8080) == "hello"
    assert world.outside.fetch(HOST4, 8081, timeout=0.5) is None


def test_ports_of_a_restarted_container(alpine: Command, world: World) -> None:
    """With its monitor it keeps them; after `restart` it has them again."""
    argv = ("sh", "-c", "nc -l -p 80 -e echo hello; exit 1")
    alpine("run", "-d", "--name", "web", "--restart", "always", "-p", "8080:80", "alpine", *argv)
    for _ in range(3):
        assert world.outside.fetch(HOST4, 8080) == "hello"
    alpine("restart", "-t", "0", "web")
    assert world.outside.fetch(HOST4, 8080) == "hello"
    alpine("rm", "-f", "web")
    wait_for("proa.monitor.main")
    assert "proa" not in world.host.run("nft", "list", "tables")


def test_the_host_s_input_rules_apply_where_that_is_wanted(alpine: Command, world: World) -> None:
    """By a proxy; packets that are forwarded pass other rules, as with Docker."""
    udp = "(while true; do nc -lu -p 53 -e echo answer; done) & exec nc -lk -p 80 -e echo hello"
    publish = ("-p", "8080:80", "-p", "5353:53/udp")
    proxied = ("--network", "name=bridge,driver-opt=proa.publish=proxied")
    for name, flags in (("guarded", (*proxied, *publish)), ("open", ("-p", "8081:80"))):
        alpine("run", "-d", "--name", name, *flags, "alpine", "sh", "-c", udp)
    for machine, address in ((world.outside, HOST4), (world.host, "127.0.0.1")):
        assert machine.fetch(address, 8080) == "hello"
        assert machine.fetch(address, 5353, "udp") == "answer"
    script = f"nc -w 2 {HOST4} 8080 </dev/null"
    assert alpine.output("exec", "guarded", "sh", "-c", script) == "hello", "itself"
    assert "INPUT rules apply" in alpine.output("network", "explain", "8080")
    explained = alpine.output("network", "explain", "8081")
    assert "INPUT       is not passed" in explained
    assert "changes the destination to 172.17.0.3:80" in explained

    world.host.run("nft", "add table inet mine")
    try:
        world.host.run("nft", "add chain inet mine input { type filter hook input priority 0; }")
        world.host.run("nft", "add rule inet mine input tcp dport { 8080, 8081 } drop")
        assert world.outside.fetch(HOST4, 8080, timeout=0.5) is None
        assert world.outside.fetch(HOST4, 8081) == "hello"
        # what is forwarded is restricted in a chain of one's own, by the port that was asked for
        asked = "meta l4proto tcp ct original proto-dst 8081"
        chain = "add chain inet mine forward { type filter hook forward priority 0; }"
        world.host.run("nft", chain)
        world.host.run("nft", f"add rule inet mine forward {asked} drop")
        assert world.outside.fetch(HOST4, 8081, timeout=0.5) is None
        assert "inet mine forward: accepts" in alpine.output("network", "explain", "8081")
    finally:
        world.host.run("nft", "delete table inet mine")
    alpine("restart", "-t", "0", "guarded")
    assert world.outside.fetch(HOST4, 8080) == "hello"
    alpine("network", "explain", "9999", code=1)
    alpine("network", "explain", "x", code=1)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-p", "80:80/icmp"), "invalid proto: icmp"),
        (("-p", "99999:80"), "invalid hostPort: 99999"),
        (("-p", "1-3:1-2"), "invalid ranges"),
        (("-p", "host:80:80"), "invalid IP address: host"),
        (("-p", "203.0.113.9:80:80"), "this host has no address 203.0.113.9"),
        (("-p", "[::1]:80:80"), "the container has no IPv6 address"),
        (("--network", "none", "--ip", "10.0.0.1"), "network mode none has no endpoint"),
        (("--ip", "172.17.0.9"), "user-defined networks only"),
        (("--network", "a=b"), "invalid key a"),
        (("--ip", "x"), "is no IPv4 or IPv6 address"),
        (("--mac-address", "x"), "is not a valid mac address"),
    ],
)
def test_what_is_refused(alpine: Command, flags: tuple[str, ...], words: str) -> None:
    assert words in alpine("run", "--rm", *flags, "alpine", "true", code=125).stderr
