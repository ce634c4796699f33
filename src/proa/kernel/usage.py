"""What processes have used, as proc(5) counts it, and what the machine has.

For what no cgroup counts: the network, which belongs to a namespace; block I/O, unless the
container has the controller; and everything, where an ordinary user's container has no cgroup.
"""

from __future__ import annotations

import posix

from proa.kernel.cgroup.files import read_if_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TICK = 10_000_000
"""Nanoseconds: proc(5) counts USER_HZ, which is 100 on every architecture."""
_COUNTERS = ("bytes", "packets", "errs", "drop")
_NAMES = ("bytes", "packets", "errors", "dropped")


def network(pid: int) -> dict[str, dict[str, int]]:
    """What went through the interfaces of the network namespace of `pid`, the loopback one not
    counted: name → {rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes …}.
    """
    lines = (read_if_there(f"/proc/{pid}/net/dev") or b"").splitlines()
    if len(lines) < 2:
        return {}
    receiving, sending = (part.split() for part in lines[1].decode().split("|")[1:])
    columns = [
        *((f"rx_{name}", receiving.index(title)) for name, title in _titles()),
        *((f"tx_{name}", len(receiving) + sending.index(title)) for name, title in _titles()),
    ]
    found = {}
    for line in lines[2:]:
        name, _, rest = line.decode().partition(":")
        values = rest.split()
        if (name := name.strip()) != "lo":
            found[name] = {column: int(values[at]) for column, at in columns}
    return found


def _titles() -> Iterable[tuple[str, str]]:
    return zip(_NAMES, _COUNTERS, strict=True)


def block_io(pids: Iterable[int]) -> dict[str, int]:
    """read_bytes and write_bytes of storage, by these processes and by children they outlived."""
    total = {"read_bytes": 0, "write_bytes": 0}
    for pid in pids:
        for line in (read_if_there(f"/proc/{pid}/io") or b"").splitlines():
            name, _, value = line.decode().partition(": ")
            if name in total:
                total[name] += int(value)
    return total


def cpu(pids: Iterable[int]) -> dict[str, int]:
    """usage, user and system in nanoseconds, of these processes and of children they outlived."""
    user = system = 0
    for pid in pids:
        fields = (read_if_there(f"/proc/{pid}/stat") or b"").rpartition(b")")[2].split()
        if len(fields) > 14:
            # utime, stime, cutime, cstime: fields 14 to 17, of which two are before the ")"
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
    return {"usage": (user + system) * _TICK, "user": user * _TICK, "system": system * _TICK}


def resident(pids: Iterable[int]) -> int:
    """Bytes of memory, what they share counted several times."""
    pages = 0
    for pid in pids:
        fields = (read_if_there(f"/proc/{pid}/statm") or b"").split()
        pages += int(fields[1]) if len(fields) > 1 else 0
    return pages * posix.sysconf("SC_PAGE_SIZE")


def machine_cpu() -> int:
    """Nanoseconds that all processors have spent, idle ones too, since the machine was started."""
    first = (read_if_there("/proc/stat") or b"").partition(b"\n")[0].split()
    # user nice system idle iowait irq softirq, as Docker adds them
    return sum(map(int, first[1:8])) * _TICK


def machine_memory() -> int:
    """Bytes."""
    return posix.sysconf("SC_PAGE_SIZE") * posix.sysconf("SC_PHYS_PAGES")
