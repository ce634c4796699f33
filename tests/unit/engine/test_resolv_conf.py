from __future__ import annotations

from proa.engine.resolv_conf import reachable, rewritten, values

HOST = "# comment\nsearch corp.example\nnameserver 127.0.0.1\nnameserver 9.9.9.9\noptions ndots:2\n"


def none() -> str:
    raise AssertionError("nobody asked for systemd-resolved's file")


def test_the_host_s_loopback_is_not_the_container_s() -> None:
    assert reachable(HOST, resolved=none) == HOST.replace("nameserver 127.0.0.1\n", "")
    assert reachable("nameserver ::1\nsearch a\n", resolved=none) == "search a\n"
    plain = "nameserver 10.0.0.1\n"
    assert reachable(plain, resolved=none) == plain


def test_behind_the_stub_of_systemd_resolved_are_its_servers() -> None:
    stub = "nameserver 127.0.0.53\noptions edns0\n"
    assert reachable(stub, resolved=lambda: "nameserver 1.2.3.4\n") == "nameserver 1.2.3.4\n"
    assert reachable(stub, resolved=lambda: "") == "options edns0\n"


def test_what_the_user_does_not_say_is_the_host_s() -> None:
    host = HOST.replace("nameserver 127.0.0.1\n", "")
    assert rewritten(host, ("1.1.1.1",), (), ()) == (
        "search corp.example\nnameserver 1.1.1.1\noptions ndots:2\n"
    )
    assert rewritten(host, (), ("a", "b"), ()) == (
        "search a b\nnameserver 9.9.9.9\noptions ndots:2\n"
    )
    assert rewritten(host, (), (".",), ("rotate",)) == "nameserver 9.9.9.9\noptions rotate\n"
    assert rewritten("", (), (), ("rotate",)) == "options rotate\n"


def test_values_of_a_keyword() -> None:
    text = "nameserver\t1.1.1.1  # not a comment here\nnameserver\n  search a  b\n;search c\n"
    assert values(text, "nameserver") == ["1.1.1.1"]
    assert values(text, "search") == ["a b"]
