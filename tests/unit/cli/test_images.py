"""The commands about images."""

from __future__ import annotations

import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proa.errors import ImageNotFound
from tests.unit.cli.support import Proa

NOW = 1_769_861_000 * 10**9
DIGEST = "sha256:" + "e" * 64


def image(id: str, **facts: Any) -> Any:
    return SimpleNamespace(
        id=f"sha256:{id * 64}",
        tags=tuple(facts.get("RepoTags", ())),
        attrs={"Id": f"sha256:{id * 64}"},
        summary={
            "Id": f"sha256:{id * 64}",
            "RepoTags": [],
            "RepoDigests": [],
            "Created": 1_768_867_200,
            "Size": 7_800_000,
            **facts,
        },
        history=lambda: [
            {"Id": f"sha256:{id * 64}", "Created": NOW // 10**9 - 100, "Size": 0, "Comment": "",
             "CreatedBy": '/bin/sh -c #(nop)  CMD ["/bin/sh"] and more than that'},
            {"Id": "<missing>", "Created": NOW // 10**9 - 400, "Size": 7_800_000,
             "Comment": "buildkit", "CreatedBy": "ADD\tfile"},
        ],
    )  # fmt: skip


class FakeImages:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.all = [
            image(
                "c", RepoTags=["alpine:3.20", "host:5000/a/b:1"], RepoDigests=[f"alpine@{DIGEST}"]
            ),
            image("f", Created=0, Size=999),
        ]

    def list(self, **options: Any) -> list[Any]:
        self.calls.append(("list", options))
        return self.all

    def get(self, name: str) -> Any:
        if name != "alpine":
            raise ImageNotFound(f"no such image: {name}")
        return self.all[0]

    def tag(self, source: str, target: str) -> None:
        self.calls.append(("tag", source, target))

    def remove(self, name: str, **options: Any) -> list[dict[str, str]]:
        self.get(name)
        return [{"Untagged": "alpine:3.20"}, {"Deleted": "sha256:c"}]

    def load(self, stream: Any, **options: Any) -> list[Any]:
        options.pop("renamed")
        self.calls.append(("load", stream.read(), options))
        return self.all

    def save(self, names: list[str], stream: Any, **options: Any) -> None:
        for name in names:
            self.get(name)
        stream.write(b"archive")

    def import_(self, stream: Any, reference: str | None, **options: Any) -> Any:
        self.calls.append(("import", stream.read(), reference, options))
        return self.all[1]


@pytest.fixture
def stocked(proa: Proa, monkeypatch: pytest.MonkeyPatch) -> Proa:
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    proa.engine.images = FakeImages()
    return proa


def test_images(stocked: Proa) -> None:
    assert stocked("images") == 0
    assert stocked.out == (
        "REPOSITORY      TAG       IMAGE ID       CREATED       SIZE\n"
        "alpine          3.20      cccccccccccc   11 days ago   7.8MB\n"
        "host:5000/a/b   1         cccccccccccc   11 days ago   7.8MB\n"
        "<none>          <none>    ffffffffffff   N/A           999B\n"
    )


def test_images_otherwise(stocked: Proa) -> None:
    stocked("images", "-q")
    assert stocked.out == "cccccccccccc\ncccccccccccc\nffffffffffff\n"
    stocked("images", "--digests", "--no-trunc", "--format", "{{.Repository}} {{.Digest}} {{.ID}}")
    assert stocked.out.splitlines()[0] == f"alpine {DIGEST} sha256:{'c' * 64}"
    stocked("image", "ls", "-f", "dangling=true", "al*")
    assert stocked.engine.images.calls[-1] == (
        "list", {"filters": {"dangling": ["true"], "reference": ["al*"]}, "all": False}
    )  # fmt: skip
    assert stocked("images", "-f", "foo=bar") == 1


