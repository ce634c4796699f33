"""Measurements: what was measured, the samples of each contestant, and the bars."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bar:
    """What proa's median is held to."""

    limit: float
    against: str = ""
    """The contestant whose median is multiplied by `limit`; '': `limit` is in the unit itself."""
    subject: str = "proa"


@dataclass
class Measurement:
    """Samples of several contestants at the same thing."""

    case: str
    what: str
    unit: str
    bars: tuple[Bar, ...] = ()
    samples: dict[str, list[float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, contestant: str, sample: float) -> None:
        """Note one more sample."""
        self.samples.setdefault(contestant, []).append(sample)

    def median(self, contestant: str) -> float | None:
        """The median of a contestant's samples; None where it has none."""
        samples = self.samples.get(contestant)
        return statistics.median(samples) if samples else None

    def verdict(self, bar: Bar) -> tuple[float, bool] | None:
        """The figure that the bar is about, and whether it is met; None: not measured."""
        ours = self.median(bar.subject)
        if ours is None:
            return None
        if not bar.against:
            return ours, ours <= bar.limit
        theirs = self.median(bar.against)
        return None if not theirs else (ours / theirs, ours / theirs <= bar.limit)


def interleave(
    measurement: Measurement,
    contestants: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    warm_up: int = 2,
) -> None:
    """Sample each contestant `rounds` times, in turns, so that drift meets them all alike.

    Each contestant is a function that does it once and gives the sample. `warm_up`: rounds
    before, which are not counted. Who starts a round changes from round to round.
    """
    names = list(contestants)
    for turn in range(-warm_up, rounds):
        first = turn % len(names) if names else 0
        for name in names[first:] + names[:first]:
            sample = contestants[name]()
            if turn >= 0:
                measurement.add(name, sample)
