"""Our own registry, by its API (distribution-spec 1.1) and with clients that are not ours."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proa import Engine
from tests.registry.conftest import raw_manifest
from tests.support import images, registries
from tests.support.command import Command

pytestmark = pytest.mark.root

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of the first error."""
        return str(json.loads(self.body)["errors"][0]["code"])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """The API, request by request."""

    def __init__(self, host: str) -> None:
        self.host = host

    def __call__(self, method: str, path: str, data: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, data, named)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def blob(self, name: str, data: bytes, algorithm: str = "sha256") -> str:
        """Put a blob; its digest."""
        digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        begun = self("POST", f"/v2/{name}/blobs/uploads/")
        assert begun.status == 202
        done = self("PUT", f"{begun.headers['location']}?digest={digest}", data)
        assert done.status == 201, done.body
        return digest

    def image(self, name: str, reference: str, **more: Any) -> tuple[str, bytes]:
        """Put a small image, or an artifact; digest and data of its manifest."""
        config, layer = b"{}", json.dumps(more).encode()
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(EMPTY, self.blob(name, config), config),
            "layers": [_descriptor("application/x", self.blob(name, layer), layer)],
            **more,
        }
        data = json.dumps(document).encode()
        done = self("PUT", f"/v2/{name}/manifests/{reference}", data, Content_Type=MANIFEST)
        assert done.status == 201, done.body
        return done.headers["docker-content-digest"], data


