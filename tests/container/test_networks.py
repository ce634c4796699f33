"""Networks: addresses, who reaches whom, and what is left when they go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import world as worlds
from tests.support.command import Command
from tests.support.processes import wait_until_gone
from tests.support.world import HOST4, OUTSIDE4, OUTSIDE6, World

pytestmark = pytest.mark.root
SERVE = ("nc", "-lk", "-p", "80", "-e", "echo", "hello")


@pytest.fixture
def world() -> Iterator[World]:
    with worlds.world() as found:
        yield found


def address(proa: Command, name: str, network: str = "bridge") -> str:
    settings = json.loads(proa.output("inspect", "-f", "{{json .NetworkSettings.Networks}}", name))
    return str(settings[network]["IPAddress"])


def reaches(proa: Command, name: str, target: str, port: int = 80) -> bool:
    argv = ("sh", "-c", f"echo | nc -w 1 {target} {port} | grep -q hello")
    return proa("exec", name, *argv, code=None).returncode == 0


def inspect(proa: Command, network: str) -> dict[str, Any]:
    (found,) = json.loads(proa.output("network", "inspect", network))
    return dict(found)


def test_a_container_has_an_address_and_a_way_out(alpine: Command, world: World) -> None:
    before = world.host.run("cat", "/proc/sys/net/ipv4/ip_forward")
    with world.outside.serving(OUTSIDE4, 7):
        script = (
            f"ip -o -4 addr show eth0; hostname; cat /etc/hosts; nc -w 2 {OUTSIDE4} 7 </dev/null"
        )
        shown = alpine.output("run", "--rm", "--hostname", "box", "alpine", "sh", "-c", script)

    assert "inet 172.17.0.2/16" in shown
    assert "172.17.0.2\tbox\n" in shown
    assert shown.splitlines()[-1] == HOST4, "the world sees the host's address"
    _nothing_is_left(world)
    assert world.host.run("cat", "/proc/sys/net/ipv4/ip_forward") == before


def _nothing_is_left(world: World) -> None:
    from tests.support.processes import wait_for

    wait_for("proa.monitor.main")
    assert {link["ifname"] for link in world.host.ip("link")} == {"lo", "uplink"}
    assert "proa" not in world.host.run("nft", "list", "tables")


def test_who_reaches_whom(alpine: Command, world: World) -> None:
    """One network, another one, an internal one, one whose containers are kept apart."""
    alpine("network", "create", "front")
    alpine("network", "create", "back")
    alpine("network", "create", "--internal", "inside")
    apart = "com.docker.network.bridge.enable_icc=false"
    alpine("network", "create", "-o", apart, "apart")
    for name, network in (
        *(("web", "front"), ("shop", "front"), ("data", "back")),
        *(("vault", "inside"), ("safe", "inside"), ("one", "apart"), ("other", "apart")),
    ):
        alpine("run", "-d", "--name", name, "--network", network, "alpine", *SERVE)

    assert reaches(alpine, "shop", address(alpine, "web", "front"))
    assert not reaches(alpine, "data", address(alpine, "web", "front"))
    assert not reaches(alpine, "web", address(alpine, "data", "back"))
    assert reaches(alpine, "vault", address(alpine, "safe", "inside"))
    assert not reaches(alpine, "web", address(alpine, "safe", "inside"))
    assert not reaches(alpine, "one", address(alpine, "other", "apart"))
    assert alpine("exec", "web", "ping", "-c1", "-W1", OUTSIDE4)
    assert alpine("exec", "vault", "ping", "-c1", "-W1", OUTSIDE4, code=1)

    # nor does a neighbour who knows the way, and would have the host forward for him
    web = address(alpine, "web", "front")
    world.outside.run("ip", "route", "add", f"{web}/32", "via", HOST4)
    assert world.outside.fetch(web, 80, timeout=0.5) is None
    # an internal network stays so even for who adds a route
    alpine("run", "-d", "--name", "sly", "--network", "inside", "--cap-add", "NET_ADMIN",
           "alpine", "sleep", "60")  # fmt: skip
    gateway = inspect(alpine, "inside")["IPAM"]["Config"][0]["Gateway"]
    alpine("exec", "sly", "ip", "route", "add", "default", "via", gateway)
    assert alpine("exec", "sly", "ping", "-c1", "-W1", OUTSIDE4, code=1)


def test_ipv6(alpine: Command, world: World) -> None:
    alpine("network", "create", "--ipv6", "--subnet", "fd12:3456::/64", "six")
    run = ("run", "-d", "--name", "web", "--network", "six", "-p", "8080:80")
    alpine(*run, "--ip6", "fd12:3456::77", "alpine", *SERVE)

    shown = json.loads(alpine.output("inspect", "web"))[0]["NetworkSettings"]
    assert shown["Networks"]["six"]["GlobalIPv6Address"] == "fd12:3456::77"
    assert {binding["HostIp"] for binding in shown["Ports"]["80/tcp"]} == {"0.0.0.0", "::"}
    assert world.outside.fetch(worlds.HOST6, 8080) == "hello"
    assert world.host.fetch(worlds.HOST6, 8080) == "hello"
    assert reaches(alpine, "web", worlds.HOST6, 8080), "itself, by the host"
    with world.outside.serving(OUTSIDE6, 7):
        seen = alpine.output("exec", "web", "sh", "-c", f"nc -w 2 {OUTSIDE6} 7 </dev/null")
    assert seen == worlds.HOST6


def test_addresses_are_given_out_as_asked(alpine: Command) -> None:
    create = ("network", "create", "--subnet", "10.9.0.0/24", "--gateway", "10.9.0.254")
    alpine(*create, "--ip-range", "10.9.0.8/30", "--aux-address", "nas=10.9.0.9", "lan")
    config = inspect(alpine, "lan")["IPAM"]["Config"]
    assert config == [
        {
            "Subnet": "10.9.0.0/24",
            "IPRange": "10.9.0.8/30",
            "Gateway": "10.9.0.254",
            "AuxiliaryAddresses": {"nas": "10.9.0.9"},
        }
    ]
    for name in ("web", "shop", "data"):
        alpine("run", "-d", "--name", name, "--network", "lan", "alpine", "sleep", "60")
    assert [address(alpine, name, "lan") for name in ("web", "shop", "data")] == [
        *("10.9.0.8", "10.9.0.10", "10.9.0.11"),
    ]
    full = alpine("run", "--rm", "--network", "lan", "alpine", "true", code=125)
    assert "no available IPv4 addresses" in full.stderr
    taken = ("run", "--rm", "--network", "lan", "--ip", "10.9.0.8", "alpine", "true")
    assert "address already in use" in alpine(*taken, code=125).stderr
    beyond = ("run", "--rm", "--network", "lan", "--ip", "10.8.0.8", "alpine", "true")
    assert "no configured subnet contains" in alpine(*beyond, code=125).stderr

    # what ends gives its address back
    alpine("rm", "-f", "shop")
    given = ("run", "--rm", "--network", "name=lan,ip=10.9.0.77,mac-address=02:42:00:00:00:07")
    shown = alpine.output(*given, "alpine", "ip", "addr", "show", "eth0")
    assert "10.9.0.77/24" in shown and "02:42:00:00:00:07" in shown
    again = alpine.output("run", "--rm", "--network", "lan", "alpine", "hostname", "-i")
    assert again == "10.9.0.10"


def test_containers_are_connected_while_they_run(alpine: Command) -> None:
    alpine("network", "create", "front")
    alpine("network", "create", "back")
    alpine("run", "-d", "--name", "web", "--network", "front", "alpine", *SERVE)
    alpine("run", "-d", "--name", "data", "--network", "back", "alpine", *SERVE)
    assert not reaches(alpine, "web", address(alpine, "data", "back"))

    alpine("network", "connect", "--alias", "www", "back", "web")
    assert reaches(alpine, "web", address(alpine, "data", "back"))
    assert address(alpine, "web", "back") in alpine.output("exec", "web", "cat", "/etc/hosts")
    twice = alpine("network", "connect", "back", "web", code=1).stderr
    assert "already exists in network back" in twice
    used = alpine("network", "rm", "back", code=1).stderr
    assert "has active endpoints" in used

    alpine("network", "disconnect", "back", "web")
    assert not reaches(alpine, "web", address(alpine, "data", "back"))
    assert alpine("network", "disconnect", "back", "web", code=1)

    # of one that does not run it is noted
    alpine("stop", "-t", "0", "web")
    alpine("network", "connect", "--ip", "10.1.1.1", "back", "web", code=1)
    alpine("network", "connect", "back", "web")
    alpine("start", "web")
    assert reaches(alpine, "web", address(alpine, "data", "back"))


def test_what_happens_to_networks_is_told(alpine: Command) -> None:
    alpine("network", "create", "front")
    alpine("run", "--rm", "--network", "front", "alpine", "true")
    alpine("run", "-d", "--name", "web", "--network", "front", "alpine", "sleep", "60")
    alpine("rm", "-f", "web")
    alpine("network", "rm", "front")
    shown = ("--format", "{{.Action}} {{.Actor.Attributes.name}}", "--filter", "type=network")
    told = alpine.output("events", "--since", "1", "--until", "0s", *shown).splitlines()
    turns = ["connect", "disconnect"]
    assert told == [f"{action} front" for action in ("create", *turns, *turns, "destroy")]


def test_networks_are_listed_and_removed(alpine: Command) -> None:
    listed = alpine.output("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}")
    assert listed.splitlines() == ["bridge bridge local", "host host local", "none null local"]
    id = alpine.output("network", "create", "--label", "of=test", "front")
    assert alpine.output("network", "ls", "-q", "--no-trunc", "-f", "label=of=test") == id
    assert alpine.output("network", "ls", "-q", "-f", "type=custom") == id[:12]
    assert alpine.output("network", "inspect", "-f", "{{.Name}}", id[:5]) == "front"
    assert alpine.output("inspect", "--type", "network", "-f", "{{.Driver}}", "front") == "bridge"

    assert "already exists" in alpine("network", "create", "front", code=1).stderr
    for arguments, words in (
        (("create", "bridge"), "not permitted on predefined bridge network"),
        (("rm", "host"), "pre-defined network and cannot be removed"),
        (("create", "-d", "overlay", "x"), "could not find plugin overlay"),
        (("create", "--subnet", "10.1.0.1/16", "x"), "it should be 10.1.0.0/16"),
        (("create", "--subnet", "172.18.0.0/16", "x"), "overlaps"),
        (("create", "--gateway", "10.0.0.1", "x"), "add --subnet"),
        (("rm", "nothing"), "network nothing not found"),
        (("ls", "-f", "colour=red"), "invalid filter 'colour'"),
    ):
        assert words in alpine("network", *arguments, code=1).stderr, arguments

    # one that a container refers to is kept, also where that does not run
    alpine("network", "create", "back")
    alpine("create", "--network", "back", "alpine")
    assert "front" in alpine.output("network", "prune", "-f")
    assert alpine.output("network", "ls", "-f", "type=custom", "--format", "{{.Name}}") == "back"
    alpine("network", "rm", "back")
    missing = alpine("run", "--rm", "--network", "back", "alpine", "true", code=125)
    assert "network back not found" in missing.stderr


def test_addresses_of_a_killed_monitor_are_collected(alpine: Command, world: World) -> None:
    alpine("network", "create", "--subnet", "10.9.0.0/30", "tiny")
    alpine("run", "-d", "--name", "web", "--network", "tiny", "-p", "8080:80", "alpine", *SERVE)
    _kill_monitor(alpine, "web")

    # there is one address in this network
    again = ("run", "-d", "--name", "next", "--network", "tiny", "-p", "8080:80")
    alpine(*again, "alpine", *SERVE)
    assert world.outside.fetch(HOST4, 8080) == "hello"
    _kill_monitor(alpine, "next")
    assert alpine.output("ps", "-q") == ""
    _nothing_is_left(world)


def _kill_monitor(proa: Command, name: str) -> None:
    pid = int(proa.output("inspect", "-f", "{{.State.Pid}}", name))
    with open(f"/proc/{pid}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    assert monitor != os.getpid()
    os.kill(monitor, signal.SIGKILL)
    wait_until_gone(monitor)


def test_a_container_joins_the_network_of_another(alpine: Command, world: World) -> None:
    alpine("run", "-d", "--name", "web", "-p", "8080:80", "alpine", "sleep", "60")
    alpine("run", "-d", "--name", "side", "--network", "container:web", "alpine", *SERVE)
    assert world.outside.fetch(HOST4, 8080) == "hello"
    assert reaches(alpine, "web", "127.0.0.1")


def test_add_host_and_links(alpine: Command, world: World) -> None:
    alpine("run", "-d", "--name", "data", "alpine", "sleep", "60")
    with world.host.serving("0.0.0.0", 7):
        script = "cat /etc/hosts; nc -w 2 host 7 </dev/null"
        add = ("--add-host", "host:host-gateway", "--link", "data:db")
        shown = alpine.output("run", "--rm", *add, "alpine", "sh", "-c", script)
    assert "172.17.0.1\thost\n" in shown
    assert "172.17.0.2\tdb " in shown
    assert shown.splitlines()[-1] == "172.17.0.3"


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_links_on_an_interface_of_the_host(alpine: Command, world: World, driver: str) -> None:
    create = ("network", "create", "-d", driver, "-o", "parent=uplink")
    alpine(*create, "--subnet", "198.51.100.0/24", "--gateway", OUTSIDE4, "lan")
    run = ("run", "--rm", "--network", "lan", "--ip", "198.51.100.77", "alpine")
    with world.outside.serving(OUTSIDE4, 7):
        done = alpine(*run, "sh", "-c", f"nc -w 2 {OUTSIDE4} 7 </dev/null", code=None)
    if not done.returncode:
        assert done.stdout == "198.51.100.77\n"
    else:
        assert f"this kernel makes no {driver} links" in done.stderr
    alpine("network", "create", "-d", driver, "x", code=1)
    gone = (*create[:-1], "parent=nothing0", "--subnet", "10.77.0.0/24", "gone")
    alpine(*gone)
    missing = alpine("run", "--rm", "--network", "gone", "alpine", "true", code=125)
    assert "no interface nothing0" in missing.stderr


def test_with_another_runtime(alpine: Command, world: World) -> None:
    """The command finds its network ready, whoever makes the container."""
    alpine("network", "create", "front")
    run = ("run", "--rm", "--runtime", "runc", "--network", "front", "alpine")
    with world.outside.serving(OUTSIDE4, 7):
        assert alpine.output(*run, "nc", "-w", "2", OUTSIDE4, "7") == HOST4


def test_a_host_that_forwards_nothing_it_does_not_know(alpine: Command, world: World) -> None:
    """As a machine is that Docker has run on: what is not Docker's is dropped."""
    world.host.run("nft", "add table ip filter")
    chain = "{ type filter hook forward priority 0; policy drop; }"
    world.host.run("nft", f"add chain ip filter FORWARD {chain}")
    try:
        alpine("run", "-d", "--name", "web", "-p", "8080:80", "alpine", *SERVE)
        assert world.outside.fetch(HOST4, 8080) == "hello"
        alpine("exec", "web", "ping", "-c1", "-W1", OUTSIDE4)
        alpine("rm", "-f", "web")
        _nothing_is_left(world)
        assert "proa" not in world.host.run("nft", "list", "table", "ip", "filter")
    finally:
        world.host.run("nft", "delete table ip filter")


