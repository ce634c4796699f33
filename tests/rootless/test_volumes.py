"""Volumes of an ordinary user's engine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.command import Command
from tests.support.users import User

pytestmark = pytest.mark.root


def test_their_life(box: Command, unprivileged_user: User) -> None:
    run = ("run", "--rm", "-v", "vol:/srv", "box", "sh", "-c")
    assert box.output(*run, "stat -c %u:%g /srv/of-seven; touch /srv/mine; ls /srv") == (
        "7:8\nmine\nof-seven"
    )
    place = box.output("volume", "inspect", "-f", "{{.Mountpoint}}", "vol")
    assert os.stat(f"{place}/mine").st_uid == unprivileged_user.uid
    assert os.stat(f"{place}/of-seven").st_uid not in (0, 7, unprivileged_user.uid)
    # readable by nobody else, and removed all the same
    box(*run, "mkdir -m 700 /srv/closed && touch /srv/closed/x && chown -R 7 /srv/closed")
    assert "in use" in _while_used(box)
    assert box.output("volume", "prune", "-af").endswith("Total reclaimed space: 2B")
    assert not os.path.exists(place)


def _while_used(box: Command) -> str:
    box("create", "--name", "user", "-v", "vol:/srv", "box")
    said = box("volume", "rm", "vol", code=1).stderr
    box("rm", "user")
    return said


def test_a_container_that_never_runs_fills_its_volumes(box: Command) -> None:
    box("create", "--name", "store", "-v", "/srv", "box")
    shown = box.output("run", "--rm", "--volumes-from", "store", "box", "ls", "/srv")
    assert shown == "of-seven"
    box("rm", "-v", "store")
    assert box.output("volume", "ls", "-q") == ""


def test_anonymous_ones(box: Command) -> None:
    box("run", "--rm", "-v", "/srv", "box", "true")
    box("run", "-d", "--rm", "--name", "web", "-v", "/srv", "box", "sleep", "600")
    assert len(box.output("volume", "ls", "-q").split()) == 1
    box("rm", "-f", "web")
    assert box.output("volume", "ls", "-q") == ""


def test_in_memory_from_an_image_and_of_one_s_own(box: Command, unprivileged_user: User) -> None:
    box("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "mem")
    box("run", "-d", "--name", "one", "-v", "mem:/m", "box", "sleep", "600")
    said = box("run", "--rm", "-v", "mem:/m", "box", "true", code=125).stderr
    assert "volume mem is in memory, and cannot be had from container one" in said
    box("rm", "-f", "one")
    mount = "type=image,source=box,target=/img,image-subpath=srv"
    assert box.output("run", "--rm", "--mount", mount, "box", "ls", "/img") == "of-seven"

    shared = f"{box.root}/shared"
    os.mkdir(shared)
    os.chown(shared, unprivileged_user.uid, unprivileged_user.gid)
    box("run", "--rm", "-v", f"{shared}:/m:map=me", "box", "touch", "/m/x")
    assert os.stat(f"{shared}/x").st_uid == unprivileged_user.uid


def test_two_that_start_at_once(box: Command) -> None:
    def run(_: int) -> str:
        return box.output("run", "--rm", "-v", "vol:/srv", "box", "ls", "/srv")

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(run, range(4))) == {"of-seven"}


def test_with_one_id_only(single: Command) -> None:
    run = ("run", "--rm", "-v", "vol:/srv", "box", "sh", "-c")
    assert single.output(*run, "stat -c %u /srv/of-seven; touch /srv/x") == "0"
    assert single.output(*run, "ls /srv") == "of-seven\nx"
    assert single.output("volume", "rm", "vol") == "vol"
