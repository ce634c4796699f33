"""The commands about containers: what they ask of the engine, and what they say."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from proa.cli.container import ls
from proa.cli.container.logs import moment
from proa.cli.flags import UsageError
from proa.engine.attach import Detached
from proa.engine.containers import ContainerSummary
from proa.engine.logs import LogEntry
from proa.errors import CommandNotFound, Conflict
from proa.lean import clock
from tests.unit.cli.support import FakeAttachment, Proa

NOW = 1_769_861_000 * 10**9
MINUTE, HOUR = 60 * 10**9, 3600 * 10**9


@pytest.fixture
def listed(proa: Proa, monkeypatch: pytest.MonkeyPatch) -> Proa:
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    common = {"mounts": (), "networks": ("none",), "finished_at": "", "exit_code": 0}
    proa.engine.containers.listed = [
        ContainerSummary(
            id="0123456789ab" + "c" * 52,
            name="web",
            image="alpine:3.20",
            image_id="sha256:" + "e" * 64,
            command=("sleep", "1000000000000000"),
            created=NOW - 5 * MINUTE,
            state="running",
            started_at=clock.from_nanoseconds(NOW - 4 * MINUTE),
            labels={"a": "1", "org.x.some-name": "z"},
            **{**common, "mounts": ("/a/very/long/path/to/x",)},
        ),
        ContainerSummary(
            id="d" * 64,
            name="a_very_long_name",
            image="sha256:" + "e" * 64,
            image_id="sha256:" + "e" * 64,
            command=("sh", "-c", 'echo "x"'),
            created=NOW - 3 * 24 * HOUR,
            state="exited",
            started_at=clock.from_nanoseconds(NOW - 3 * HOUR),
            labels={},
            **{**common, "finished_at": clock.from_nanoseconds(NOW - 2 * HOUR), "exit_code": 3},
        ),
    ]
    return proa


def test_ps(listed: Proa) -> None:
    assert listed("ps", "-a") == 0
    assert listed.out == (
        "CONTAINER ID   IMAGE          COMMAND                  CREATED         STATUS"
        "                   PORTS     NAMES\n"
        '0123456789ab   alpine:3.20    "sleep 1000000000000…"   5 minutes ago   Up 4 minutes'
        "                       web\n"
        'dddddddddddd   eeeeeeeeeeee   "sh -c \'echo \\"x\\"\'"     3 days ago      Exited (3)'
        " 2 hours ago             a_very_long_name\n"
    )


def test_ps_of_nothing_has_its_header(proa: Proa) -> None:
    proa("ps")
    assert proa.out == ("CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n")


def test_ps_quiet(listed: Proa) -> None:
    listed("ps", "-aq")
    assert listed.out == "0123456789ab\ndddddddddddd\n"
    listed("ps", "-aq", "--no-trunc")
    assert listed.out.splitlines()[1] == "d" * 64
    listed("ps", "-q", "--format", "{{.Names}}")
    assert listed.out == "0123456789ab\ndddddddddddd\n"
    assert listed.err.startswith("WARNING: Ignoring custom format")


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("{{.ID}}\\t{{.Names}}", "0123456789ab\tweb\ndddddddddddd\ta_very_long_name\n"),
        ('{{.Label "a"}}|{{.Labels}}', "1|a=1,org.x.some-name=z\n|\n"),
        ("{{.State}} {{.Networks}} {{.Mounts}}", "running none /a/very/long/p…\nexited none \n"),
        (
            'table {{.Names}}\\t{{.Label "org.x.some-name"}}',
            "NAMES              some name\nweb                z\na_very_long_name   \n",
        ),
    ],
)
def test_ps_formats(listed: Proa, format: str, text: str) -> None:
    assert listed("ps", "-a", "--format", format) == 0
    assert listed.out == text


def test_ps_as_json(listed: Proa) -> None:
    import json

    for format in ("json", "{{json .}}"):
        listed("ps", "-a", "--format", format)
        rows = [json.loads(line) for line in listed.out.splitlines()]
        assert [row["Names"] for row in rows] == ["web", "a_very_long_name"]
        assert list(rows[0]) == sorted(rows[0])
        assert rows[0]["Command"] == '"sleep 1000000000000…"'


def test_ps_with_a_field_that_is_not_there(listed: Proa) -> None:
    assert listed("ps", "--format", "{{.Foo}}") == 1
    assert 'at <.Foo>: map has no entry for key "Foo"' in listed.err


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {"all": False, "limit": None, "filters": None}),
        (["-a"], {"all": True, "limit": None, "filters": None}),
        (["-n", "3"], {"all": False, "limit": 3, "filters": None}),
        (["-n", "-1"], {"all": False, "limit": None, "filters": None}),
        (["-l"], {"all": False, "limit": 1, "filters": None}),
        (
            ["-f", "name=a", "--filter", "name=b", "-f", "label=x=y"],
            {"all": False, "limit": None, "filters": {"name": ["a", "b"], "label": ["x=y"]}},
        ),
    ],
)
def test_what_ps_asks_for(listed: Proa, arguments: list[str], options: dict[str, object]) -> None:
    assert listed("ps", *arguments) == 0
    assert listed.engine.containers.calls == [("list", options)]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "Up 4 minutes"),
        ({"state": "paused"}, "Up 4 minutes (Paused)"),
        ({"health": "healthy"}, "Up 4 minutes (healthy)"),
        ({"health": "starting"}, "Up 4 minutes (health: starting)"),
        ({"state": "created"}, "Created"),
        ({"state": "dead"}, "Dead"),
        ({"state": "removing"}, "Removal In Progress"),
        (
            {"state": "restarting", "exit_code": 1,
             "finished_at": clock.from_nanoseconds(NOW - 5 * 10**9)},
            "Restarting (1) 5 seconds ago",
        ),
    ],
)  # fmt: skip
def test_status(listed: Proa, changes: dict[str, object], text: str) -> None:
    from proa.lean.record import replace

    item = replace(listed.engine.containers.listed[0], **changes)
    assert ls.status(item, NOW) == text


def test_run_attached(proa: Proa) -> None:
    assert (
        proa("run", "--rm", "-i", "--detach-keys", "a,b", "--sig-proxy=false", "alpine", "cat") == 0
    )
    ((_, ends, options),) = proa.engine.containers.calls
    assert (ends.stdin, ends.stdout, ends.stderr) == (0, 1, 2)
    assert options["detach_keys"] == "a,b"
    assert options["sig_proxy"] is False
    assert proa.engine.containers.config.command == ("cat",)


def test_run_without_i_gives_no_stdin(proa: Proa) -> None:
    proa("run", "alpine")
    assert proa.engine.containers.calls[0][1].stdin is None


def test_run_some_streams(proa: Proa) -> None:
    proa("run", "-a", "stderr", "alpine")
    ends = proa.engine.containers.calls[0][1]
    assert (ends.stdin, ends.stdout, ends.stderr) == (None, None, 2)


def test_run_detached_prints_the_id(proa: Proa) -> None:
    assert proa("run", "-d", "--name", "web", "alpine") == 0
    assert proa.out == "a" * 64 + "\n"
    assert proa.engine.containers.calls[0] == ("run_detached",)


def test_run_left_by_the_detach_keys(proa: Proa) -> None:
    proa.engine.containers.outcome = Detached()
    assert proa("run", "alpine") == 0


def test_run_t_needs_a_terminal_for_stdin(proa: Proa, monkeypatch: pytest.MonkeyPatch) -> None:
    import posix

    monkeypatch.setattr(posix, "isatty", lambda _fd: False)
    assert proa("run", "-it", "alpine") == 1
    assert "the input device is not a TTY" in proa.err
    assert proa("run", "-t", "alpine") == 0


@pytest.mark.parametrize("way", [["run"], ["run", "-d"], ["create"]])
def test_cidfile(proa: Proa, tmp_path: Path, way: list[str]) -> None:
    file = tmp_path / "id"
    assert proa(*way, "--cidfile", str(file), "alpine") == 0
    assert file.read_text() == "a" * 64
    assert proa(*way, "--cidfile", str(file), "alpine") == 125
    assert "container ID file found" in proa.err


def test_cidfile_of_a_container_that_could_not_be_made(proa: Proa, tmp_path: Path) -> None:
    proa.engine.containers.outcome = Conflict("name taken")
    assert proa("run", "--cidfile", str(tmp_path / "id"), "alpine") == 125
    assert not (tmp_path / "id").exists()


def test_exec(proa: Proa) -> None:
    proa.engine.containers.add("web", execute=FakeAttachment(3))
    assert (
        proa("exec", "-u", "root", "-w", "/x", "-e", "A=1", "--privileged", "web", "ls", "-l") == 3
    )
    ((verb, name, (wanted, ends), _),) = proa.engine.containers.calls
    assert (verb, name) == ("execute", "web")
    assert wanted.command == ("ls", "-l")
    assert (wanted.user, wanted.working_dir, wanted.environment) == ("root", "/x", ("A=1",))
    assert wanted.privileged and not wanted.stdin and not wanted.tty
    assert ends.stdin is None


def test_exec_detached_and_interactive(proa: Proa) -> None:
    proa.engine.containers.add("web", execute=FakeAttachment(0))
    assert proa("exec", "-d", "web", "true") == 0
    assert proa("exec", "-i", "web", "cat") == 0
    first, second = proa.engine.containers.calls
    assert first[0] == "execute_detached"
    assert second[2][0].stdin and second[2][1].stdin == 0


def test_exec_of_what_is_not_there(proa: Proa) -> None:
    proa.engine.containers.add("web", execute=CommandNotFound("foo: not found in $PATH"))
    assert proa("exec", "web", "foo") == 127
    assert proa("exec", "gone", "foo") == 1


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (["stop"], ("stop", (None, None))),
        (["stop", "-t", "3", "-s", "INT"], ("stop", (3, "INT"))),
        (["stop", "--time=0"], ("stop", (0, None))),
        (["restart", "-t", "-1"], ("restart", (-1, None))),
        (["kill"], ("kill", ("KILL",))),
        (["kill", "-s", "HUP"], ("kill", ("HUP",))),
        (["pause"], ("pause", ())),
        (["unpause"], ("unpause", ())),
        (["start"], ("start", ())),
        (["container", "rm"], ("remove", ())),
    ],
)
def test_verbs(proa: Proa, arguments: list[str], call: tuple[str, object]) -> None:
    proa.engine.containers.add("web")
    assert proa(*arguments, "web") == 0
    assert proa.out == "web\n"
    assert [(verb, given) for verb, _, given, _ in proa.engine.containers.calls] == [call]


def test_one_that_fails_does_not_keep_the_others_waiting(proa: Proa) -> None:
    proa.engine.containers.add("a")
    proa.engine.containers.add("b", stop=Conflict("b is stuck"))
    proa.engine.containers.add("c")
    assert proa("stop", "a", "gone", "b", "c") == 1
    assert proa.out == "a\nc\n"
    assert proa.err == "proa: no such container: gone\nproa: b is stuck\n"


def test_rm(proa: Proa) -> None:
    proa.engine.containers.add("web")
    assert proa("rm", "-fv", "/web") == 0
    assert proa.engine.containers.calls == [("remove", "web", (), {"v": True, "force": True})]
    assert proa("rm", "gone") == 1
    assert proa("rm", "-f", "gone") == 0
    assert proa.err == "proa: no such container: gone\n"
    assert proa("rm", "--link", "web") == 1


def test_wait(proa: Proa) -> None:
    proa.engine.containers.add("a", wait=0)
    proa.engine.containers.add("b", wait=137)
    assert proa("wait", "a", "b") == 0
    assert proa.out == "0\n137\n"


def test_rename_and_top_and_port(proa: Proa) -> None:
    web = proa.engine.containers.add("web", port={"80/tcp": [{"HostIp": "::", "HostPort": "8080"}]})
    assert proa("rename", "web", "www") == 0
    assert proa.engine.containers.calls == [("rename", "web", ("www",), {})]
    assert proa("rename", "web", " ") == 125
    web._facts["top"] = (["PID", "CMD"], [["1", "sleep 3"]])
    assert proa("top", "web", "-o", "pid,cmd") == 0
    assert proa.out == "PID                 CMD\n1                   sleep 3\n"
    assert proa("port", "web") == 0
    assert proa.out == "80/tcp -> [::]:8080\n"
    assert proa("port", "web", "80") == 0
    assert proa.out == "[::]:8080\n"
    assert proa("port", "web", "81") == 1


def test_start_attached(proa: Proa) -> None:
    proa.engine.containers.add("web", stdin=True, begin_attached=FakeAttachment(7))
    assert proa("start", "-ai", "web") == 7
    ((_, _, (ends,), options),) = proa.engine.containers.calls
    assert (ends.stdin, options["sig_proxy"]) == (0, True)
    assert proa("start", "-a", "web", "other") == 1


def test_attach(proa: Proa) -> None:
    proa.engine.containers.add("web", stdin=True, begin_attached=FakeAttachment(7))
    assert proa("attach", "--no-stdin", "web") == 7
    assert proa.engine.containers.calls[0][2][0].stdin is None
    proa.engine.containers.add("left", begin_attached=FakeAttachment(None))
    assert proa("attach", "left") == 1
    assert proa.err == "proa: read escape sequence\n"
    proa.engine.containers.add("off", status="exited")
    assert proa("attach", "off") == 1
    assert "proa start -a off" in proa.err


def test_logs(proa: Proa) -> None:
    entries = [
        LogEntry("stdout", "2026-01-31T12:00:00.5Z", b"one\n"),
        LogEntry("stderr", "2026-01-31T12:00:01Z", b"two\n"),
        LogEntry("stdout", "2026-01-31T12:00:02Z", b"three\n"),
    ]
    details = {"b": "2 & 3", "a": "1", "E": "e"}
    proa.engine.containers.add("web", log_entries=entries, log_details=details)
    assert proa("logs", "web") == 0
    assert (proa.out, proa.err) == ("one\nthree\n", "two\n")
    assert proa("logs", "-ft", "--tail", "5", "web") == 0
    assert proa.out.startswith("2026-01-31T12:00:00.5Z one\n")
    assert proa.engine.containers.calls[1][3]["tail"] == 5
    assert proa.engine.containers.calls[1][3]["follow"] is True
    assert proa("logs", "--details", "web") == 0
    assert proa.out.startswith("E=e,a=1,b=2+%26+3 one\n")
    assert proa("logs", "--tail", "x", "web") == 125


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("10m", NOW - 10 * MINUTE),
        ("1h30m", NOW - 90 * MINUTE),
        ("1769861000", NOW),
        ("1769861000.5", NOW + 500_000_000),
        ("2026-01-31T12:03:20Z", NOW),
        ("2026-01-31T13:03:20+01:00", NOW),
        ("2026-01-31T12:03Z", NOW - 20 * 10**9),
        ("2026-01-31Z", NOW - 12 * HOUR - 200 * 10**9),
    ],
)
def test_moments(text: str, expected: int | None) -> None:
    assert moment(text, NOW, "since") == expected


def test_moments_without_a_zone_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1")
        time.tzset()
        assert moment("2026-01-31T13:03:20", NOW, "since") == NOW
        assert moment("2026-01-31", NOW, "since") == NOW - 13 * HOUR - 200 * 10**9
    time.tzset()
    with pytest.raises(UsageError, match='invalid value for "since": yesterday'):
        moment("yesterday", NOW, "since")


def test_inspect(proa: Proa) -> None:
    proa.engine.containers.add("web", attrs={"Id": "x", "Config": {"Labels": {"é": "1"}}})
    assert proa("container", "inspect", "web") == 0
    assert proa.out == (
        "[\n"
        "    {\n"
        '        "Id": "x",\n'
        '        "Config": {\n'
        '            "Labels": {\n'
        '                "é": "1"\n'
        "            }\n"
        "        }\n"
        "    }\n"
        "]\n"
    )
    assert proa("container", "inspect", "gone", "web", "-f", "{{.Id}} {{.Config.Labels.no}}") == 1
    assert (proa.out, proa.err) == ("x <no value>\n", "proa: no such container: gone\n")
    assert proa("container", "inspect", "-f", "{{.Id.", "web") == 64
    assert proa("container", "inspect", "-f", "{{.Foo}}", "web") == 1
    assert proa("container", "inspect", "gone") == 1
    assert proa.out == "[]\n"


def test_sizes_count_each_file_once_and_follow_nothing(tmp_path: Path) -> None:
    from proa.engine.container_sizes import tree_size

    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").write_bytes(b"x" * 1000)
    (tmp_path / "again").hardlink_to(tmp_path / "dir" / "file")
    (tmp_path / "link").symlink_to("/usr")
    assert tree_size(str(tmp_path)) == 1000 + len("/usr")
    assert tree_size(str(tmp_path / "gone")) == 0


def test_update(proa: Proa) -> None:
    proa.engine.containers.add("web", change=[])
    assert proa("update", "-m", "64m", "--pids-limit", "0", "--cpu-shares", "0", "web") == 0
    assert proa.out == "web\n"
    ((verb, name, (changes,), _),) = proa.engine.containers.calls
    # 0 leaves what there is; of processes it is no limit
    assert (verb, name, changes) == ("change", "web", {"memory": 64 << 20, "pids_limit": 0})
    assert proa("update", "--restart", "on-failure:2", "web") == 0
    assert proa.engine.containers.calls[1][2][0]["restart"].maximum_retry_count == 2
    assert proa("update", "web") == 1
    assert "one or more flags" in proa.err
    assert proa("update", "-m", "64m", "nobody", "web") == 1
    assert proa.out == "web\n"
