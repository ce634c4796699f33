"""Which ids an ordinary user can map."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proa.monitor import rootless


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The contents of /etc/subuid, /etc/subgid and /etc/passwd, to be filled by the test."""
    contents = {"/etc/passwd": f"me:x:{os.getuid()}:{os.getgid()}::/home/me:/bin/sh\n"}
    monkeypatch.setattr(rootless, "_lines", lambda path: contents.get(path, "").split("\n"))
    monkeypatch.setattr(rootless, "find_helper", lambda program: f"/usr/bin/{program}")
    return contents


def test_ranges_are_found_by_name_and_by_number(files: dict[str, str]) -> None:
    files["/etc/subuid"] = (
        f"you:1000:5\nme:100000:65536\n{os.getuid()}:300000:10\nme:x:y\nme:5:0\nme\n"
    )

    assert rootless.granted("/etc/subuid", os.getuid()) == [(100000, 65536), (300000, 10)]


def test_the_user_is_root_and_the_ranges_follow_one_another(files: dict[str, str]) -> None:
    files["/etc/subuid"] = "me:100000:65536\nme:300000:10\n"
    files["/etc/subgid"] = "me:200000:65536\n"

    found = rootless.mappings()

    assert found.users == (
        (0, os.getuid(), 1),
        (1, 100000, 65536),
        (65537, 300000, 10),
    )
    assert found.groups == ((0, os.getgid(), 1), (1, 200000, 65536))
    assert not found.single


@pytest.mark.parametrize(
    ("granted", "missing", "reason"),
    [
        ({}, "", "/etc/subuid"),
        ({"/etc/subuid": "me:1:2\n"}, "", "/etc/subgid"),
        ({"/etc/subuid": "me:1:2\n", "/etc/subgid": "me:1:2\n"}, "newgidmap", "newgidmap"),
    ],
)
def test_without_ids_or_helpers_there_is_the_own_id_alone(
    files: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    granted: dict[str, str],
    missing: str,
    reason: str,
) -> None:
    files.update(granted)
    monkeypatch.setattr(
        rootless, "find_helper", lambda program: None if program == missing else program
    )

    found = rootless.mappings()

    assert (found.users, found.groups) == (
        ((0, os.getuid(), 1),),
        ((0, os.getgid(), 1),),
    )
    assert found.single and reason in found.reason
