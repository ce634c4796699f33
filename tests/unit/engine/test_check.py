"""`proa system check`: real probes, and machines that lack things."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proa.engine.check import (
    LIMITED,
    MISSING,
    OK,
    cgroups,
    check,
    isolation,
    programs,
    storage,
    users,
)
from proa.engine.check.finding import tried
from proa.kernel.cgroup import Mountpoints


def test_every_finding_that_is_not_ok_says_its_cost_and_its_remedy(tmp_path: Path) -> None:
    findings = check(str(tmp_path))

    assert len({finding.name for finding in findings}) == len(findings) > 20
    for finding in findings:
        assert finding.status in (OK, LIMITED, MISSING)
        assert finding.detail
        if finding.status != OK:
            assert finding.cost and finding.remedy, finding
    assert os.listdir(tmp_path) == []


def test_this_process_is_where_it_was(tmp_path: Path) -> None:
    before = [os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")]
    check(str(tmp_path))
    assert [os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")] == before


def test_a_probe_that_fails_says_why_and_one_that_dies_is_noticed() -> None:
    def refuse() -> None:
        raise PermissionError(1, "Operation not permitted")

    assert tried(lambda: None) == ""
    assert tried(refuse) == "operation not permitted"
    assert "9" in tried(lambda: os.kill(os.getpid(), 9))


def test_a_kernel_without_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_flags: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("proa.kernel.namespace.unshare", refuse)
    found = {finding.name: finding for finding in isolation.findings()}

    assert found["pid namespace"].status == MISSING
    assert found["pid namespace"].essential
    assert found["time namespace"].status == MISSING
    assert not found["time namespace"].essential


def test_a_machine_without_cgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "discover", lambda: Mountpoints({}, None, {}))
    (finding,) = cgroups.findings()

    assert finding.status == MISSING
    assert "mount -t cgroup2" in finding.remedy


def test_a_version_2_without_controllers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    monkeypatch.setattr(cgroups, "discover", lambda: Mountpoints({}, str(tmp_path), {}))
    found = {finding.name: finding for finding in cgroups.findings()}

    assert "version 2" in found["cgroups"].detail
    assert "memory" in found["cgroup controllers"].detail
    assert "--memory" in found["cgroup controllers"].cost


def test_user_namespaces_that_are_forbidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    switch = tmp_path / "max_user_namespaces"
    switch.write_text("0\n")
    monkeypatch.setattr(users, "_SWITCHES", {str(switch): lambda value: value > 0})
    finding = next(users.findings())

    assert finding.status == MISSING
    assert finding.remedy.startswith("sysctl -w")


def test_a_host_without_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "_search_path", lambda: str(tmp_path))
    found = {finding.name: finding for finding in programs.findings()}

    assert found["init"].status == LIMITED
    assert found["init"].remedy == "apt-get install catatonit"


def test_a_directory_that_cannot_be_made() -> None:
    found = {finding.name: finding for finding in storage.findings("/proc/nowhere")}

    assert found["overlay"].status == MISSING
    assert found["overlay"].essential
