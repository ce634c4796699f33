"""A small token server, real enough for docker-registry: it signs what it grants (RS256).

Distribution's docs/spec/auth: token.md, oauth.md, jwt.md. Users, what each may do, and all
requests that came are plain attributes, for tests to set and to look at.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import secrets
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

ISSUER, SERVICE = "tests", "registry.tests"


class TokenServer(http.server.ThreadingHTTPServer):
    """Answers GET (Basic, or anonymous) and POST (refresh tokens)."""

    daemon_threads = True

    def __init__(self, directory: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.directory = directory
        self.users = {"ann": "anns secret: 1"}
        self.public = {"public/image"}
        """repositories that everybody may pull from"""
        self.refresh_tokens: dict[str, str] = {}
        self.expires_in = 60
        self.requests: list[dict[str, Any]] = []
        self._key = os.path.join(directory, "token.key")
        self.certificate = os.path.join(directory, "token.crt")
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=tests", "-keyout", self._key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}/token"

    def configuration(self) -> dict[str, Any]:
        """The section `auth` of docker-registry's configuration."""
        return {
            "token": {
                "realm": self.url,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": self.certificate,
            }
        }

    def grant(self, user: str, scopes: list[str]) -> str:
        """A signed token for what `user` may do of `scopes`."""
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            allowed = set(actions.split(","))
            if not user:
                allowed &= {"pull"} if name in self.public else set()
            access.append({"type": kind, "name": name, "actions": sorted(allowed)})
        moment = int(time.time())
        with open(self.certificate, encoding="ascii") as file:
            der = "".join(line for line in file.read().splitlines() if "-" not in line)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "exp": moment + self.expires_in,
            "nbf": moment - 5,
            "iat": moment,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self._key],
            input=signed.encode(),
            capture_output=True,
            check=True,
        ).stdout
        return f"{signed}.{_encode(signature)}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: TokenServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        kind, _, pair = self.headers.get("Authorization", "").partition(" ")
        user = ""
        if kind == "Basic":
            user, _, password = base64.b64decode(pair).decode().partition(":")
            if self.server.users.get(user) != password:
                return self._answer(401, {"errors": [{"code": "UNAUTHORIZED"}]}, query)
        answer: dict[str, Any] = {}
        if user and query.get("offline_token") == ["true"]:
            answer["refresh_token"] = secrets.token_hex(16)
            self.server.refresh_tokens[answer["refresh_token"]] = user
        scopes = [one for text in query.get("scope", []) for one in text.split()]
        answer["token"] = self.server.grant(user, scopes)
        answer["expires_in"] = self.server.expires_in
        return self._answer(200, answer, {**query, "user": [user]})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        form = urllib.parse.parse_qs(data.decode())
        user = self.server.refresh_tokens.get(form.get("refresh_token", [""])[0], "")
        if form.get("grant_type") != ["refresh_token"] or not user:
            return self._answer(401, {"error": "invalid_grant"}, form)
        token = self.server.grant(user, form.get("scope", [""])[0].split())
        answer = {"access_token": token, "expires_in": self.server.expires_in}
        return self._answer(200, answer, {**form, "user": [user], "posted": ["yes"]})

    def _answer(self, status: int, document: dict[str, Any], request: dict[str, Any]) -> None:
        self.server.requests.append({"status": status, **request})
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def running(directory: str) -> Iterator[TokenServer]:
    """A token server with its key in `directory`."""
    server = TokenServer(directory)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
