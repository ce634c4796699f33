"""`python -m bench [CASE…]`: measure, print a table, write JSON to .cache/bench."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from types import FrameType

from bench import machine, peers, report, sandbox, spawn
from bench.cases import CASES
from bench.context import Context
from bench.measure import Measurement

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(REPOSITORY, ".cache", "bench")
CONTESTANTS = ("proa", "docker", "podman", "crun", "runc")


def main() -> int:
    """Run what the command line asks for; the exit code says whether it could be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="few rounds, small images")
    parser.add_argument(
        "--only", action="append", choices=CONTESTANTS, help="a contestant (may be repeated)"
    )
    parser.add_argument("--proa", default=os.path.join(REPOSITORY, ".venv", "bin", "proa"))
    options = parser.parse_args()
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    if os.geteuid() != 0:
        print("docker's daemon needs root: run this as root, or by 'make bench'", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _measure(
            options.cases or list(CASES),
            set(options.only or CONTESTANTS),
            os.path.abspath(options.proa),
            quick=options.quick,
        )
    except KeyboardInterrupt:
        print("interrupted; everything is stopped", file=sys.stderr)
        return 130


def _measure(names: list[str], only: set[str], launcher: str, *, quick: bool) -> int:
    facts = machine.facts()
    os.makedirs(CACHE, exist_ok=True)
    programs, missing = peers.prepare(os.path.join(CACHE, "peers"))
    for name, reason in missing.items():
        print(f"{name}: {reason}")
    disks = tempfile.mkdtemp(prefix="disks-", dir=CACHE)
    results: list[Measurement] = []
    failures = 0
    try:
        with sandbox.entered(programs.configuration()) as work:
            context = Context(programs, work, disks, CACHE, launcher, quick)
            try:
                context.start(only)
                for name in names:
                    print(f"measuring {name}", flush=True)
                    try:
                        results += CASES[name](context)
                    except (spawn.Failed, subprocess.SubprocessError) as error:
                        failures += 1
                        print(f"{name} could not be measured: {error}", file=sys.stderr)
            finally:
                context.stop()
    finally:
        for mount in _mounted(disks):
            subprocess.run(["umount", "--recursive", mount], check=False)
        shutil.rmtree(disks, ignore_errors=True)
    print()
    for key, value in {**facts, **context.versions}.items():
        print(f"{key:<14}{value}")
    print(f"\n{report.table(results)}", end="")
    path = os.path.join(CACHE, f"{time.strftime('%Y-%m-%dT%H-%M-%S')}.json")
    report.write(path, facts, context.versions, context.skipped, results)
    print(f"all samples: {os.path.relpath(path)}")
    return 1 if failures else 0


def _mounted(directory: str) -> list[str]:
    with open("/proc/self/mounts", encoding="utf-8") as file:
        return [line.split()[1] for line in file if line.split()[1].startswith(directory + "/")]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


sys.exit(main())
