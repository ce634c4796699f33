from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proa.lean.clock import NEVER, from_nanoseconds, now, to_nanoseconds


def test_now_is_now() -> None:
    before = time.time_ns()
    text = now()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", text)
    assert before <= to_nanoseconds(text) <= time.time_ns()


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000_000))
def test_there_and_back(moment: int) -> None:
    assert to_nanoseconds(from_nanoseconds(moment)) == moment


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.timezones()))
def test_as_the_standard_library_reads_it(moment: datetime) -> None:
    moment = moment.replace(tzinfo=timezone(moment.utcoffset() or UTC.utcoffset(None)))
    text = moment.isoformat(timespec="microseconds")
    if len(text) != len("2026-01-31T12:00:00.123456+01:00"):
        return  # offsets with seconds are not in RFC 3339
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert to_nanoseconds(text) == (since.days * 86400 + since.seconds) * 10**9 + (
        since.microseconds * 1000
    )


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 10**9),
        ("1970-01-01 00:00:00.5Z", 5 * 10**8),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:30:00-00:30", 0),
        ("1970-01-01T00:00:00.123456789123Z", 123_456_789),
        (NEVER, -62135596800 * 10**9),
    ],
)
def test_known_moments(text: str, nanoseconds: int) -> None:
    assert to_nanoseconds(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-13-01T00:00:00Z",
        "1970-01-01T00:00:00+1",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        to_nanoseconds(text)
