"""Give a container limits, and as few rights as can be.

What an ordinary user has no control group for is not limited; each such limit is named by a
warning, which a program gets by `engine.on_warning`.

Prints, as root:
    user: 1000
    capabilities: 0000000000000000
    no new privileges: 1
    its own files: read-only
    /tmp: writable
    too many open files: refused
    too much memory: killed, exit code 137
    too many processes: refused
"""

from __future__ import annotations

import sys
from typing import Any

from proa import ContainerFailed, Engine, Ulimit

LOOK = """
echo user: $(id -u)
echo capabilities: $(awk '/^CapEff/ { print $2 }' /proc/self/status)
echo no new privileges: $(awk '/^NoNewPrivs/ { print $2 }' /proc/self/status)
touch /file 2>/dev/null && echo its own files: writable || echo its own files: read-only
touch /tmp/file && echo /tmp: writable
(ulimit -n 1000) 2>/dev/null || echo too many open files: refused
"""

TAKE_MEMORY = "head -c 200m /dev/zero | tail -c 200m >/dev/null"
"""tail keeps what it may have to print."""

START_PROCESSES = "for i in $(seq 100); do sleep 5 & done"


def main(engine: Engine) -> None:
    """Run a command with hardly any rights, then some that want more than they may have."""
    engine.on_warning = lambda text: print("warning:", text)
    output = engine.containers.run(
        "busybox",
        ["sh", "-c", LOOK],
        remove=True,
        user="1000:1000",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        tmpfs={"/tmp": "size=1m,mode=1777"},
        ulimits=[Ulimit("nofile", 64, 64)],
        network_mode="none",
    )
    print(output.decode(), end="")

    limits: dict[str, Any] = {
        "mem_limit": "32m",
        "memswap_limit": "32m",
        "pids_limit": 20,
        "cpus": 0.5,
    }
    try:
        engine.containers.run("busybox", ["sh", "-c", TAKE_MEMORY], remove=True, **limits)
        print("too much memory: given")
    except ContainerFailed as error:
        print("too much memory: killed, exit code", error.exit_code)

    try:
        engine.containers.run("busybox", ["sh", "-c", START_PROCESSES], remove=True, **limits)
        print("too many processes: given")
    except ContainerFailed:
        print("too many processes: refused")


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
