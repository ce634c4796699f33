from __future__ import annotations

from typing import Any

import pytest

from proa.api.creation import to_container
from proa.engine.config import PortBinding, RestartPolicy
from proa.errors import InvalidArgument


def made(**data: Any) -> Any:
    return to_container({"Image": "alpine", **data}, name="web", platform="")


def test_what_a_client_says_of_a_container() -> None:
    config = made(
        Cmd=["sleep", "1"],
        Env=["A=1"],
        Labels={"a": "b"},
        Tty=True,
        OpenStdin=True,
        ExposedPorts={"53/udp": {}},
        HostConfig={
            "Memory": 1 << 26,
            "NanoCpus": 500_000_000,
            "Binds": ["/tmp:/there:ro"],
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "NetworkMode": "front",
        },
        NetworkingConfig={"EndpointsConfig": {"front": {"Aliases": ["db"]}}},
    )
    assert config.name == "web"
    assert config.command == ("sleep", "1")
    assert config.environment == ("A=1",)
    assert config.memory == 1 << 26
    assert config.nano_cpus == 500_000_000
    assert config.published == (PortBinding(80, "tcp", "127.0.0.1", 8080, 0),)
    assert config.exposed_ports == ("53/udp", "80/tcp")
    assert config.restart == RestartPolicy("on-failure", 3)
    assert config.mounts[0].target == "/there"
    assert config.mounts[0].read_only
    assert config.networks[0].aliases == ("db",)


def test_what_is_0_was_not_said() -> None:
    config = made(HostConfig={"Memory": 0, "MemorySwap": 0, "CpuShares": 0, "OomScoreAdj": 0})
    assert config.memory is None
    assert config.cpu_shares is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"Image": ""}, "no image"),
        ({"Cmd": 7}, "Cmd must be a list of strings"),
        ({"Tty": "yes"}, "Tty must be true or false"),
        ({"HostConfig": []}, "HostConfig must be an object"),
        ({"HostConfig": {"Memory": "1g"}}, "Memory must be a number"),
        ({"HostConfig": {"PortBindings": {"x": []}}}, "invalid port 'x'"),
        ({"HostConfig": {"PortBindings": {"80": [{"HostPort": "99999"}]}}}, "invalid port"),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        made(**data)
