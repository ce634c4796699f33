"""A registry that says what a test wants it to say: for what real ones never answer.

Manifests and blobs are plain dictionaries, whether they fit together or not. `faults` are
functions that are asked first: one that returns True has answered.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

from tests.support import images

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|tags)/(?P<rest>[^?]+)")
OCI = "application/vnd.oci.image"


class Registry(http.server.ThreadingHTTPServer):
    """The registry; `host` is what references call it."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        """media type and data, by tag and by digest"""
        self.uploads: dict[str, bytearray] = {}
        """what has arrived of blobs, by the upload"""
        self.faults: list[Callable[[Handler], bool]] = []
        self.ended = threading.Event()
        """for faults that wait"""
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    @property
    def host(self) -> str:
        """host:port"""
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        pass

    def put(self, data: bytes) -> str:
        """Keep a blob; its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return digest

    def put_manifest(
        self, tag: str, data: bytes, media_type: str = f"{OCI}.manifest.v1+json"
    ) -> str:
        """Keep a manifest under its digest and a tag; its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.manifests[tag] = self.manifests[digest] = (media_type, data)
        return digest

    def put_image(
        self, tag: str, layers: list[bytes], blobs: list[bytes] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Keep an image; its manifest. `blobs`: of the layers, where they are not plain tars.

        `more`: members of the config.
        """
        blobs = layers if blobs is None else blobs
        config = json.loads(images.config(layers))
        config.update(more)
        config_data = json.dumps(config).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": {
                "mediaType": f"{OCI}.config.v1+json",
                "digest": self.put(config_data),
                "size": len(config_data),
            },
            "layers": [
                {
                    "mediaType": f"{OCI}.layer.v1.tar" + ("" if blobs is layers else "+gzip"),
                    "digest": self.put(blob),
                    "size": len(blob),
                }
                for blob in blobs
            ],
        }
        self.put_manifest(tag, json.dumps(manifest).encode())
        return manifest

    def count(self, method: str, text: str) -> int:
        """How many requests had `text` in their path."""
        return sum(1 for verb, path, _ in self.requests if verb == method and text in path)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Registry

    def handle(self) -> None:
        # who begins with TLS would wait for an answer, as this waits for the end of a line
        if self.connection.recv(1, socket.MSG_PEEK) != b"\x16":
            super().handle()

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        if self._is_answered():
            return
        place = f"{self.path.partition('?')[0]}{len(self.server.uploads)}"
        self.server.uploads[place] = bytearray()
        self.answer(202, b"", {"Location": place})

    def do_PATCH(self) -> None:
        if self._is_answered():
            return None
        if self.path not in self.server.uploads:
            return self.answer(404, b'{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}')
        self.receive()
        return self.tell(202)

    def do_PUT(self) -> None:
        if self._is_answered():
            return None
        if "/manifests/" in self.path:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            name = self.path.rpartition("/")[2]
            digest = self.server.put_manifest(name, data, self.headers["Content-Type"])
            return self.answer(201, b"", {"Docker-Content-Digest": digest})
        place, _, query = self.path.partition("?")
        if place not in self.server.uploads:
            return self.answer(404, b'{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}')
        wanted = urllib.parse.parse_qs(query)["digest"][0]
        self.path = place
        self.receive()
        if self.server.put(bytes(self.server.uploads.pop(place))) != wanted:
            return self.answer(400, b'{"errors": [{"code": "DIGEST_INVALID"}]}')
        return self.answer(201, b"")

    def receive(self, *, stop: int | None = None) -> None:
        """Take the body into the upload, as it comes; `stop`: and no more than so many bytes."""
        left = int(self.headers.get("Content-Length", "0"))
        left = left if stop is None else min(left, stop)
        while left and (data := self.rfile.read1(min(left, 1 << 16))):
            self.server.uploads[self.path] += data
            left -= len(data)

    def tell(self, status: int) -> None:
        """How far the upload has got."""
        size = len(self.server.uploads[self.path])
        self.answer(status, b"", {"Location": self.path, "Range": f"0-{max(size - 1, 0)}"})

    def _is_answered(self) -> bool:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers))
        return any(fault(self) for fault in self.server.faults)

    def do_GET(self) -> None:
        if self._is_answered():
            return None
        if self.path in self.server.uploads:
            return self.tell(204)
        if self.path == "/v2/":
            return self.answer(200, b"{}")
        found = _PATH.fullmatch(self.path)
        if found is None:
            return self.answer(404, b"")
        rest = found["rest"]
        if found["kind"] == "blobs" and rest in self.server.blobs:
            return self.blob(rest)
        if found["kind"] == "manifests" and rest in self.server.manifests:
            media_type, data = self.server.manifests[rest]
            return self.answer(200, data, {"Content-Type": media_type})
        code = "MANIFEST_UNKNOWN" if found["kind"] == "manifests" else "BLOB_UNKNOWN"
        return self.answer(404, json.dumps({"errors": [{"code": code}]}).encode())

    def blob(self, digest: str, *, stop: int | None = None, ranges: bool = True) -> None:
        """Send a blob, from where it is asked for; `stop`: break off after so many bytes."""
        data = self.server.blobs[digest]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and ranges else 0
        headers = {"Content-Type": "application/octet-stream"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.answer(206 if start else 200, data[start:], headers, stop=stop)

    def answer(
        self,
        status: int,
        data: bytes,
        headers: dict[str, str] | None = None,
        *,
        stop: int | None = None,
    ) -> None:
        """Answer; `stop`: close the connection after so many bytes of the body."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(data if stop is None else data[:stop])
        if stop is not None:
            self.close_connection = True


@contextlib.contextmanager
def running() -> Iterator[Registry]:
    """A registry that has nothing yet."""
    server = Registry()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
