from __future__ import annotations

import os
import random
from pathlib import Path

from proa.monitor.backlog import IN_MEMORY, Backlog


def test_bytes_come_out_in_the_order_they_went_in(tmp_path: Path) -> None:
    backlog = Backlog(str(tmp_path))
    chance = random.Random(7)
    expected, received = bytearray(), bytearray()
    for _ in range(400):
        data = os.urandom(chance.randrange(1, 60_000))
        assert backlog.append(data)
        expected += data
        for _ in range(chance.randrange(0, 3)):
            piece = backlog.first()[: chance.randrange(1, 50_000)]
            received += piece
            backlog.drop(len(piece))
    while backlog:
        piece = backlog.first()
        received += piece
        backlog.drop(len(piece))
    backlog.close()

    assert received == expected


def test_what_does_not_fit_into_memory_goes_to_a_file_without_a_name(tmp_path: Path) -> None:
    backlog = Backlog(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        backlog.append(bytes(IN_MEMORY))

    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert list(tmp_path.iterdir()) == []

    backlog.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_disk_that_takes_no_more_is_told(tmp_path: Path) -> None:
    backlog = Backlog(str(tmp_path / "missing"))

    assert backlog.append(b"x" * IN_MEMORY)
    assert not backlog.append(b"y")
