from __future__ import annotations

import pytest

from proa.distribution.proxies import proxy_for

PROXY = "http://proxy:3128"


def found(url: str, **environment: str) -> str | None:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    return proxy_for(scheme, host, int(port), environment)


def test_the_proxy_of_the_scheme_in_upper_or_lower_case() -> None:
    assert found("https://a.example:443", HTTPS_PROXY=PROXY) == PROXY
    assert found("https://a.example:443", https_proxy="proxy:1") == "http://proxy:1"
    assert found("http://a.example:80", HTTPS_PROXY=PROXY) is None
    assert found("http://a.example:80", http_proxy=PROXY) == PROXY


@pytest.mark.parametrize(
    "entries",
    [
        "*",
        "a.example",
        "example",
        ".example",
        "*.example",
        "other, a.example:5000",
        "10.0.0.0/8,EXAMPLE",
    ],
)
def test_excluded_names(entries: str) -> None:
    assert found("http://a.example:5000", HTTP_PROXY=PROXY, NO_PROXY=entries) is None


@pytest.mark.parametrize("entries", ["", "a.example:80", ".a.example", "xample", "10.0.0.0/8"])
def test_names_that_are_not_excluded(entries: str) -> None:
    assert found("http://a.example:5000", HTTP_PROXY=PROXY, NO_PROXY=entries) == PROXY


def test_addresses_and_networks() -> None:
    for entries in ("10.1.2.3", "10.0.0.0/8", "10.1.2.3:5000"):
        assert found("http://10.1.2.3:5000", HTTP_PROXY=PROXY, NO_PROXY=entries) is None
    assert found("http://10.1.2.3:5000", HTTP_PROXY=PROXY, NO_PROXY="11.0.0.0/8") == PROXY


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_is_reached_directly(host: str) -> None:
    assert found(f"http://{host}:5000", HTTP_PROXY=PROXY) is None
