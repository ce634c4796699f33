"""Registries on this machine's loopback device, for the tests: Debian's docker-registry."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.command import Command

PROGRAM = shutil.which("docker-registry")


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    directory: str, *, auth: Mapping[str, Any] | None = None, tls: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """A registry with its files in `directory`; its `host:port`.

    `auth`, `tls`: these sections of its configuration.
    """
    assert PROGRAM is not None
    port = free_port()
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}", "secret": "tests"}
    if tls:
        http["tls"] = dict(tls)
    configuration: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {
            "filesystem": {"rootdirectory": os.path.join(directory, "registry")},
            "delete": {"enabled": True},
        },
        "http": http,
    }
    if auth:
        configuration["auth"] = dict(auth)
    path = os.path.join(directory, "registry.yml")
    with open(path, "w", encoding="ascii") as file:
        json.dump(configuration, file)  # JSON is YAML
    with open(os.path.join(directory, "registry.log"), "ab") as log:
        process = subprocess.Popen(
            [PROGRAM, "serve", path], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _wait(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def serving(proa: Command, *options: str) -> Iterator[str]:
    """Our own registry on the root of `proa`; its `host:port`."""
    process = proa.start(
        *("registry", "serve", "--listen", "127.0.0.1:0", *options), stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        said = process.stdout.readline().decode()
        assert said.startswith("listening on "), process.stderr.read().decode()
        yield said.split()[-1]
    finally:
        process.terminate()
        code = process.wait(40)
        for stream in (process.stdout, process.stderr):
            stream.close()
        assert code == 0


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, "docker-registry ended"
            assert time.monotonic() < deadline, "docker-registry does not listen"
            time.sleep(0.02)


def upload_to(host: str, location: str, digest: str) -> str:
    """The URL that ends an upload."""
    url = urllib.parse.urljoin(f"http://{host}", location)
    return f"{url}{'&' if '?' in url else '?'}{urllib.parse.urlencode({'digest': digest})}"


def call(
    url: str,
    method: str = "GET",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    basic: tuple[str, str] | None = None,
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers (lower-case) and body of an answer, whatever it is."""
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)
    if basic:
        pair = base64.b64encode(f"{basic[0]}:{basic[1]}".encode()).decode()
        request.add_header("Authorization", f"Basic {pair}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, _lower(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lower(error.headers), error.read()


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def copy(source: str, target: str, *options: str) -> None:
    """Copy an image with skopeo, which is not ours; plain HTTP."""
    subprocess.run(
        [
            *("skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"),
            *options,
            source,
            target,
        ],
        check=True,
        capture_output=True,
    )