def test_the_host_does_not_become_a_router(alpine: Command, world: World) -> None:
    """That containers need forwarding lets nobody else send packets through this host."""
    world.host.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    with worlds.world_beyond(world, "203.0.113") as beyond:
        alpine("run", "-d", "--name", "web", "alpine", "sleep", "60")
        assert world.host.run("cat", "/proc/sys/net/ipv4/ip_forward") == "1\n"
        alpine("exec", "web", "ping", "-c1", "-W1", "203.0.113.2")
        world.outside.run("ip", "route", "add", "203.0.113.0/24", "via", HOST4)
        beyond.run("ip", "route", "add", "198.51.100.0/24", "via", "203.0.113.1")
        with pytest.raises(AssertionError):
            world.outside.run("ping", "-c1", "-W1", "203.0.113.2")


def test_a_subnet_that_the_host_uses_is_not_taken(alpine: Command, world: World) -> None:
    world.host.run("ip", "address", "add", "172.17.5.1/24", "dev", "uplink")
    shown = alpine.output("run", "--rm", "alpine", "hostname", "-i")
    assert shown.startswith("172.18.")
    # it moves on where the host has come in its way later
    world.host.run("ip", "address", "add", "172.18.5.1/24", "dev", "uplink")
    assert alpine.output("run", "--rm", "alpine", "hostname", "-i").startswith("172.19.")


