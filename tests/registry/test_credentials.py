"""Registries that want to know who asks: Basic, token servers, TLS, proxies, mirrors."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import registries, scripted, tokens
from tests.support.command import Command

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(registries.PROGRAM is None, reason="no docker-registry: install it"),
]


_BCRYPT = "$2b$04$eL6JMoHJq50B5NFW2GFG2ey57G5oNwgrtSdV0xmXe6Cqu1dSCeC2S"


def log_in(proa: Command, key: str, username: str, password: str) -> None:
    path = Path(proa.environment["DOCKER_CONFIG"]) / "config.json"
    path.parent.mkdir(exist_ok=True)
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {key: {"auth": pair}}}))


@pytest.fixture
def token_server(tmp_path: Path) -> Iterator[tokens.TokenServer]:
    with tokens.running(str(tmp_path)) as server:
        yield server


@pytest.fixture
def guarded(token_server: tokens.TokenServer, tmp_path: Path, layouts: Path) -> Iterator[str]:
    """A registry with a token server, and an image in public/image and in private/image."""
    with registries.running(str(tmp_path), auth=token_server.configuration()) as host:
        for name in ("public", "private"):
            registries.copy(
                f"oci-archive:{layouts}/one.tar:one:1",
                f"docker://{host}/{name}/image:1",
                "--dest-creds=ann:anns secret: 1",
            )
        token_server.requests.clear()
        yield host


def test_basic(proa: Command, tmp_path: Path, layouts: Path) -> None:
    users = tmp_path / "htpasswd"
    # bcrypt of "anns secret: 1"
    users.write_text(f"ann:{_BCRYPT}\n")
    auth = {"htpasswd": {"realm": "tests", "path": str(users)}}
    with registries.running(str(tmp_path), auth=auth) as host:
        registries.copy(
            f"oci-archive:{layouts}/one.tar:one:1",
            f"docker://{host}/a:1",
            "--dest-creds=ann:anns secret: 1",
        )
        refused = proa("pull", f"{host}/a:1", code=1)
        assert f"log in with 'proa login {host}'" in refused.stderr
        log_in(proa, host, "ann", "wrong")
        refused = proa("pull", f"{host}/a:1", code=1)
        assert "wants a login" in refused.stderr and "wrong" not in refused.stderr
        log_in(proa, host, "ann", "anns secret: 1")
        proa("pull", f"{host}/a:1")


def test_a_token_server_lets_everybody_pull_what_is_public(
    proa: Command, guarded: str, token_server: tokens.TokenServer
) -> None:
    proa("pull", f"{guarded}/public/image:1")
    assert [request["scope"] for request in token_server.requests] == [
        ["repository:public/image:pull"]
    ]
    refused = proa("pull", f"{guarded}/private/image:1", code=1)
    assert f"log in with 'proa login {guarded}'" in refused.stderr


def test_a_token_server_knows_users(
    proa: Command, guarded: str, token_server: tokens.TokenServer
) -> None:
    log_in(proa, guarded, "ann", "anns secret: 1")
    proa("pull", f"{guarded}/private/image:1")
    assert [request["user"] for request in token_server.requests] == [["ann"]]
    log_in(proa, guarded, "ann", "other")
    refused = proa("pull", "-a", f"{guarded}/private/image", code=1)
    assert f"the token server of {guarded} refuses us" in refused.stderr
    assert "other" not in refused.stderr


def test_credentials_of_a_path(proa: Command, guarded: str) -> None:
    log_in(proa, f"{guarded}/private", "ann", "anns secret: 1")
    proa("pull", f"{guarded}/private/image:1")


def test_a_refresh_token_is_posted(
    proa: Command, guarded: str, token_server: tokens.TokenServer
) -> None:
    token_server.refresh_tokens["refresh"] = "ann"
    path = Path(proa.environment["DOCKER_CONFIG"]) / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"auths": {guarded: {"identitytoken": "refresh"}}}))
    proa("pull", f"{guarded}/private/image:1")
    (request,) = token_server.requests
    assert request["user"] == ["ann"] and request["posted"] == ["yes"]


def test_tokens_that_end_are_fetched_again(
    proa: Command, guarded: str, token_server: tokens.TokenServer
) -> None:
    token_server.expires_in = 11  # of which ten are not used
    log_in(proa, guarded, "ann", "anns secret: 1")
    for tag in ("2", "3"):
        registries.copy(
            f"docker://{guarded}/private/image:1",
            f"docker://{guarded}/private/image:{tag}",
            *("--src-creds=ann:anns secret: 1", "--dest-creds=ann:anns secret: 1"),
        )
    proa("pull", "-a", f"{guarded}/private/image")


class Tls:
    """A certificate authority, a server's certificate and a client's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0
        self.authority = self._make("ca", "tests' authority", None, ca=True)
        self._make("server", "registry", "subjectAltName=DNS:127.1")
        self._make("client", "ann", "extendedKeyUsage=clientAuth")
        self.server = {
            "certificate": str(directory / "server.crt"),
            "key": str(directory / "server.key"),
        }

    def _make(self, name: str, subject: str, extension: str | None, *, ca: bool = False) -> str:
        base = self.directory / name
        request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={subject}"]
        request += ["-keyout", f"{base}.key"]
        if ca:
            subprocess.run(
                [*request, "-x509", "-days", "2", "-out", f"{base}.crt"],
                check=True,
                capture_output=True,
            )
            return f"{base}.crt"
        subprocess.run([*request, "-out", f"{base}.csr"], check=True, capture_output=True)
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"{extension}\n")
        subprocess.run(
            [
                *("openssl", "x509", "-req", "-days", "2", "-in", f"{base}.csr"),
                *("-CA", str(self.directory / "ca.crt"), "-CAkey", str(self.directory / "ca.key")),
                *("-CAcreateserial", "-extfile", str(extensions), "-out", f"{base}.crt"),
            ],
            check=True,
            capture_output=True,
        )
        return f"{base}.crt"


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    directory = tmp_path / "tls"
    directory.mkdir()
    return Tls(directory)


