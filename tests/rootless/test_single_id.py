"""Containers of a user to whom no subordinate ids are granted, and of one who gets nothing."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.command import Command
from tests.support.users import User

pytestmark = pytest.mark.root


def test_loading_warns_and_all_files_are_the_user_s(
    proa_as: Callable[[User], Command], single_id_user: User, archive: str
) -> None:
    command = proa_as(single_id_user)

    result = command("load", "-q", "-i", archive)

    (line,) = result.stderr.splitlines()
    assert "/etc/subuid grants you no subordinate ids" in line
    assert command.output("run", "--rm", "box", "stat", "-c", "%u:%g", "/srv/of-seven") == "0:0"
    owners = {
        os.lstat(os.path.join(directory, name)).st_uid
        for directory, _, names in os.walk(command.root)
        for name in names
    }
    assert owners == {single_id_user.uid}


def test_root_is_the_only_user(single: Command) -> None:
    assert single.output("run", "--rm", "box", "id", "-u") == "0"
    result = single("run", "--rm", "--user", "7", "box", "true", code=125)
    assert "user 7" in result.stderr and "/etc/subuid" in result.stderr


def test_everything_else_works(single: Command) -> None:
    single("run", "-d", "--name", "one", "box", "sleep", "600")
    assert single.output("exec", "one", "id", "-u") == "0"
    single("run", "--rm", "--network", "host", "box", "true")
    single("run", "--rm", "--network", "container:one", "box", "true")
    single("rm", "-f", "one")
    single("rmi", "box")
    assert os.listdir(f"{single.root}/containers") == []


def test_user_namespaces_forbidden(box: Command) -> None:
    """The limit of the machine is not ours to change; that of a namespace around us is."""
    inner = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    command = Command(
        box.path,
        box.root,
        prefix=(
            *(*box.prefix, "unshare", "--user", "--map-current-user", "--keep-caps", "--"),
            *("sh", "-c", inner, "sh"),
        ),
        environment=box.environment,
    )

    result = command("run", "--rm", "box", "true", code=125)

    assert "user namespace" in result.stderr and "proa system check" in result.stderr
    assert result.stderr.count("\n") == 1
    result = command("rmi", "box", code=None)
    assert result.returncode and "proa system check" in result.stderr