def _descriptor(media_type: str, digest: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


@pytest.fixture
def served(proa: Command) -> Iterator[Client]:
    with registries.serving(proa) as host:
        yield Client(host)


def test_the_base_and_what_is_no_place(served: Client) -> None:
    for path in ("/v2/", "/v2"):
        assert served("GET", path).status == 200
    assert served("GET", "/v2/").headers["docker-distribution-api-version"] == "registry/2.0"
    for path in ("/", "/v1/search", "/v2/a", "/v2/a/b/c", "/v3/"):
        assert served("GET", path).status == 404
    assert served("POST", "/v2/a/manifests/1", b"{}").status == 405
    assert served("PATCH", "/v2/").status == 405


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_in_all_the_ways_it_can_come(served: Client, algorithm: str) -> None:
    def digest_of(data: bytes) -> str:
        return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"

    # POST and PUT
    data = b"first"
    begun = served("POST", "/v2/a/b/blobs/uploads/")
    place = begun.headers["location"]
    assert (begun.status, begun.headers["range"]) == (202, "0-0")
    done = served("PUT", f"{place}?digest={digest_of(data)}", data)
    assert done.status == 201
    assert done.headers["location"] == f"/v2/a/b/blobs/{digest_of(data)}"
    assert done.headers["docker-content-digest"] == digest_of(data)
    assert served("GET", done.headers["location"]).body == data
    # POST alone
    data = b"second"
    done = served("POST", f"/v2/a/b/blobs/uploads/?digest={digest_of(data)}", data)
    assert done.status == 201 and served("GET", done.headers["location"]).body == data
    # in pieces, the last one with PUT
    data = b"0123456789" * 1000
    place = served("POST", "/v2/a/b/blobs/uploads/").headers["location"]
    for start, end in ((0, 3000), (3000, 7000)):
        sent = served("PATCH", place, data[start:end], Content_Range=f"{start}-{end - 1}")
        assert (sent.status, sent.headers["range"]) == (202, f"0-{end - 1}")
        place = sent.headers["location"]
    asked = served("GET", place)
    assert (asked.status, asked.headers["range"]) == (204, "0-6999")
    done = served(
        "PUT", f"{place}?digest={digest_of(data)}", data[7000:], Content_Range="7000-9999"
    )
    assert done.status == 201 and served("GET", done.headers["location"]).body == data
    # as a stream of unknown length
    place = served("POST", "/v2/a/b/blobs/uploads/").headers["location"]
    connection = http.client.HTTPConnection(served.host, timeout=30)
    connection.request("PATCH", place, iter([b"stre", b"amed"]), encode_chunked=True)
    assert connection.getresponse().status == 202
    connection.close()
    done = served("PUT", f"{place}?digest={digest_of(b'streamed')}")
    assert done.status == 201 and served("GET", done.headers["location"]).body == b"streamed"


def test_pieces_out_of_order_and_wrong_digests(served: Client) -> None:
    place = served("POST", "/v2/a/blobs/uploads/").headers["location"]
    assert served("PATCH", place, b"0123", Content_Range="0-3").status == 202
    for text in ("2-5", "5-8", "4-9", "0-3", "x", "9-4"):
        refused = served("PATCH", place, b"4567", Content_Range=text)
        assert (refused.status, refused.headers["range"]) == (416, "0-3"), text
        assert refused.headers["location"] == place
    assert served("PATCH", place, b"4567", Content_Range="4-7").status == 202
    refused = served("PUT", f"{place}?digest=sha256:{'0' * 64}")
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    for digest in ("", "sha256:x", "md5:" + "0" * 32, "../../etc/passwd"):
        refused = served("PUT", f"{place}?digest={digest}")
        assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    assert served("PUT", place).status == 400
    good = hashlib.sha256(b"01234567").hexdigest()
    assert served("PUT", f"{place}?digest=sha256:{good}").status == 201
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        gone = served(method, f"{place}?digest=sha256:{good}")
        assert (gone.status, gone.code) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_is_its_repository_s_and_can_be_given_up(served: Client) -> None:
    place = served("POST", "/v2/a/blobs/uploads/").headers["location"]
    assert served("GET", place.replace("/v2/a/", "/v2/b/")).status == 404
    assert served("DELETE", place).status == 204
    assert served("GET", place).status == 404
    assert served("GET", "/v2/a/blobs/uploads/..%2f..%2fproa.db").status == 404


def test_an_upload_goes_on_after_the_connection_and_the_server_broke(
    proa: Command, tmp_path: Path
) -> None:
    data = os.urandom(3 << 20)
    with registries.serving(proa) as host:
        place = Client(host)("POST", "/v2/a/blobs/uploads/").headers["location"]
        with socket.create_connection(("127.0.0.1", int(host.partition(":")[2]))) as connection:
            head = f"PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
            connection.sendall(head.encode() + data[: 2 << 20])
    with registries.serving(proa) as host:
        client = Client(host)
        arrived = int(client("GET", place).headers["range"].partition("-")[2]) + 1
        assert 0 < arrived <= 2 << 20
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert client("PUT", f"{place}?digest={digest}", data[arrived:]).status == 201
        assert client("GET", f"/v2/a/blobs/{digest}").body == data


def test_a_server_that_is_killed_serves_nothing_half_written(proa: Command) -> None:
    data = os.urandom(8 << 20)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    process = proa.start("registry", "serve", "--listen", "127.0.0.1:0", stdin=None)
    with process:
        assert process.stdout is not None
        host = process.stdout.readline().decode().split()[-1]
        client = Client(host)
        place = client("POST", "/v2/a/blobs/uploads/").headers["location"]
        sender = threading.Thread(
            target=lambda: _ignoring(client, "PUT", f"{place}?digest={digest}", data)
        )
        sender.start()
        process.send_signal(signal.SIGKILL)
        sender.join()
    with registries.serving(proa) as host:
        client = Client(host)
        found = client("GET", f"/v2/a/blobs/{digest}")
        assert found.status == 404 or found.body == data
        assert client.blob("a", data) == digest


def _ignoring(client: Client, *arguments: Any) -> None:
    try:
        client(*arguments)
    except (OSError, http.client.HTTPException):
        pass


def test_ranges_and_conditions(served: Client) -> None:
    data = bytes(range(256)) * 40
    path = f"/v2/a/blobs/{served.blob('a', data)}"
    head = served("HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(data)))
    part = served("GET", path, Range="bytes=100-299")
    assert (part.status, part.body) == (206, data[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(data)}"
    assert served("GET", path, Range="bytes=10000-").body == data[10000:]
    assert served("GET", path, Range=f"bytes={len(data)}-").status == 416
    assert served("GET", path, If_None_Match=head.headers["etag"]).status == 304


def test_blobs_belong_to_repositories(served: Client) -> None:
    digest = served.blob("a", b"mine")
    unknown = served("GET", f"/v2/b/blobs/{digest}")
    assert (unknown.status, unknown.code) == (404, "BLOB_UNKNOWN")
    mounted = served("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a")
    assert mounted.status == 201 and served("HEAD", f"/v2/b/blobs/{digest}").status == 200
    # from wherever it is
    assert served("POST", f"/v2/c/blobs/uploads/?mount={digest}").status == 201
    # not from there: an upload begins instead
    begun = served("POST", f"/v2/d/blobs/uploads/?mount={digest}&from=none")
    assert begun.status == 202 and served("GET", begun.headers["location"]).status == 204
    assert served("DELETE", f"/v2/b/blobs/{digest}").status == 202
    assert served("GET", f"/v2/b/blobs/{digest}").status == 404
    assert served("DELETE", f"/v2/b/blobs/{digest}").status == 404
    assert served("GET", f"/v2/a/blobs/{digest}").body == b"mine"


def test_manifests_by_tag_and_digest(served: Client) -> None:
    digest, data = served.image("a/b", "1")
    for reference in ("1", digest):
        found = served("GET", f"/v2/a/b/manifests/{reference}")
        assert (found.status, found.body) == (200, data)
        assert found.headers["docker-content-digest"] == digest
        assert found.headers["content-type"] == MANIFEST
        head = served("HEAD", f"/v2/a/b/manifests/{reference}")
        assert head.headers["content-length"] == str(len(data)) and not head.body
    assert served("GET", "/v2/a/b/manifests/1", If_None_Match=f'"{digest}"').status == 304
    for reference in ("2", f"sha256:{'0' * 64}", "..", "-x", "x" * 129):
        missing = served("GET", f"/v2/a/b/manifests/{reference}")
        assert (missing.status, missing.code) == (404, "MANIFEST_UNKNOWN")
    # another one takes the tag, the digest stays
    other, _ = served.image("a/b", "1", annotations={"x": "y"})
    assert served("HEAD", "/v2/a/b/manifests/1").headers["docker-content-digest"] == other
    assert served("HEAD", f"/v2/a/b/manifests/{digest}").status == 200


def test_deletions(served: Client) -> None:
    digest, _ = served.image("a", "1")
    served.image("a", "2")
    assert served("DELETE", "/v2/a/manifests/1").status == 202
    assert served("GET", "/v2/a/manifests/1").status == 404
    assert served("GET", "/v2/a/manifests/2").status == 200
    assert served("DELETE", f"/v2/a/manifests/{digest}").status == 202
    for reference in ("2", digest):
        assert served("GET", f"/v2/a/manifests/{reference}").status == 404
        assert served("DELETE", f"/v2/a/manifests/{reference}").status == 404
    assert served("GET", "/v2/a/tags/list").json == {"name": "a", "tags": []}


def test_broken_manifests(served: Client) -> None:
    _, data = served.image("a", "1")
    good = json.loads(data)
    broken: dict[bytes, tuple[int, str]] = {
        b"": (400, "MANIFEST_INVALID"),
        b"[]": (400, "MANIFEST_INVALID"),
        b"{" * 50_000: (400, "MANIFEST_INVALID"),
        json.dumps({**good, "schemaVersion": 1}).encode(): (400, "MANIFEST_INVALID"),
        json.dumps({**good, "mediaType": INDEX}).encode(): (400, "MANIFEST_INVALID"),
        json.dumps({**good, "config": None}).encode(): (400, "MANIFEST_INVALID"),
        json.dumps({**good, "layers": [{"digest": "x"}]}).encode(): (400, "MANIFEST_INVALID"),
        json.dumps({**good, "layers": [_descriptor("a/b", f"sha256:{'0' * 64}", b"")]}).encode(): (
            404,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        data + b" " * (4 << 20): (413, "SIZE_INVALID"),
    }
    for body, expected in broken.items():
        refused = served("PUT", "/v2/a/manifests/new", body, Content_Type=MANIFEST)
        assert (refused.status, refused.code) == expected, body[:80]
    refused = served("PUT", f"/v2/a/manifests/sha256:{'0' * 64}", data, Content_Type=MANIFEST)
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    refused = served("PUT", "/v2/a/manifests/-x", data, Content_Type=MANIFEST)
    assert refused.status == 400
    assert served("GET", "/v2/a/tags/list").json["tags"] == ["1"]


def test_sparse_images_where_they_are_wanted(proa: Command) -> None:
    layer = _descriptor("application/x", f"sha256:{'0' * 64}", b"")
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": layer, "layers": [layer]}
    data = json.dumps(document).encode()
    with registries.serving(proa, "--sparse") as host:
        done = Client(host)("PUT", "/v2/a/manifests/1", data, Content_Type=MANIFEST)
        assert done.status == 201
        assert Client(host)("GET", "/v2/a/manifests/1").body == data


def test_sparse_indexes_and_tags_that_come_with_a_digest(served: Client) -> None:
    digest, data = served.image("a", "1")
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                _descriptor(MANIFEST, digest, data),
                _descriptor(MANIFEST, f"sha256:{'1' * 64}", b"elsewhere"),
            ],
        }
    ).encode()
    name = f"sha512:{hashlib.sha512(index).hexdigest()}"
    done = served("PUT", f"/v2/a/manifests/{name}?tag=x&tag=y", index, Content_Type=INDEX)
    assert (done.status, done.headers["docker-content-digest"]) == (201, name)
    assert "oci-tag" in done.headers
    for reference in ("x", "y", name):
        found = served("GET", f"/v2/a/manifests/{reference}")
        assert (found.body, found.headers["content-type"]) == (index, INDEX)


def test_pages_of_tags_and_of_the_catalog(served: Client) -> None:
    for tag in ("b", "a", "c"):
        served.image("x", tag)
    served.image("w", "1")
    assert served("GET", "/v2/x/tags/list").json == {"name": "x", "tags": ["a", "b", "c"]}
    page = served("GET", "/v2/x/tags/list?n=2")
    assert page.json["tags"] == ["a", "b"]
    link = re.fullmatch(r'<(.*)>; rel="next"', page.headers["link"])
    assert link is not None
    page = served("GET", link[1])
    assert page.json["tags"] == ["c"] and "link" not in page.headers
    assert served("GET", "/v2/x/tags/list?n=0").json["tags"] == []
    assert served("GET", "/v2/x/tags/list?last=b").json["tags"] == ["c"]
    assert served("GET", "/v2/x/tags/list?n=x").code == "PAGINATION_NUMBER_INVALID"
    assert served("GET", "/v2/_catalog").json == {"repositories": ["w", "x"]}
    assert served("GET", "/v2/_catalog?n=1&last=w").json == {"repositories": ["x"]}
    unknown = served("GET", "/v2/none/tags/list")
    assert (unknown.status, unknown.code) == (404, "NAME_UNKNOWN")


def test_referrers(served: Client) -> None:
    digest, data = served.image("a", "1")
    path = f"/v2/a/referrers/{digest}"
    nothing = served("GET", path)
    assert nothing.headers["content-type"] == INDEX
    assert nothing.json == {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    subject = _descriptor(MANIFEST, digest, data)
    signature, signed = served.image(
        "a", "sig", subject=subject, artifactType="application/sig", annotations={"by": "me"}
    )
    done = served("PUT", "/v2/a/manifests/sig", signed, Content_Type=MANIFEST)
    assert done.headers["oci-subject"] == digest
    # by the type of its config, and of a subject that is not there
    other, _ = served.image("a", "other", subject=subject)
    absent = {**subject, "digest": f"sha256:{'2' * 64}"}
    served.image("a", "early", subject=absent)
    found = served("GET", path).json["manifests"]
    assert {entry["digest"]: entry["artifactType"] for entry in found} == {
        signature: "application/sig",
        other: EMPTY,
    }
    filtered = served("GET", f"{path}?artifactType=application/sig")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    (entry,) = filtered.json["manifests"]
    assert entry["annotations"] == {"by": "me"} and entry["size"] == len(signed)
    assert len(served("GET", f"/v2/a/referrers/{absent['digest']}").json["manifests"]) == 1
    assert served("GET", "/v2/a/referrers/x").status == 400
    served("DELETE", f"/v2/a/manifests/{signature}")
    assert len(served("GET", path).json["manifests"]) == 1


@pytest.mark.parametrize(
    "name", ["A", "a//b", "../a", "a/../b", "a/./b", "a%2fb", ".a", "a-", "a/", "x" * 256, "a b"]
)
def test_names_that_are_none(served: Client, name: str) -> None:
    path = name.replace(" ", "%20")
    for method, rest in (("GET", "manifests/1"), ("POST", "blobs/uploads/"), ("GET", "tags/list")):
        refused = served(method, f"/v2/{path}/{rest}")
        assert (refused.status, refused.code) == (400, "NAME_INVALID")


def test_the_engine_s_images_are_served_from_where_they_are(proa: Command, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(images.oci_archive([images.busybox_layer()], "tools/shell:1"))
    proa("load", "-i", str(archive))
    proa("tag", "tools/shell:1", "shell")
    with Engine(proa.root) as engine:
        before = list(engine.store.blobs.list())
    with registries.serving(proa) as host:
        client = Client(host)
        assert client("GET", "/v2/_catalog").json["repositories"] == [
            "library/shell",
            "tools/shell",
        ]
        assert client("GET", "/v2/tools/shell/tags/list").json["tags"] == ["1"]
        other = Command(proa.path, str(tmp_path / "other"), environment=proa.environment)
        assert other("run", "--rm", f"{host}/tools/shell:1", "echo", "ran").stdout == "ran\n"
        registries.copy(f"docker://{host}/shell:latest", f"dir:{tmp_path}/copied")
        digest = client("HEAD", "/v2/shell/manifests/latest").headers["docker-content-digest"]
        assert client("HEAD", f"/v2/library/shell/manifests/{digest}").status == 200
        refused = client("DELETE", "/v2/tools/shell/manifests/1")
        assert (refused.status, refused.code) == (405, "UNSUPPORTED")
    with Engine(proa.root) as engine:
        assert list(engine.store.blobs.list()) == before


def test_what_was_pushed_stays_while_others_collect(proa: Command, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(images.docker_archive([images.busybox_layer()], "image:1"))
    pusher = Command(proa.path, str(tmp_path / "pusher"), environment=proa.environment)
    pusher("load", "-i", str(archive))
    with registries.serving(proa) as host:
        pusher("tag", "image:1", f"{host}/pushed:1")
        for _ in range(3):
            pusher("push", "-q", f"{host}/pushed:1")
            proa("image", "prune", "-af")
        data = raw_manifest(f"{host}/pushed:1")
        # into the very store that serves it
        proa("run", "--rm", f"{host}/pushed:1", "true")
        proa("rmi", f"{host}/pushed:1")
        assert raw_manifest(f"{host}/pushed:1") == data
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        client = Client(host)
        layer = json.loads(data)["layers"][0]["digest"]
        client("DELETE", f"/v2/pushed/manifests/{digest}")
        for entry in (layer, json.loads(data)["config"]["digest"]):
            client("DELETE", f"/v2/pushed/blobs/{entry}")
    # what nobody refers to goes, once something is removed
    (tmp_path / "x.tar").write_bytes(images.docker_archive([images.layer([])], "x:1"))
    proa("load", "-i", str(tmp_path / "x.tar"))
    proa("rmi", "x:1")
    with Engine(proa.root) as engine:
        assert list(engine.store.blobs.list()) == []


def test_pushing_and_collecting_at_the_same_time(proa: Command) -> None:
    with registries.serving(proa) as host:
        client = Client(host)
        ended = threading.Event()
        failures: list[str] = []

        def push(number: int) -> None:
            try:
                for round in range(15):
                    client.image(f"r{number}", str(round), annotations={"n": f"{number}/{round}"})
            except AssertionError as error:
                failures.append(str(error))

        def collect() -> None:
            while not ended.is_set():
                proa("image", "prune", "-af")
                with Engine(proa.root) as engine:
                    from proa.store.collect import collect as work

                    work(engine.store)

        collecting = threading.Thread(target=collect)
        pushing = [threading.Thread(target=push, args=(number,)) for number in range(3)]
        for thread in (collecting, *pushing):
            thread.start()
        for thread in pushing:
            thread.join()
        ended.set()
        collecting.join()
        assert not failures
        for number in range(3):
            for round in range(15):
                found = client("GET", f"/v2/r{number}/manifests/{round}")
                assert found.status == 200
                for layer in found.json["layers"]:
                    assert client("GET", f"/v2/r{number}/blobs/{layer['digest']}").status == 200


def test_two_pushes_of_one_tag_at_once(served: Client) -> None:
    threads = [
        threading.Thread(
            target=served.image, args=("a", "1"), kwargs={"annotations": {"n": str(n)}}
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = served("GET", "/v2/a/manifests/1")
    assert found.headers["docker-content-digest"] == (
        f"sha256:{hashlib.sha256(found.body).hexdigest()}"
    )


def test_addresses(proa: Command) -> None:
    for address, said in (("x", "is not an address"), ("127.0.0.1:99999", "is not an address")):
        assert said in proa("registry", "serve", "--listen", address, code=1).stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = proa("registry", "serve", "--listen", address, code=1)
        assert f"cannot listen on {address}: address already in use" in refused.stderr.lower()


@pytest.mark.skipif(shutil.which("podman") is None, reason="no podman: install it")
def test_podman_pushes_and_pulls(served: Client, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(images.docker_archive([images.busybox_layer()], "image:1"))
    # its directories have short names: sockets lie in them
    place = tempfile.mkdtemp(prefix="podman-")
    podman = [
        *("podman", f"--root={place}/root", f"--runroot={place}/run", f"--tmpdir={place}/tmp"),
        *("--storage-driver=vfs", "--events-backend=file", "--cgroup-manager=cgroupfs"),
    ]
    name = f"{served.host}/podman:1"
    for command in (
        ["load", "-q", "-i", str(archive)],
        ["push", "-q", "--tls-verify=false", "image:1", name],
        ["rmi", "image:1"],
        ["pull", "-q", "--tls-verify=false", name],
    ):
        subprocess.run([*podman, *command], check=True, capture_output=True)
    subprocess.run([*podman, "rmi", "-af"], check=True, capture_output=True)
    shutil.rmtree(place)
