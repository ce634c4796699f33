"""Flags as people type them, read as pflag reads them."""

from __future__ import annotations

import pytest

from proa.cli.flags import HelpWanted, UsageError, parse

FLAGS = (
    ("interactive", "i", "bool", "x"),
    ("tty", "t", "bool", "x"),
    ("rm", "", "bool", "x"),
    ("env", "e", "list", "x"),
    ("name", "", "string", "x"),
    ("memory", "m", "bytes", "x"),
    ("stop-timeout", "", "int", "x"),
    ("health-interval", "", "duration", "x"),
    ("sysctl", "", "map", "x"),
    ("filter", "f", "filter", "x"),
    ("network", "", "network", "x"),
    ("net", "", "=network", ""),
    ("detach", "d", "bool", "x"),
)


@pytest.mark.parametrize(
    ("arguments", "given", "rest"),
    [
        (["-it", "alpine"], {"interactive": True, "tty": True}, ["alpine"]),
        (["-i", "-t"], {"interactive": True, "tty": True}, []),
        (["-e=x=y"], {"env": ["x=y"]}, []),
        (
            ["-eX=1", "-e", "Y=2", "--env", "Z", "--env=Q=a=b"],
            {"env": ["X=1", "Y=2", "Z", "Q=a=b"]},
            [],
        ),
        (["-e="], {"env": ["="]}, []),
        (["-ite", "A=1"], {"interactive": True, "tty": True, "env": ["A=1"]}, []),
        (["-iteA=1"], {"interactive": True, "tty": True, "env": ["A=1"]}, []),
        (["-i=false"], {"interactive": False}, []),
        (["--rm=false"], {"rm": False}, []),
        (["--rm", "false"], {"rm": True}, ["false"]),
        (["--rm=T", "--tty=0"], {"rm": True, "tty": False}, []),
        (["--name", "--rm"], {"name": "--rm"}, []),
        (["--name="], {"name": ""}, []),
        (["--name", "a", "--name", "b"], {"name": "b"}, []),
        (["-m", "512m"], {"memory": 512 << 20}, []),
        (["-m512m"], {"memory": 512 << 20}, []),
        (["--stop-timeout=-1"], {"stop-timeout": -1}, []),
        (["--stop-timeout", "-1"], {"stop-timeout": -1}, []),
        (["--health-interval=1m30s"], {"health-interval": 90 * 10**9}, []),
        (["--net=host"], {"network": ["host"]}, []),
        (["-", "-i"], {"interactive": True}, ["-"]),
        (["a", "-i", "--", "-t", "--rm"], {"interactive": True}, ["a", "-t", "--rm"]),
        ([""], {}, [""]),
    ],
)
def test_forms(arguments: list[str], given: dict[str, object], rest: list[str]) -> None:
    values, left = parse(FLAGS, arguments)
    assert (values.given, left) == (given, rest)


def test_flags_behind_the_first_argument_belong_to_the_container() -> None:
    values, rest = parse(FLAGS, ["-i", "alpine", "sh", "-t", "--rm"], interspersed=False)
    assert values.given == {"interactive": True}
    assert rest == ["alpine", "sh", "-t", "--rm"]


def test_double_dash_ends_the_flags_and_is_not_passed_on() -> None:
    assert parse(FLAGS, ["-i", "--", "-x"], interspersed=False)[1] == ["-x"]
    assert parse(FLAGS, ["alpine", "--", "-x"], interspersed=False)[1] == ["alpine", "--", "-x"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["--foo=x"], "unknown flag: --foo"),
        (["--detatch"], "unknown flag: --detatch; did you mean --detach?"),
        (["-Z"], "unknown shorthand flag: 'Z' in -Z"),
        (["-iZt"], "unknown shorthand flag: 'Z' in -Zt"),
        (["-it-"], "unknown shorthand flag: '-' in --"),
        (["--name"], "flag needs an argument: --name"),
        (["-ie"], "flag needs an argument: 'e' in -e"),
        (["--=x"], "bad flag syntax: --=x"),
        (["---i"], "bad flag syntax: ---i"),
        (["--rm=zz"], 'invalid argument "zz" for "--rm" flag'),
        (["-m", "1x"], 'invalid argument "1x" for "-m, --memory" flag: invalid suffix'),
        (["--stop-timeout", "x"], 'invalid argument "x" for "--stop-timeout" flag'),
        (["--health-interval", "3"], 'for "--health-interval" flag: missing unit in duration "3"'),
        (["--sysctl", "x"], 'invalid argument "x" for "--sysctl" flag: expected KEY=VALUE'),
        (["-f", "x"], 'invalid argument "x" for "-f, --filter" flag: expected NAME=VALUE'),
    ],
)
def test_mistakes(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(FLAGS, arguments)
    assert message in str(caught.value)


def test_help_wins_over_what_else_is_said_but_not_over_mistakes() -> None:
    with pytest.raises(HelpWanted):
        parse(FLAGS, ["--help", "-i"])
    with pytest.raises(HelpWanted):
        parse(FLAGS, ["-h"])
    with pytest.raises(UsageError):
        parse(FLAGS, ["--help", "--foo"])


def test_help_of_the_containers_command_is_the_containers() -> None:
    assert parse(FLAGS, ["alpine", "ls", "--help"], interspersed=False)[1][-1] == "--help"