@pytest.fixture
def encrypted(tls: Tls, tmp_path: Path) -> Iterator[str]:
    """A registry with TLS, by a name of this machine that is not known to be of this machine."""
    with registries.running(str(tmp_path), tls=tls.server) as host:
        yield f"127.1:{host.partition(':')[2]}"


def push_to(host: str, tls: Tls, layouts: Path, *options: str) -> str:
    port = host.partition(":")[2]
    registries.copy(
        f"oci-archive:{layouts}/one.tar:one:1", f"docker://127.0.0.1:{port}/a:1", *options
    )
    return f"{host}/a:1"


def certificates(proa: Command, host: str) -> Path:
    directory = Path(proa.environment["XDG_CONFIG_HOME"]) / "proa" / "certs.d" / host
    directory.mkdir(parents=True)
    return directory


def test_a_certificate_that_nobody_vouches_for(
    proa: Command, encrypted: str, tls: Tls, layouts: Path
) -> None:
    name = push_to(encrypted, tls, layouts)
    refused = proa("pull", name, code=1)
    assert f"{encrypted}: its certificate is not trusted" in refused.stderr
    assert f"/etc/proa/certs.d/{encrypted}/ca.crt" in refused.stderr
    (certificates(proa, encrypted) / "ca.crt").write_text(Path(tls.authority).read_text())
    proa("pull", name)


def test_a_registry_that_is_named_as_insecure(
    proa: Command, encrypted: str, tls: Tls, layouts: Path, tmp_path: Path
) -> None:
    name = push_to(encrypted, tls, layouts)
    settings = Path(proa.environment["XDG_CONFIG_HOME"]) / "proa" / "registries.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[registry."{encrypted}"]\ninsecure = true\n')
    assert proa("pull", name).stderr == ""


def test_a_registry_without_tls_must_be_named(proa: Command, registry: str, layouts: Path) -> None:
    host = f"127.1:{registry.partition(':')[2]}"
    registries.copy(f"oci-archive:{layouts}/one.tar:one:1", f"docker://{registry}/tls/a:1")
    refused = proa("pull", f"{host}/tls/a:1", code=1)
    assert "must be named as insecure in registries.toml" in refused.stderr


def test_client_certificates(proa: Command, tls: Tls, tmp_path: Path, layouts: Path) -> None:
    server = {**tls.server, "clientcas": [tls.authority]}
    with registries.running(str(tmp_path), tls=server) as host:
        name = f"127.1:{host.partition(':')[2]}"
        directory = certificates(proa, name)
        (directory / "ca.crt").write_text(Path(tls.authority).read_text())
        refused = proa("pull", f"{name}/a:1", code=1)
        assert name in refused.stderr and "manifest unknown" not in refused.stderr
        for source, target in (("client.crt", "client.cert"), ("client.key", "client.key")):
            (directory / target).write_text((tls.directory / source).read_text())
        # shown: it is let in, and there is no such image
        assert "manifest unknown" in proa("pull", f"{name}/a:1", code=1).stderr
        (directory / "client.key").unlink()
        missing = proa("pull", f"{name}/a:1", code=1)
        assert "missing key client.key for client certificate" in missing.stderr


