from __future__ import annotations

import pytest

from proa.cli import values


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("32", 32),
        ("32b", 32),
        ("1k", 1024),
        ("1KB", 1024),
        ("1kib", 1024),
        ("512m", 512 << 20),
        ("512M", 512 << 20),
        ("1.5g", 3 << 29),
        ("0.5 GB", 1 << 29),
        ("2t", 2 << 40),
        ("3PiB", 3 << 50),
        (".5k", 512),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "-1",
        "1x",
        "1kbb",
        "1bb",
        "1.2.3",
        "1  k",
        " 1",
        "1e3k",
        "inf",
        "1_0",
        "9999999p",
        "٣",
    ],
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid|out of range"):
        values.size(text)


def test_swap_may_be_unlimited() -> None:
    assert values.swap_size("-1") == -1
    assert values.swap_size("1g") == 1 << 30
    with pytest.raises(ValueError, match="invalid"):
        values.swap_size("-2")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1h30m", 5400 * 10**9),
        ("1.5s", 1_500_000_000),
        ("300ms", 300_000_000),
        ("-1.5h", -5400 * 10**9),
        ("+5s", 5 * 10**9),
        ("2us", 2000),
        ("2µs", 2000),
        ("1m0.5s", 60_500_000_000),
        (".5s", 500_000_000),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert values.duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "3", "s", "1d", "1 s", "-", "1.s.", "9999999999h"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        values.duration(text)


def test_cpus_are_exact() -> None:
    assert values.nano_cpus("1.5") == 1_500_000_000
    assert values.nano_cpus("0.1") == 100_000_000
    assert values.nano_cpus(".000000001") == 1
    for text in ("foo", "", "-1", "1e3", "0.0000000001"):
        with pytest.raises(ValueError):
            values.nano_cpus(text)


def test_whole_numbers() -> None:
    assert [values.integer(text) for text in ("0", "-5", "+7", "0x10")] == [0, -5, 7, 16]
    for text in ("", "x", "1.5", "٣", str(1 << 63)):
        with pytest.raises(ValueError):
            values.integer(text)
    with pytest.raises(ValueError):
        values.unsigned("-1")
    with pytest.raises(ValueError):
        values.unsigned_16("65536")
