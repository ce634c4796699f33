from __future__ import annotations

from pathlib import Path

import pytest

from proa.distribution.settings import Mirror, Settings
from proa.errors import InvalidArgument


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "registries.toml"
    path.write_text(text)
    return Settings.load({"PROA_REGISTRIES": str(path)})


def test_mirrors_and_insecure_registries(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[registry."docker.io"]\n'
        'mirrors = ["https://mirror.example.org", "http://10.0.0.1:5000/cache/v2/", "m:1"]\n'
        '[registry."10.0.0.1:5000"]\ninsecure = true\n',
    )
    assert settings.mirrors("docker.io") == (
        Mirror("https", "mirror.example.org"),
        Mirror("http", "10.0.0.1:5000", "/cache"),
        Mirror("https", "m:1"),
    )
    assert settings.mirrors("quay.io") == ()
    assert settings.is_insecure("10.0.0.1:5000") and not settings.is_insecure("10.0.0.1")


@pytest.mark.parametrize("domain", ["localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]:5000"])
def test_this_machine_is_insecure_without_being_named(domain: str) -> None:
    assert Settings({}).is_insecure(domain)


@pytest.mark.parametrize(
    "domain", ["docker.io", "localhost.example", "10.0.0.1:5000", "127.example"]
)
def test_others_are_not(domain: str) -> None:
    assert not Settings({}).is_insecure(domain)


def test_the_user_s_word_counts_more_than_the_system_s(tmp_path: Path) -> None:
    (tmp_path / "proa").mkdir()
    (tmp_path / "proa" / "registries.toml").write_text('[registry."a.example"]\ninsecure = true\n')
    assert Settings.load({"XDG_CONFIG_HOME": str(tmp_path)}).is_insecure("a.example")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[registry", "is not TOML"),
        ("[registries]\n", "'registries' is unknown"),
        ('[registry."a"]\nmirror = []\n', "'mirror' is unknown"),
        ('[registry."a"]\ninsecure = 1\n', "not true or false"),
        ('[registry."a"]\nmirrors = "m"\n', "not a list"),
        ('[registry."a"]\nmirrors = ["ftp://m"]\n', "is not a URL"),
        ('[registry."a"]\nmirrors = ["https://u:p@m"]\n', "is not a URL"),
        ('[registry."a"]\nmirrors = ["https://m:x"]\n', "is not a URL"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said) as caught:
        load(tmp_path, text)
    assert "registries.toml" in str(caught.value)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no such file"):
        Settings.load({"PROA_REGISTRIES": str(tmp_path / "none")})
