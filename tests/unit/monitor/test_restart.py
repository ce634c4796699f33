from __future__ import annotations

import pytest

from proa.monitor.restart import FIRST_DELAY, LONGEST_DELAY, next_delay, wanted


@pytest.mark.parametrize(
    ("policy", "maximum", "exit_code", "count", "stopped", "expected"),
    [
        ("no", 0, 1, 0, False, False),
        ("always", 0, 0, 99, False, True),
        ("always", 0, 0, 0, True, False),
        ("unless-stopped", 0, 3, 5, False, True),
        ("on-failure", 0, 0, 0, False, False),
        ("on-failure", 0, 1, 1000, False, True),
        ("on-failure", 3, 1, 2, False, True),
        ("on-failure", 3, 1, 3, False, False),
        ("on-unhealthy", 0, 0, 0, False, False),
        ("on-unhealthy", 3, 1, 2, False, True),
        ("on-unhealthy", 3, 1, 3, False, False),
    ],
)
def test_policies(
    policy: str, maximum: int, exit_code: int, count: int, stopped: bool, expected: bool
) -> None:
    assert wanted(policy, maximum, exit_code, count, stopped=stopped) is expected


def test_what_was_ended_to_be_started_again_is_whatever_its_exit_code() -> None:
    assert wanted("on-unhealthy", 1, 0, 0, stopped=False, renewed=True)
    assert not wanted("on-unhealthy", 1, 0, 0, stopped=True, renewed=True)


def test_delays_double_up_to_a_minute_and_begin_anew_after_a_steady_run() -> None:
    delays = []
    delay = 0.0
    for _ in range(12):
        delay = next_delay(delay, 0.5)
        delays.append(delay)

    assert delays[:4] == [FIRST_DELAY, 0.2, 0.4, 0.8]
    assert delays[-1] == LONGEST_DELAY
    assert next_delay(delay, 11.0) == FIRST_DELAY
