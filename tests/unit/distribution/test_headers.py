from __future__ import annotations

import pytest

from proa.distribution.headers import (
    Challenge,
    challenges,
    content_range,
    media_type,
    next_page,
    received,
    retry_after,
)


def test_a_bearer_challenge_as_docker_hub_sends_it() -> None:
    value = (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
        'scope="repository:library/alpine:pull,push"'
    )
    assert challenges([value]) == [
        Challenge(
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:library/alpine:pull,push",
            },
        )
    ]


@pytest.mark.parametrize(
    "values",
    [
        ['Basic realm="a, b", Bearer realm="https://t", service = s'],
        ['Basic realm="a, b"', 'Bearer realm="https://t",service=s'],
        [', ,BASIC  Realm="a, b" , bEARER realm="https://t" ,, service="s",'],
    ],
)
def test_several_challenges_in_one_header_or_in_several(values: list[str]) -> None:
    assert challenges(values) == [
        Challenge("basic", {"realm": "a, b"}),
        Challenge("bearer", {"realm": "https://t", "service": "s"}),
    ]


def test_data_without_a_name_is_passed_over() -> None:
    assert challenges(["Negotiate YWJj==, Basic realm=x"]) == [
        Challenge("negotiate", {}),
        Challenge("basic", {"realm": "x"}),
    ]


def test_quotes_within_quotes() -> None:
    assert challenges([r'Basic realm="a\"b\\c"'])[0].parameters == {"realm": 'a"b\\c'}


@pytest.mark.parametrize("value", ["", '"', "=", 'Basic realm="open', "Bearer realm", "Basic,"])
def test_broken_challenges_have_no_parameters(value: str) -> None:
    assert all(not challenge.parameters for challenge in challenges([value]))


def test_content_ranges() -> None:
    assert content_range("bytes 5-9/10") == (5, 9, 10)
    assert content_range("bytes 5-9/*") == (5, 9, None)
    for text in (None, "", "bytes */10", "bytes 9-5/10", "bytes 0-9/5", "lines 0-1/2", "bytes 1-"):
        assert content_range(text) is None


def test_how_much_of_an_upload_has_arrived() -> None:
    assert received("0-1023") == 1024
    assert received("bytes=0-9") == 10
    assert received("0-0") == 0
    for text in (None, "", "5-9", "0-", "-9", "0-99999999999999999999"):
        assert received(text) is None


def test_retry_after_in_seconds_and_as_a_date() -> None:
    assert retry_after("7") == 7
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now=1445412470) == 10
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now=1445412490) == 0
    for text in (None, "", "soon", "-3", "1e9"):
        assert retry_after(text) is None


def test_the_next_page() -> None:
    assert next_page('</v2/a/tags/list?last=b&n=2>; rel="next"') == "/v2/a/tags/list?last=b&n=2"
    assert next_page("<b>; rel=prev,<c>; rel=next") == "c"
    for text in (None, "", "</x>", '</x>; rel="prev"', "nonsense"):
        assert next_page(text) is None


def test_media_types_have_no_parameters() -> None:
    assert media_type("Application/JSON; charset=utf-8") == "application/json"
