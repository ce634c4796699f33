"""What a virtual machine takes for the same: the time to its first command, and its memory."""

from __future__ import annotations

import time

from bench.cases.memory import pss
from bench.context import DETACHED, IMAGE, RUN, Context
from bench.measure import Measurement
from tests.support import guest

_IDLE = 5.0
"""Seconds after its first command until its memory is looked at."""
_MEMORY = "256M"


def measure(context: Context) -> list[Measurement]:
    """A guest with Debian's kernel and this machine's files beside containers."""
    start = Measurement("guest", "from nothing to the end of the command true", "ms")
    memory = Measurement(
        "guest", f"PSS of all it takes, idle; the virtual machine has {_MEMORY}", "MB"
    )
    for measurement in (start, memory):
        if not guest.has_kvm():
            measurement.remarks.append("the virtual machine's processor is emulated: no KVM here")
    try:
        for _ in range(context.rounds(3)):
            begin = time.perf_counter()
            with guest.booted(["true"], memory=_MEMORY) as machine:
                machine.wait(300.0)
            start.add("QEMU", (time.perf_counter() - begin) * 1000)
        with guest.booted(["sleep", "100000"], memory=_MEMORY) as machine:
            deadline = time.monotonic() + 300.0
            while guest.BEGIN not in machine.console() and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(_IDLE)
            memory.add("QEMU", sum(map(pss, machine.processes)))
    except guest.Missing as error:
        start.remarks.append(f"QEMU: {error}")
    for name, engine in context.engines.items():
        for _ in range(context.rounds(10)):
            start.add(name, engine.timed(*RUN, IMAGE, "true"))
        engine.output(*DETACHED, "--name", "guest", IMAGE, "sleep", "100000")
        time.sleep(_IDLE)
        processes = {engine.keeper("guest"), engine.first_process("guest")}
        memory.add(name, sum(map(pss, processes)))
        engine.remove("guest")
    return [start, memory]
