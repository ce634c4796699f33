"""`build`: files from elsewhere, archives, and contexts that are no directory."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.builds import Context, steps
from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def context(alpine: Command, tmp_path: Path) -> Context:
    path = tmp_path / "context"
    path.mkdir()
    return Context(alpine, path)


class Server:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.requests: list[tuple[str, int]] = []
        requests = self.requests

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                requests.append((self.path, int(code)))

        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(Handler, directory=str(directory))
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    directory = tmp_path / "served"
    directory.mkdir()
    found = Server(directory)
    yield found
    found.close()


def archive(files: dict[str, str], kind: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=kind) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.mtime = len(content), 5, 1000
            tar.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def test_archives_are_unpacked(context: Context) -> None:
    for name, kind in (("a", "w"), ("b.tgz", "w:gz"), ("c.xz", "w:xz"), ("d.bz2", "w:bz2")):
        (context.path / name).write_bytes(archive({f"dir/{name}": name}, kind))
    context.write("no.tar", "this is none")
    context.build(
        "FROM alpine\nADD a b.tgz c.xz d.bz2 no.tar /x/\nADD a /y\nADD --unpack=false a /z\n"
        "ADD --chown=7:8 a /o\nCOPY a /w\n"
    )
    listed = context.run("sh", "-c", "cd /; find x y o ! -type d | sort; tar tf z; tar tf w")
    assert listed.split() == [
        *("o/dir/a", "x/dir/a", "x/dir/b.tgz", "x/dir/c.xz", "x/dir/d.bz2", "x/no.tar", "y/dir/a"),
        *("dir/a", "dir/a"),
    ]
    assert context.run("stat", "-c", "%u:%g", "/y/dir/a", "/o/dir/a").split() == ["5:0", "7:8"]


def test_a_hostile_archive_stays_inside(context: Context) -> None:
    buffer = io.BytesIO()
    outside = context.path.parent / "escaped"
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(context.path.parent)
        tar.addfile(link)
        for name in ("way/escaped", "../../../../escaped"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    (context.path / "a.tar").write_bytes(buffer.getvalue())
    context.proa(
        "build", str(context.path), "-f", "-", input="FROM alpine\nADD a.tar /x/\n", code=None
    )
    assert not outside.exists()


def test_files_of_urls(context: Context, server: Server) -> None:
    (server.directory / "f.txt").write_text("served")
    os.utime(server.directory / "f.txt", (1000, 1000))
    (server.directory / "a.tgz").write_bytes(archive({"in": "side"}))
    digest = hashlib.sha256(b"served").hexdigest()
    text = (
        f"FROM alpine\nADD --checksum=sha256:{digest} {server.url}/f.txt /d/\n"
        f"ADD {server.url}/f.txt /renamed\nADD --unpack=true {server.url}/a.tgz /u/\n"
        f"ADD {server.url}/a.tgz /u/\n"
    )
    context.build(text)
    assert context.run("cat", "/d/f.txt", "/renamed", "/u/in") == "servedservedside"
    assert context.run("stat", "-c", "%a %Y", "/d/f.txt") == "600 1000"
    assert context.run("ls", "/u").split() == ["a.tgz", "in"]

    server.requests.clear()
    assert "DONE" not in {
        steps(context.build(text))[name]
        for name in steps(context.build(text))
        if name.startswith("ADD")
    }
    assert {code for _, code in server.requests} == {304}
    (server.directory / "f.txt").write_text("changed")
    assert "digest mismatch" in context.build(text, code=1)
    assert "404" in context.build(f"FROM alpine\nADD {server.url}/none /x\n", code=1)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """The URL of a git repository with a branch `other` and a tag `v1`."""
    if shutil.which("git") is None or not os.path.exists("/usr/lib/git-core/git-daemon"):
        pytest.skip("needs git and its daemon")
    path = tmp_path / "repositories" / "repo.git"
    path.mkdir(parents=True)

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *identity, *arguments], cwd=path, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q", "-b", "main")
    (path / "Dockerfile").write_text("FROM alpine\nCOPY . /x/\n")
    (path / "sub").mkdir()
    (path / "sub/Dockerfile").write_text("FROM alpine\nCOPY f /f\n")
    (path / "sub/f").write_text("main")
    git("add", "-A")
    git("commit", "-qm", "one")
    git("tag", "-a", "-m", "t", "v1")
    git("checkout", "-q", "-b", "other")
    (path / "sub/f").write_text("other")
    git("commit", "-qam", "two")
    git("checkout", "-q", "main")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *("/usr/lib/git-core/git-daemon", "--export-all", "--listen=127.0.0.1"),
            *(f"--port={port}", "--reuseaddr", f"--base-path={path.parent}", str(path.parent)),
        ],
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"git://127.0.0.1:{port}/repo.git"
    process.terminate()
    process.wait()


def test_git_repositories(context: Context, repository: str) -> None:
    context.build(
        f"FROM alpine\nADD {repository} /a\nADD {repository}#other:sub /b/\n"
        f"ADD --keep-git-dir=true {repository}#v1 /c\n"
    )
    assert context.run("cat", "/a/sub/f", "/b/f", "/c/sub/f") == "mainothermain"
    assert context.run("sh", "-c", "ls -d /*/.git") == "/c/.git"
    assert "no such branch or tag" in context.build(
        f"FROM alpine\nADD {repository}#nothing /a\n", code=1
    )
    context.proa("build", "-q", "-t", "built", f"{repository}#other:sub")
    assert context.run("cat", "/f") == "other"
    context.proa("build", "-q", "-t", "built", repository)
    assert context.run("ls", "/x").split() == ["Dockerfile", "sub"]


def test_contexts_that_are_no_directory(context: Context, server: Server) -> None:
    whole = archive({"Dockerfile": "FROM alpine\nCOPY f /f\n", "f": "of the archive"})

    def build(data: bytes, *flags: str) -> None:
        subprocess.run(
            context.proa.argv("build", "-q", "-t", "built", *flags, "-"),
            input=data,
            env=context.proa.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    build(whole)
    assert context.run("cat", "/f") == "of the archive"
    other = archive({"sub/D": "FROM alpine\nCOPY f /g\n", "f": "named"}, "w")
    build(other, "-f", "sub/D")
    assert context.run("cat", "/g") == "named"
    build(b"FROM alpine\nRUN echo alone > /f\n")
    assert context.run("cat", "/f") == "alone"
    (server.directory / "context.tgz").write_bytes(whole)
    context.proa("build", "-q", "-t", "built", f"{server.url}/context.tgz")
    assert context.run("cat", "/f") == "of the archive"
    (server.directory / "Dockerfile").write_text("FROM alpine\nRUN echo web > /f\n")
    context.proa("build", "-q", "-t", "built", f"{server.url}/Dockerfile")
    assert context.run("cat", "/f") == "web"
    assert os.listdir(Path(context.proa.root, "build", "work")) == []


def test_a_foreign_context_reads_nothing_of_the_host(context: Context) -> None:
    private = context.path.parent / "private"
    private.write_text("FROM alpine\nRUN the hosts own\n")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("Dockerfile")
        link.type, link.linkname = tarfile.SYMTYPE, str(private)
        tar.addfile(link)
    result = subprocess.run(
        context.proa.argv("build", "-"),
        input=buffer.getvalue(),
        env=context.proa.environment,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 1
    assert b"no such file: Dockerfile" in result.stderr
    assert b"the hosts own" not in result.stderr
