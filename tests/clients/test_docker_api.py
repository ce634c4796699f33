"""Docker's API: by plain HTTP, and by Docker's own command where it is installed."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.root


class Server:
    """A server of an engine, and what asks it."""

    def __init__(self, path: str, process: subprocess.Popen[bytes]) -> None:
        self.path = path
        self.process = process

    def ask(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers of an answer."""
        connection = http.client.HTTPConnection("docker", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else {}
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        answered = response.read()
        found = dict(response.getheaders())
        connection.close()
        if found.get("Content-Type") == "application/json" and answered.count(b"\n") == 1:
            return response.status, json.loads(answered), found
        return response.status, answered, found

    def docker(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Exit code, output and errors of Docker's command."""
        done = subprocess.run(
            ["docker", *arguments],
            input=stdin,
            capture_output=True,
            timeout=60,
            env={**os.environ, "DOCKER_HOST": f"unix://{self.path}", "DOCKER_BUILDKIT": "0"},
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def server(alpine: Command) -> Iterator[Server]:
    yield from serving(alpine)


def serving(proa: Command, *flags: str) -> Iterator[Server]:
    # a socket's path has 107 bytes at most
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = f"{directory}/api.sock"
        process = subprocess.Popen(
            proa.argv("serve", "-H", f"unix://{path}", *flags),
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        with process:
            try:
                assert process.stdout.readline() == f"listening on unix://{path}\n".encode()
                yield Server(path, process)
            finally:
                process.terminate()
                assert process.wait(20) == 0
        assert not os.path.exists(path)


def create(server: Server, *command: str, **more: Any) -> str:
    status, found, _ = server.ask(
        "POST",
        "/v1.50/containers/create",
        {"Image": "alpine", "Cmd": command, "HostConfig": {"NetworkMode": "none"}, **more},
    )
    assert status == 201, found
    return str(found["Id"])


def test_versions_headers_and_errors(server: Server) -> None:
    assert os.stat(server.path).st_mode & 0o777 == 0o660
    status, text, headers = server.ask("GET", "/_ping")
    assert (status, text, headers["Api-Version"]) == (200, b"OK", "1.50")
    assert server.ask("GET", "/v1.24/version")[0] == 200
    status, found, _ = server.ask("GET", "/v1.23/version")
    assert status == 400
    assert "too old" in found["message"]
    status, found, _ = server.ask("GET", "/v9.99/version")
    assert "too new" in found["message"]
    assert server.ask("GET", "/v1.50/nowhere")[:2] == (404, {"message": "page not found"})
    status, found, _ = server.ask("GET", "/containers/nobody/json")
    assert status == 404
    assert "nobody" in found["message"]
    status, found, _ = server.ask("GET", "/nodes")
    assert status == 503


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "EOF"),
        (b"{", "invalid JSON"),
        (b"[]", "must be an object"),
        (b'{"Image": 7}', "Image must be a string"),
        (b"[" * 100_000, "invalid JSON"),
        (b'"' + b"x" * (5 << 20) + b'"', "larger than"),
    ],
)
def test_bodies_that_are_wrong(server: Server, raw: bytes, said: str) -> None:
    status, found, _ = server.ask("POST", "/containers/create", raw=raw)
    assert status == 400
    assert said in found["message"]
    assert server.ask("GET", "/_ping")[0] == 200


def test_the_life_of_a_container(server: Server) -> None:
    id = create(server, "sh", "-c", "echo out; exit 3")
    status, found, _ = server.ask("GET", "/containers/json?all=1")
    assert [item["Id"] for item in found] == [id]
    assert found[0]["State"] == "created"
    assert server.ask("POST", f"/containers/{id}/start")[0] == 204
    status, found, _ = server.ask("POST", f"/containers/{id}/wait")
    assert (status, found["StatusCode"]) == (200, 3)
    status, log, headers = server.ask("GET", f"/containers/{id}/logs?stdout=1&stderr=1")
    assert log == b"\x01\0\0\0\0\0\0\x04out\n"
    assert headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"
    assert server.ask("POST", f"/containers/{id}/kill")[0] == 409
    assert server.ask("DELETE", f"/containers/{id}")[0] == 204
    assert server.ask("GET", "/containers/json?all=1")[1] == []


def test_filters_old_and_new(server: Server) -> None:
    id = create(server, "true", Labels={"a": "b"})
    create(server, "true")
    for given in ({"label": ["a=b"]}, {"label": {"a=b": True}}):
        query = f"/containers/json?all=1&filters={json.dumps(given)}".replace(" ", "")
        assert [item["Id"] for item in server.ask("GET", query)[1]] == [id]
    assert server.ask("GET", "/containers/json?filters=[1]")[0] == 400


def test_killing_the_server_harms_no_container(alpine: Command, server: Server) -> None:
    id = create(server, "sleep", "1000")
    assert server.ask("POST", f"/containers/{id}/start")[0] == 204
    # as many of its kind may be at work on one engine
    others = serving(alpine)
    other = next(others)
    server.process.terminate()
    server.process.wait(20)
    assert other.ask("GET", f"/containers/{id}/json")[1]["State"]["Running"] is True
    assert other.ask("DELETE", f"/containers/{id}?force=1")[0] == 204
    others.close()


def test_a_socket_that_serves_less(alpine: Command) -> None:
    servers = serving(alpine, "--allow", "GET /containers/**", "--read-only")
    server = next(servers)
    assert server.ask("GET", "/v1.50/containers/json")[0] == 200
    assert server.ask("GET", "/v1.50/images/json")[0] == 403
    assert server.ask("POST", "/v1.50/containers/create", {"Image": "alpine"})[0] == 403
    servers.close()


def test_tcp_only_with_certificates_or_on_the_loopback_device(alpine: Command) -> None:
    assert "root of this machine" in alpine("serve", "-H", "tcp://127.0.0.1:0", code=1).stderr
    refused = alpine("serve", "-H", "tcp://0.0.0.0:0", "--insecure", code=1)
    assert "loopback" in refused.stderr


def test_dockers_own_command(server: Server, tmp_path: Path) -> None:
    if not shutil.which("docker"):
        pytest.skip("there is no docker command")
    run = ("run", "--rm", "--network", "none")
    assert server.docker(*run, "alpine", "echo", "hi") == (0, "hi\n", "")
    assert server.docker(*run, "-i", "alpine", "cat", stdin=b"x\ny\n")[:2] == (0, "x\ny\n")
    assert server.docker(*run, "alpine", "sh", "-c", "exit 7")[0] == 7
    code, _, said = server.docker(*run, "alpine", "nosuch")
    assert code == 127
    assert "not found" in said
    flags = ("--name", "web", "--network", "none")
    code, id, _ = server.docker("run", "-d", *flags, "alpine", "sleep", "1000")
    assert code == 0
    assert server.docker("ps", "-q", "--no-trunc")[1] == id
    assert server.docker("exec", "web", "sh", "-c", "echo in; exit 4")[:2] == (4, "in\n")
    assert server.docker("exec", "-i", "web", "cat", stdin=b"data")[:2] == (0, "data")
    (tmp_path / "file").write_text("copied")
    assert server.docker("cp", str(tmp_path / "file"), "web:/tmp/file")[0] == 0
    assert server.docker("exec", "web", "cat", "/tmp/file")[1] == "copied"
    assert server.docker("commit", "web", "made:1")[0] == 0
    assert server.docker(*run, "made:1", "cat", "/tmp/file")[1] == "copied"
    assert server.docker("rm", "-f", "web") == (0, "web\n", "")
    assert server.docker("system", "df")[0] == 0
    (tmp_path / "Dockerfile").write_text("FROM alpine\nCOPY file /f\nRUN test -s /f\n")
    code, shown, said = server.docker("build", "-t", "built", str(tmp_path))
    assert code == 0, said
    assert "Successfully tagged built:latest" in shown
    assert server.docker(*run, "built", "cat", "/f")[1] == "copied"


def test_a_client_that_waits_before_the_start(server: Server) -> None:
    id = create(server, "sh", "-c", "exit 5")
    client = socket.socket(socket.AF_UNIX)
    with client:
        client.connect(server.path)
        client.sendall(
            f"POST /containers/{id}/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        client.settimeout(20)
        assert b"200 OK" in client.recv(4096)
        assert server.ask("POST", f"/containers/{id}/start")[0] == 204
        told = b""
        deadline = time.monotonic() + 20
        while b"StatusCode" not in told and time.monotonic() < deadline:
            told += client.recv(4096)
        assert b'"StatusCode": 5' in told