def test_history(stocked: Proa) -> None:
    stocked("history", "alpine")
    assert stocked.out == (
        "IMAGE          CREATED              CREATED BY                                      "
        "SIZE      COMMENT\n"
        'cccccccccccc   About a minute ago   /bin/sh -c #(nop)  CMD ["/bin/sh"] and more …   '
        "0B        \n"
        "<missing>      6 minutes ago        ADD file                                        "
        "7.8MB     buildkit\n"
    )
    stocked("history", "-q", "alpine")
    assert stocked.out == "cccccccccccc\n<missing>\n"
    stocked("history", "--human=false", "--format", "{{.CreatedAt}} {{.Size}}", "alpine")
    assert stocked.out.splitlines()[1] == "2026-01-31T11:56:40Z 7800000"


def test_tag_and_rmi(stocked: Proa) -> None:
    assert stocked("tag", "alpine", "mine:1") == 0
    assert stocked.engine.images.calls == [("tag", "alpine", "mine:1")]
    assert stocked("rmi", "gone", "alpine") == 1
    assert stocked.out == "Untagged: alpine:3.20\nDeleted: sha256:c\n"
    assert stocked.err == "proa: no such image: gone\n"
    assert stocked("rmi", "-f", "gone") == 0


def test_load(stocked: Proa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"tar")
    assert stocked("load", "-i", str(archive), "--platform", "linux/arm64") == 0
    assert stocked.engine.images.calls == [("load", b"tar", {"platform": "linux/arm64"})]
    assert stocked.out == (
        f"Loaded image: alpine:3.20\nLoaded image: host:5000/a/b:1\n"
        f"Loaded image ID: sha256:{'f' * 64}\n"
    )
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"piped")))
    monkeypatch.setattr("os.isatty", lambda _fd: False)
    assert stocked("load", "-q") == 0
    assert stocked.engine.images.calls[-1][1] == b"piped"
    assert not stocked.out
    monkeypatch.setattr("os.isatty", lambda _fd: True)
    assert stocked("load") == 125
    assert stocked("load", "-i", str(tmp_path / "gone")) == 1
    assert stocked.err == f"proa: {tmp_path}/gone: no such file or directory\n"


def test_save(stocked: Proa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.tar"
    assert stocked("save", "-o", str(target), "alpine") == 0
    assert target.read_bytes() == b"archive"
    target.write_bytes(b"former")
    assert stocked("save", "-o", str(target), "alpine", "gone") == 1
    assert target.read_bytes() == b"former", "half an archive must not have the name"
    assert [path.name for path in tmp_path.iterdir()] == ["out.tar"]
    assert stocked("save", "-o", str(tmp_path / "no" / "x"), "alpine") == 125
    assert "does not exist" in stocked.err
    assert stocked("save", "-o", str(tmp_path), "alpine") == 125
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=out))
    monkeypatch.setattr("os.isatty", lambda _fd: False)
    assert stocked("save", "alpine") == 0
    assert out.getvalue() == b"archive"
    monkeypatch.setattr("os.isatty", lambda _fd: True)
    assert stocked("save", "alpine") == 125


def test_import(stocked: Proa, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(b"tar")
    assert (
        stocked("import", "-c", 'CMD ["sh"]', "-c", "ENV A=1", "-m", "hi", str(archive), "mine:1")
        == 0
    )
    assert stocked.out == f"sha256:{'f' * 64}\n"
    assert stocked.engine.images.calls == [
        ("import", b"tar", "mine:1",
         {"changes": ['CMD ["sh"]', "ENV A=1"], "message": "hi", "platform": None})
    ]  # fmt: skip
    assert stocked("import", "https://example.org/x.tar") == 1
    assert "curl" in stocked.err


def test_inspect_finds_what_there_is(stocked: Proa) -> None:
    stocked.engine.containers.add("web", attrs={"Id": "container"})
    assert stocked("inspect", "-f", "{{.Id}}", "web", "alpine", "gone") == 1
    assert stocked.out == f"container\nsha256:{'c' * 64}\n"
    assert stocked.err.startswith("proa: no such object: gone")
    assert stocked("inspect", "--type", "image", "web") == 1
    assert stocked("inspect", "--type", "volume", "x") == 1
    assert stocked("inspect", "--type", "foo", "x") == 1
