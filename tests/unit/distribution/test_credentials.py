from __future__ import annotations

import base64
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from proa.distribution.credentials import HUB_KEY, Credentials, CredentialStore
from proa.errors import CorruptData, InvalidArgument, Unavailable

_HELPER = """#!/bin/sh
read -r url
echo "$1 $url $*" >> "$0.calls"
case $1 in
get) case $url in
    helped.example) echo '{"ServerURL":"x","Username":"ann","Secret":"from the helper"}' ;;
    token.example) echo '{"ServerURL":"x","Username":"<token>","Secret":"refresh"}' ;;
    broken.example) echo 'no json' ;;
    failing.example) echo secret; exit 3 ;;
    *) echo 'credentials not found in native keychain'; exit 1 ;;
    esac ;;
esac
"""


@pytest.fixture
def store(tmp_path: Path) -> CredentialStore:
    return CredentialStore(str(tmp_path / "docker" / "config.json"))


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin" / "docker-credential-tests"
    path.parent.mkdir()
    path.write_text(_HELPER)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def write(store: CredentialStore, document: dict[str, Any]) -> None:
    os.makedirs(os.path.dirname(store.path), exist_ok=True)
    Path(store.path).write_text(json.dumps(document))


def entry(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def test_what_is_put_is_got_and_forgotten(store: CredentialStore) -> None:
    assert store.get("a.example") is None
    store.put("a.example", Credentials("ann", "pass:word"))
    assert store.get("a.example", "any/path") == Credentials("ann", "pass:word")
    assert store.get("b.example") is None
    assert store.forget("a.example") and not store.forget("a.example")
    assert store.get("a.example") is None


def test_the_file_is_docker_s_and_nobody_else_can_read_it(store: CredentialStore) -> None:
    write(store, {"psFormat": "x", "auths": {"b": entry("bob", "b")}})
    os.chmod(store.path, 0o644)
    store.put("docker.io", Credentials("ann", "secret"))
    document = json.loads(Path(store.path).read_text())
    assert document == {
        "psFormat": "x",
        "auths": {"b": entry("bob", "b"), HUB_KEY: entry("ann", "secret")},
    }
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600
    assert os.listdir(os.path.dirname(store.path)) == ["config.json"]


def test_a_token_is_kept_instead_of_a_password(store: CredentialStore) -> None:
    store.put("a.example", Credentials("ann", "", identity_token="refresh"))
    assert store.get("a.example") == Credentials("ann", "", identity_token="refresh")


def test_a_link_to_the_file_stays_one(store: CredentialStore, tmp_path: Path) -> None:
    write(store, {})
    target = tmp_path / "elsewhere.json"
    os.rename(store.path, target)
    os.symlink(target, store.path)
    store.put("a.example", Credentials("ann", "secret"))
    assert os.path.islink(store.path) and "a.example" in target.read_text()


@pytest.mark.parametrize(
    "key",
    [HUB_KEY, "docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io"],
)
def test_all_that_docker_s_registry_was_ever_called(store: CredentialStore, key: str) -> None:
    write(store, {"auths": {key: entry("ann", "secret")}})
    found = store.get("docker.io", "library/alpine")
    assert found is not None and found.username == "ann"


def test_keys_as_old_versions_wrote_them(store: CredentialStore) -> None:
    write(store, {"auths": {"https://a.example/v1/": entry("ann", "secret")}})
    assert store.get("a.example") == Credentials("ann", "secret")


def test_the_longest_path_counts(store: CredentialStore) -> None:
    auths = {name: entry(name, "x") for name in ("a.example", "a.example/x", "a.example/x/y")}
    write(store, {"auths": auths})

    def user(repository: str) -> str:
        found = store.get("a.example", repository)
        assert found is not None
        return found.username

    assert user("x/y") == "a.example/x/y"
    assert user("x/y/z") == "a.example/x/y"
    assert user("x/yy") == "a.example/x"
    assert user("z") == "a.example"


def test_helpers_are_asked_by_their_standard_input(store: CredentialStore, helper: Path) -> None:
    write(store, {"credHelpers": {"helped.example": "tests", "token.example": "tests"}})
    assert store.get("helped.example") == Credentials("ann", "from the helper")
    assert store.get("token.example") == Credentials(identity_token="refresh")
    assert store.get("other.example") is None
    calls = Path(f"{helper}.calls").read_text().splitlines()
    assert calls == ["get helped.example get", "get token.example get"]


def test_a_store_for_all_registries_and_what_it_lacks(store: CredentialStore, helper: Path) -> None:
    write(store, {"credsStore": "tests", "auths": {"plain.example": entry("bob", "b")}})
    assert store.get("helped.example") == Credentials("ann", "from the helper")
    assert store.get("plain.example") == Credentials("bob", "b")
    assert store.get("none.example") is None


def test_a_helper_keeps_secrets_out_of_the_file(store: CredentialStore, helper: Path) -> None:
    write(store, {"credsStore": "tests"})
    assert store.put("helped.example", Credentials("ann", "secret")) == "helper tests"
    assert json.loads(Path(store.path).read_text())["auths"] == {"helped.example": {}}
    assert "secret" in Path(f"{helper}.calls").read_text()  # on its standard input, only there
    assert store.forget("helped.example")
    assert json.loads(Path(store.path).read_text())["auths"] == {}
    assert "erase helped.example" in Path(f"{helper}.calls").read_text()


@pytest.mark.parametrize("domain", ["broken.example", "failing.example"])
def test_a_helper_that_fails_says_nothing_secret(
    store: CredentialStore, helper: Path, domain: str
) -> None:
    write(store, {"credsStore": "tests"})
    with pytest.raises(Unavailable, match="docker-credential-tests") as caught:
        store.get(domain)
    assert "secret" not in str(caught.value)


def test_a_helper_that_is_not_there(store: CredentialStore) -> None:
    write(store, {"credsStore": "nowhere"})
    with pytest.raises(Unavailable, match="no program docker-credential-nowhere"):
        store.get("a.example")
    write(store, {"credsStore": "../evil"})
    with pytest.raises(InvalidArgument):
        store.get("a.example")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": []}', '{"auths": {"a.example": {"auth": "c2Vj*cmV0"}}}']
)
def test_a_broken_file_is_named_and_not_quoted(store: CredentialStore, text: str) -> None:
    write(store, {})
    Path(store.path).write_text(text)
    with pytest.raises(CorruptData, match=r"config\.json") as caught:
        store.get("a.example")
    assert "c2Vj" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("ann", "pass", "token", "other"))
    assert "ann" in shown and not {"pass", "token,", "other"} & set(shown.split())
    assert "pass" not in shown and "other" not in shown


def test_several_processes_change_it_at_a_time(store: CredentialStore) -> None:
    names = [f"r{number}.example" for number in range(12)]
    threads = [
        threading.Thread(target=CredentialStore(store.path).put, args=(name, Credentials("u", "p")))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.get(name) for name in names)
