from __future__ import annotations

import json
from pathlib import Path

import pytest

from proa.errors import InvalidArgument
from proa.monitor.drivers.options import LogOptions, parse
from proa.monitor.log import LONGEST_RECORD, JsonLog


def records(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def open_log(path: Path, *, max_size: int = -1, max_files: int = 3) -> JsonLog:
    return JsonLog(str(path), max_size=max_size, max_files=max_files)


def test_each_line_is_a_record_of_its_stream(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path)
    log.write("stdout", b"one\ntwo\n")
    log.write("stderr", b'"quoted" \xc3\xa9\n')
    log.close()

    found = records(path)

    assert [(item["stream"], item["log"]) for item in found] == [
        ("stdout", "one\n"),
        ("stdout", "two\n"),
        ("stderr", '"quoted" é\n'),
    ]
    assert all(item["time"].endswith("Z") for item in found)


def test_an_unfinished_line_waits_for_its_rest_and_for_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path)
    log.write("stdout", b"be")
    log.write("stderr", b"other\n")
    log.write("stdout", b"gin\nprompt> ")
    log.close()

    assert [item["log"] for item in records(path)] == ["other\n", "begin\n", "prompt> "]


def test_a_very_long_line_becomes_several_records(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path)
    line = b"x" * (2 * LONGEST_RECORD + 5) + b"\n"
    for at in range(0, len(line), 10_000):
        log.write("stdout", line[at : at + 10_000])
    log.close()

    found = [item["log"] for item in records(path)]

    assert "".join(found).encode() == line
    assert max(map(len, found)) == LONGEST_RECORD


def test_the_log_is_rotated_by_size_and_keeps_so_many_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path, max_size=1000, max_files=3)
    for number in range(100):
        log.write("stdout", b"line %d\n" % number)
    log.close()

    assert sorted(item.name for item in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert all(item.stat().st_size <= 1000 for item in tmp_path.iterdir())
    lines = [item["log"] for name in ("log.2", "log.1", "log") for item in records(tmp_path / name)]
    assert lines == [f"line {number}\n" for number in range(100 - len(lines), 100)]


def test_a_log_of_one_file_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path, max_size=500, max_files=1)
    for number in range(100):
        log.write("stdout", b"line %d\n" % number)
    log.close()

    assert [item.name for item in tmp_path.iterdir()] == ["log"]
    assert records(path)[-1]["log"] == "line 99\n"


def test_a_reopened_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for word in (b"first\n", b"second\n"):
        log = open_log(path)
        log.write("stdout", word)
        log.close()

    assert [item["log"] for item in records(path)] == ["first\n", "second\n"]


def test_options_as_docker_writes_them() -> None:
    assert parse("json-file", {}) == LogOptions("json-file", 10_000_000, 3)
    found = parse("json-file", {"max-size": "5k", "max-file": "7", "compress": "true"})
    assert (found.max_size, found.max_files, found.compress) == (5000, 7, True)
    assert parse("json-file", {"max-size": "-1"}).max_size == -1
    assert parse("json-file", {"max-size": "2mb"}).max_size == 2_000_000
    found = parse("local", {})
    assert (found.max_size, found.max_files, found.compress) == (20 << 20, 5, True)
    assert not parse("local", {"max-file": "1"}).compress
    found = parse("journald", {"mode": "non-blocking", "max-buffer-size": "4m"})
    assert (found.blocking, found.buffer) == (False, 4 << 20)
    assert parse("syslog", {"syslog-address": "udp://[::1]"}).address == ("udp", "::1", 514)
    assert parse("syslog", {"syslog-address": "unix:///x"}).address == ("unix", "/x", 0)
    assert parse("syslog", {"syslog-facility": "local0"}).facility == 16


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("fluentd", {}),
        ("json-file", {"max-size": "large"}),
        ("json-file", {"max-file": "0"}),
        ("json-file", {"colour": "red"}),
        ("json-file", {"compress": "true", "max-file": "1"}),
        ("json-file", {"syslog-format": "rfc5424"}),
        ("json-file", {"mode": "fast"}),
        ("json-file", {"max-buffer-size": "1m"}),
        ("local", {"labels": "a"}),
        ("none", {"max-size": "1m"}),
        ("syslog", {"syslog-address": "localhost:514"}),
        ("syslog", {"syslog-address": "udp://"}),
        ("syslog", {"syslog-address": "tcp://host:port"}),
        ("syslog", {"syslog-address": "unix://relative"}),
        ("syslog", {"syslog-facility": "24"}),
        ("syslog", {"syslog-format": "rfc1"}),
    ],
)
def test_what_there_is_not_is_refused_by_name(driver: str, options: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(driver, options)
    assert (next(iter(options), driver)) in str(caught.value)


def test_one_large_chunk_is_spread_over_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path, max_size=1000, max_files=2)
    log.write("stdout", b"".join(b"number %d\n" % number for number in range(100)))
    log.close()

    assert path.stat().st_size <= 1000
    assert (tmp_path / "log.1").stat().st_size <= 1000
    assert records(path)[-1]["log"] == "number 99\n"
