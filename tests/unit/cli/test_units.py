"""Sizes and times as docker shows them (go-units)."""

from __future__ import annotations

import pytest

from proa.cli.units import binary_size, decimal_size, local_time
from proa.lean.duration import ago, human_duration

SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (4_260_000, "4.26MB"),
        (7_800_000, "7.8MB"),
        (123_456_789, "123MB"),
        (999_999, "1MB"),
        (1_234_567_890, "1.23GB"),
        (2 * 10**12, "2TB"),
    ],
)
def test_decimal_sizes(size: int, text: str) -> None:
    assert decimal_size(size) == text


def test_binary_sizes() -> None:
    assert binary_size(8_329_822_208) == "7.758GiB"
    assert binary_size(512) == "512B"


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0, "Less than a second"),
        (SECOND, "1 second"),
        (59 * SECOND, "59 seconds"),
        (61 * SECOND, "About a minute"),
        (200 * SECOND, "3 minutes"),
        (HOUR, "About an hour"),
        (HOUR + 29 * 60 * SECOND, "About an hour"),
        (2 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_durations(time: int, text: str) -> None:
    assert human_duration(time) == text


def test_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    assert ago(10 * SECOND, 15 * SECOND) == "5 seconds ago"
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1")
        time.tzset()
        assert local_time(1_769_857_200 * SECOND) == "2026-01-31 12:00:00 +0100 CET"
    time.tzset()
