"""login and logout, with a token server and with Basic; nothing secret where others see it."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import images, registries, tokens
from tests.support.command import Command

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(registries.PROGRAM is None, reason="no docker-registry: install it"),
]

PASSWORD = "anns secret: 1"


@pytest.fixture
def token_server(tmp_path: Path) -> Iterator[tokens.TokenServer]:
    with tokens.running(str(tmp_path)) as server:
        yield server


@pytest.fixture
def guarded(token_server: tokens.TokenServer, tmp_path: Path) -> Iterator[str]:
    with registries.running(str(tmp_path), auth=token_server.configuration()) as host:
        yield host


def config(proa: Command) -> Path:
    return Path(proa.environment["DOCKER_CONFIG"]) / "config.json"


def test_login_push_pull_logout(
    proa: Command, guarded: str, token_server: tokens.TokenServer, tmp_path: Path
) -> None:
    done = proa("login", "-u", "ann", "--password-stdin", guarded, input=f"{PASSWORD}\n")
    assert done.stdout == "Login Succeeded\n"
    assert "stored unencrypted" in done.stderr and PASSWORD not in done.stderr
    # the token server gave a token to keep instead of the password
    (entry,) = json.loads(config(proa).read_text())["auths"].values()
    assert entry["identitytoken"] in token_server.refresh_tokens
    assert stat.S_IMODE(os.stat(config(proa)).st_mode) == 0o600

    archive = tmp_path / "image.tar"
    archive.write_bytes(images.docker_archive([images.busybox_layer()], f"{guarded}/private/a:1"))
    proa("load", "-i", str(archive))
    token_server.requests.clear()
    proa("push", f"{guarded}/private/a:1")
    # one token for all of it
    assert [request["scope"] for request in token_server.requests] == [
        ["repository:private/a:pull,push"]
    ]
    proa("tag", f"{guarded}/private/a:1", f"{guarded}/private/b:1")
    assert "Mounted from private/a" in proa.output("push", f"{guarded}/private/b:1")
    assert proa.output("login", guarded) == (
        "Authenticating with existing credentials...\nLogin Succeeded"
    )
    assert proa.output("logout", guarded) == f"Removing login credentials for {guarded}"
    assert proa.output("logout", guarded) == f"Not logged in to {guarded}"
    refused = proa("push", f"{guarded}/private/a:1", code=1)
    assert "denied" in refused.stderr or "log in with" in refused.stderr


def test_a_wrong_password_is_refused_and_not_kept(proa: Command, guarded: str) -> None:
    done = proa("login", "-u", "ann", "--password-stdin", guarded, input="wrong one", code=1)
    assert "incorrect username or password" in done.stderr and "wrong one" not in done.stderr
    assert not config(proa).exists()


def test_a_password_on_the_command_line_warns(proa: Command, guarded: str) -> None:
    done = proa("login", "-u", "ann", "-p", PASSWORD, guarded)
    assert "WARNING! Using --password via the CLI is insecure" in done.stderr
    assert done.stdout == "Login Succeeded\n"


def test_what_does_not_go_together(proa: Command) -> None:
    for arguments, said in (
        (["-p", "x", "--password-stdin", "-u", "y"], "mutually exclusive"),
        (["--password-stdin"], "Must provide --username"),
        (["-u", "x"], "non TTY device"),
        (["-u", "x", "-p", "y", "no host!"], "is not a registry"),
    ):
        assert said in proa("login", *arguments, code=None).stderr


def test_no_other_process_sees_a_secret(
    proa: Command, guarded: str, token_server: tokens.TokenServer
) -> None:
    proa.environment["PATH"] = f"{config(proa).parent}:{os.environ['PATH']}"
    config(proa).parent.mkdir()
    seen = config(proa).parent / "seen"
    helper = config(proa).parent / "docker-credential-watching"
    # what is to be seen of all processes while it runs
    helper.write_text(
        f"#!/bin/sh\ncat > {seen}.$1\ncat /proc/[0-9]*/cmdline > {seen} 2>/dev/null; true\n"
    )
    helper.chmod(0o755)
    config(proa).write_text('{"credsStore": "watching"}')
    proa("login", "-u", "ann", "--password-stdin", guarded, input=PASSWORD)
    assert json.loads(Path(f"{seen}.store").read_text())["Username"] == "<token>"
    token = next(iter(token_server.refresh_tokens))
    listed = seen.read_bytes()
    assert b"login" in listed
    assert PASSWORD.encode() not in listed and token.encode() not in listed
    assert token not in config(proa).read_text()


def test_on_a_terminal(proa: Command, guarded: str) -> None:
    process, terminal = proa.start_on_terminal("login", guarded)
    try:
        said = b""
        for prompt, answer in (
            (b"Username: ", b"ann\n"),
            (b"Password: ", f"{PASSWORD}\n".encode()),
        ):
            deadline = time.monotonic() + 20
            while not said.endswith(prompt):
                assert time.monotonic() < deadline
                said += os.read(terminal, 1024)
            os.write(terminal, answer)
        while b"Login Succeeded" not in said:
            said += os.read(terminal, 1024)
        assert process.wait(20) == 0
        assert PASSWORD.encode() not in said
    finally:
        os.close(terminal)
        process.wait()
