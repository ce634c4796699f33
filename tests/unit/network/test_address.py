from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proa.errors import InvalidArgument
from proa.network.address import free_address, mac_bytes, packed, subnet, unpacked


@given(st.ip_addresses(), st.integers(0, 128))
def test_subnets_are_those_of_the_standard_library(address: object, prefix: int) -> None:
    text = f"{address}/{min(prefix, 32 if '.' in str(address) else 128)}"
    ours, theirs = subnet(text), ipaddress.ip_network(text, strict=False)
    assert ipaddress.ip_network(str(ours)) == theirs
    assert ours.size == theirs.num_addresses
    assert ours.contains(packed(str(address)))


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4), st.integers(0, 32))
def test_overlaps(first: object, length: int, second: object, other: int) -> None:
    one, two = f"{first}/{length}", f"{second}/{other}"
    expected = ipaddress.ip_network(one, strict=False).overlaps(
        ipaddress.ip_network(two, strict=False)
    )
    assert subnet(one).overlaps(subnet(two)) == expected


def test_the_lowest_free_address() -> None:
    whole = subnet("10.0.0.0/29")
    taken = [packed(f"10.0.0.{number}") for number in (1, 3, 2)]
    assert free_address(whole, taken, whole) == packed("10.0.0.4")
    assert free_address(subnet("10.0.0.4/31"), taken, whole) == packed("10.0.0.4")
    full = [packed(f"10.0.0.{number}") for number in range(1, 7)]
    assert free_address(whole, full, whole) is None, "the broadcast address is no host's"
    pair = subnet("10.0.0.0/31")
    assert free_address(pair, [], pair) == packed("10.0.0.0")
    six = subnet("fd00::/64")
    assert unpacked(free_address(six, [packed("fd00::1")], six) or b"") == "fd00::2"


@pytest.mark.parametrize("text", ["", "x", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/x"])
def test_what_is_no_subnet(text: str) -> None:
    with pytest.raises(InvalidArgument):
        subnet(text)


def test_mac_addresses() -> None:
    assert mac_bytes("02:42:AC:11:00:02") == bytes.fromhex("0242ac110002")
    for text in ("", "02:42", "02:42:ac:11:00:zz", "024:2:ac:11:00:02"):
        with pytest.raises(InvalidArgument, match="is not a valid mac address"):
            mac_bytes(text)