@pytest.mark.slow
def test_a_hundred_containers_on_one_network(alpine: Command) -> None:
    """No address twice, whoever starts at the same time; and all of them are given back."""
    alpine("network", "create", "--subnet", "10.9.0.0/24", "lan")

    def start(_number: int) -> str:
        run = ("run", "-d", "--network", "lan", "--stop-signal", "KILL", "alpine")
        return alpine.output(*run, "sleep", "600", timeout=120)

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(start, range(100)))
    containers = inspect(alpine, "lan")["Containers"]
    assert set(containers) == set(ids)
    assert len({item["IPv4Address"] for item in containers.values()}) == 100
    first, last = ids[0], ids[-1]
    target = containers[last]["IPv4Address"].partition("/")[0]
    alpine("exec", first, "ping", "-c1", "-W2", target)
    subprocess.run(alpine.argv("rm", "-f", *ids), check=True, capture_output=True, timeout=120)
    assert inspect(alpine, "lan")["Containers"] == {}


def test_nothing_is_left_of_an_engine_that_is_removed_at_once(
    alpine: Command, tmp_path: Path
) -> None:
    archive = tmp_path / "alpine.tar"
    alpine("save", "-o", str(archive), "alpine")
    for _ in range(3):
        other = Command(alpine.path, str(tmp_path / "other"))
        other("load", "-q", "-i", str(archive))
        for _ in range(2):  # the second one's monitor waits a while for a third
            other("run", "--rm", "alpine", "true")
        shutil.rmtree(other.root)
    links = set(os.listdir("/sys/class/net"))
    deadline = time.monotonic() + 5
    while any(name.startswith("br-") for name in links) and time.monotonic() < deadline:
        time.sleep(0.05)
        links = set(os.listdir("/sys/class/net"))
    assert not any(name.startswith("br-") for name in links)
    assert not os.path.exists(other.root)
