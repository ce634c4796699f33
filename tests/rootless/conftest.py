"""Engines of ordinary users."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support import images
from tests.support.command import Command
from tests.support.users import User


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A docker-archive with busybox and with files of other owners, which everyone may read."""
    if images.busybox() is None:
        pytest.skip("no statically linked busybox: install busybox-static")
    owned = images.layer(
        [
            images.folder("srv", 0o755),
            images.Entry("srv/of-seven", b"7\n", uid=7, gid=8),
            images.Entry("srv/gone", b"x"),
        ]
    )
    hiding = images.layer([images.folder("srv", 0o755), images.Entry("srv/.wh.gone")])
    path = os.path.join(os.environ["TMPDIR"], "proa-tests-rootless.tar")
    with open(path, "wb") as file:
        file.write(images.docker_archive([images.busybox_layer(), owned, hiding], "box:latest"))
    os.chmod(path, 0o644)
    return path


@pytest.fixture
def box(proa_as: Callable[[User], Command], unprivileged_user: User, archive: str) -> Command:
    """The command as a user with subordinate ids, whose engine has the image `box`."""
    command = proa_as(unprivileged_user)
    command("load", "-q", "-i", archive)
    return command


@pytest.fixture
def single(proa_as: Callable[[User], Command], single_id_user: User, archive: str) -> Command:
    """The same as a user without subordinate ids."""
    command = proa_as(single_id_user)
    command("load", "-q", "-i", archive)
    return command