class Proxy(http.server.ThreadingHTTPServer):
    """A proxy for both kinds of URL that wants a password."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Proxying)
        self.seen: list[str] = []


class _Proxying(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.server.seen.append(f"CONNECT {self.path}")
        if not self._is_allowed():
            return
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port)), 10) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
            back.start()
            _pump(self.connection, there)
            back.join(5)

    def do_GET(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        if not self._is_allowed():
            return
        headers = {name: value for name, value in self.headers.items() if "Proxy" not in name}
        request = urllib.request.Request(self.path, headers=headers, method=self.command)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            answer = opener.open(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    do_HEAD = do_GET

    def _is_allowed(self) -> bool:
        pair = base64.b64encode(b"user:p roxy").decode()
        if self.headers.get("Proxy-Authorization") == f"Basic {pair}":
            return True
        self.send_error(407)
        return False


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    server = Proxy()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_proxies(
    proa: Command, proxy: Proxy, encrypted: str, tls: Tls, registry: str, layouts: Path
) -> None:
    plain = f"127.1:{registry.partition(':')[2]}"
    registries.copy(f"oci-archive:{layouts}/one.tar:one:1", f"docker://{registry}/proxied/a:1")
    name = push_to(encrypted, tls, layouts)
    (certificates(proa, encrypted) / "ca.crt").write_text(Path(tls.authority).read_text())
    settings = Path(proa.environment["XDG_CONFIG_HOME"]) / "proa" / "registries.toml"
    settings.write_text(f'[registry."{plain}"]\ninsecure = true\n')
    address = f"127.0.0.1:{proxy.server_address[1]}"
    proa.environment["HTTPS_PROXY"] = f"http://user:p%20roxy@{address}"
    proa.environment["http_proxy"] = proa.environment["HTTPS_PROXY"]
    proa("pull", name)
    assert proxy.seen and set(proxy.seen) == {f"CONNECT {encrypted}"}
    proa("pull", f"{plain}/proxied/a:1")
    assert f"GET http://{plain}/v2/proxied/a/manifests/1" in proxy.seen

    proxy.seen.clear()
    proa.environment["NO_PROXY"] = "127.1"
    proa("pull", name)
    assert proxy.seen == []
    del proa.environment["NO_PROXY"]
    proa.environment["HTTPS_PROXY"] = f"http://user:wrong@{address}"
    refused = proa("pull", name, code=1)
    assert "the proxy does not let us through" in refused.stderr and "wrong" not in refused.stderr


def test_mirrors(proa: Command, registry: str, layouts: Path) -> None:
    registries.copy(
        f"oci-archive:{layouts}/one.tar:one:1", f"docker://{registry}/cache/library/a:1"
    )
    registries.copy(f"oci-archive:{layouts}/one.tar:one:1", f"docker://{registry}/mirrored/b:1")
    with scripted.running() as mirror, scripted.running() as dead:
        mirror.put_image("1", [b"\0" * 1024])
        mirror.faults.append(lambda request: "library/a" not in request.path and _gone(request))
        settings = Path(proa.environment["XDG_CONFIG_HOME"]) / "proa" / "registries.toml"
        settings.parent.mkdir(parents=True)
        nobody = f"127.0.0.1:{registries.free_port()}"
        settings.write_text(
            f'[registry."docker.io"]\nmirrors = ["http://{nobody}", "http://{mirror.host}"]\n'
            f'[registry."{registry}"]\nmirrors = ["http://{mirror.host}"]\n'
            f'[registry."never.example"]\nmirrors = ["http://{dead.host}"]\n'
        )
        # of docker.io, which nobody could reach from here
        lines = proa.output("pull", "a:1").splitlines()
        assert lines[-1] == "docker.io/library/a:1"
        assert mirror.count("GET", "/v2/library/a/blobs/") == 2
        # what the mirror has not, the registry has
        mirror.requests.clear()
        proa("pull", f"{registry}/mirrored/b:1")
        assert mirror.count("GET", "/v2/mirrored/b/manifests/1") == 1
        # the registry's own answer is the one that is told
        refused = proa("pull", "never.example/c:1", code=1)
        assert "never.example: no such host" in refused.stderr


def _gone(request: scripted.Handler) -> bool:
    request.answer(404, b"")
    return True


def test_a_token_is_shown_to_nobody_else(proa: Command, tmp_path: Path) -> None:
    """Blobs may be elsewhere, on servers that must not see what the registry sees."""
    with scripted.running() as storage, scripted.running() as front:
        front.put_image("1", [b"\0" * 1024])
        storage.blobs.update(front.blobs)
        log_in(proa, front.host, "ann", "secret")

        def guard(request: scripted.Handler) -> bool:
            if "Authorization" not in request.headers:
                request.answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
                return True
            if "/blobs/" in request.path:
                request.answer(307, b"", {"Location": f"http://{storage.host}{request.path}"})
                return True
            return False

        front.faults.append(guard)
        proa("pull", f"{front.host}/a:1")
        assert storage.requests and not any(
            "authorization" in seen for *_, seen in storage.requests
        )


def test_an_answer_cannot_lead_to_a_token_server_that_others_hear(
    proa: Command, encrypted: str, tls: Tls
) -> None:
    (certificates(proa, encrypted) / "ca.crt").write_text(Path(tls.authority).read_text())
    with scripted.running() as elsewhere:
        from proa.distribution.auth import Authorizer
        from proa.distribution.credentials import Credentials
        from proa.distribution.transport import Transport
        from proa.errors import Unauthorized

        def challenge(request: scripted.Handler) -> bool:
            request.answer(
                401, b"", {"WWW-Authenticate": f'Bearer realm="http://{elsewhere.host}/token"'}
            )
            return True

        elsewhere.faults.append(challenge)
        transport = Transport()
        response = transport.request("GET", f"http://{elsewhere.host}/v2/", {})
        authorizer = Authorizer(transport, "a.example", lambda: Credentials("ann", "secret"))
        with pytest.raises(Unauthorized, match="others could read"):
            authorizer.answer(response, ["repository:a:pull"], None, plain=False)
        transport.close()
        assert elsewhere.count("GET", "/token") == 0
