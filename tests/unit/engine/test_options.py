"""The library's keyword arguments as a config."""

from __future__ import annotations

from typing import Any

import pytest

from proa.engine.config import DeviceRate, Healthcheck, Mount, RestartPolicy, Ulimit
from proa.engine.options import size, to_config
from proa.errors import InvalidArgument, Unsupported


def test_volumes_tmpfs_and_mounts_are_one_list() -> None:
    config = to_config(
        "a",
        None,
        {
            "volumes": ["/a:/b:ro", "/c:/d:rslave"],
            "tmpfs": {"/t": "size=1m"},
            "mounts": [Mount("tmpfs", "/u")],
        },
    ).config

    assert [(m.kind, m.source, m.target, m.read_only) for m in config.mounts] == [
        ("bind", "/a", "/b", True),
        ("bind", "/c", "/d", False),
        ("tmpfs", "", "/t", False),
        ("tmpfs", "", "/u", False),
    ]
    assert config.mounts[1].propagation == "rslave"
    assert config.mounts[2].options == ("size=1m",)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"mem_limit": "1.5g"}, "memory", 3 << 29),
        ({"labels": ["a=b", "c"]}, "labels", {"a": "b", "c": ""}),
        ({"environment": {"A": 1}}, "environment", ("A=1",)),
        ({"ulimits": [Ulimit("nofile", 1, 2)]}, "ulimits", (Ulimit("nofile", 1, 2),)),
        ({"ulimits": [{"Name": "core", "Soft": 0}]}, "ulimits", (Ulimit("core", 0, 0),)),
        ({"restart_policy": {"Name": "always"}}, "restart", RestartPolicy("always")),
        ({"cpus": 0.5}, "nano_cpus", 500_000_000),
        ({"remove": True}, "auto_remove", True),
        ({"network": "none"}, "network_mode", "none"),
        (
            {"device_read_bps": [{"Path": "/dev/x", "Rate": 5}]},
            "device_read_bps",
            (DeviceRate("/dev/x", 5),),
        ),
        (
            {"healthcheck": {"test": "true", "interval": 7}},
            "healthcheck",
            Healthcheck(("CMD-SHELL", "true"), interval=7),
        ),
        ({"user": None, "volumes": None}, "mounts", ()),
    ],
)
def test_each_option(options: dict[str, Any], field: str, value: object) -> None:
    assert getattr(to_config("a", "x", options).config, field) == value


def test_what_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no option colour"):
        to_config("a", None, {"colour": 1})
    with pytest.raises(InvalidArgument, match="invalid characters for a volume name"):
        to_config("a", None, {"volumes": {"a name": {"bind": "/x"}}})
    with pytest.raises(Unsupported, match="lxc_conf"):
        to_config("a", None, {"lxc_conf": {"a": "b"}})
    with pytest.raises(InvalidArgument, match="not a size"):
        size("much")
