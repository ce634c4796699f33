"""Figures for people and for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

from bench.measure import Bar, Measurement


def table(measurements: Sequence[Measurement]) -> str:
    """All measurements as text: medians, ratios, bars."""
    lines: list[str] = []
    for measurement in measurements:
        counts = {len(samples) for samples in measurement.samples.values()}
        number = "/".join(map(str, sorted(counts)))
        lines.append(f"{measurement.case}: {measurement.what} ({measurement.unit}, n={number})")
        ours = measurement.median("proa")
        bars = {bar.against: bar for bar in measurement.bars}
        for name in measurement.samples:
            median = measurement.median(name)
            assert median is not None
            line = f"  {name:<8}{median:>10.2f}"
            if name == "proa":
                line += _judged(measurement, bars.get(""), " " * 14)
            elif ours is not None:
                line += _judged(measurement, bars.get(name), f"   proa {ours / median:>5.2f} x")
            lines.append(line.rstrip())
        lines += [f"  {remark}" for remark in measurement.remarks]
        lines.append("")
    return "\n".join(lines)


def write(
    path: str,
    machine: Mapping[str, object],
    versions: Mapping[str, str],
    skipped: Mapping[str, str],
    measurements: Sequence[Measurement],
) -> None:
    """Write everything that was measured as JSON to the new file `path`."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(
            {
                "machine": dict(machine),
                "versions": dict(versions),
                "skipped": dict(skipped),
                "measurements": [_as_json(measurement) for measurement in measurements],
            },
            file,
            indent=1,
        )
        file.write("\n")


def _judged(measurement: Measurement, bar: Bar | None, figure: str) -> str:
    if bar is None:
        return figure
    verdict = measurement.verdict(bar)
    assert verdict is not None
    unit = " x" if bar.against else f" {measurement.unit}"
    return f"{figure}   bar {bar.limit:g}{unit}   {'ok' if verdict[1] else 'OVER'}"


def _as_json(measurement: Measurement) -> dict[str, object]:
    verdicts = []
    for bar in measurement.bars:
        verdict = measurement.verdict(bar)
        verdicts.append(
            {
                "against": bar.against,
                "limit": bar.limit,
                "figure": verdict[0] if verdict else None,
                "ok": verdict[1] if verdict else None,
            }
        )
    return {
        "case": measurement.case,
        "what": measurement.what,
        "unit": measurement.unit,
        "medians": {name: measurement.median(name) for name in measurement.samples},
        "samples": measurement.samples,
        "bars": verdicts,
        "remarks": measurement.remarks,
    }
