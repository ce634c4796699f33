from __future__ import annotations

import pytest

from proa.errors import InvalidArgument, NotFound, Unsupported
from proa.volume import local
from proa.volume.names import check_name, check_subpath, generate


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"type": "tmpfs", "device": "tmpfs"},
        {"type": "none", "device": "/srv", "o": "bind"},
        {"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1,rw"},
    ],
)
def test_what_the_driver_takes(options: dict[str, str]) -> None:
    local.check_options(options)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"typ": "nfs"}, InvalidArgument, 'invalid option: "typ"'),
        ({"type": "nfs"}, InvalidArgument, 'missing required option: "device"'),
        ({"device": "/x"}, InvalidArgument, 'missing required option: "type"'),
        ({"o": "ro"}, InvalidArgument, 'missing required option: "type"'),
        ({"type": "none", "o": "bind", "device": "x"}, InvalidArgument, "absolute path"),
        ({"size": "1g"}, Unsupported, "quotas"),
    ],
)
def test_what_it_refuses(options: dict[str, str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        local.check_options(options)


def test_kinds() -> None:
    tmpfs = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    bind = {"type": "none", "device": "/srv", "o": "rbind,ro"}
    disk = {"type": "ext4", "device": "/dev/sdz"}
    assert [local.is_mounted(item) for item in (tmpfs, bind, disk, {})] == [True, True, True, False]
    assert [local.is_bind(item) for item in (tmpfs, bind, disk, {})] == [False, True, False, False]
    assert [local.is_in_memory(item) for item in (tmpfs, bind, disk)] == [True, False, False]


@pytest.mark.parametrize(
    ("kind", "device", "data", "expected"),
    [
        ("nfs", ":/x", ("addr=10.0.0.1", "soft"), ("soft", "addr=10.0.0.1")),
        ("nfs", ":/x", ("addr=localhost",), ("addr=127.0.0.1",)),
        ("nfs4", "127.0.0.9:/x", ("vers=4.2",), ("vers=4.2", "addr=127.0.0.9")),
        ("nfs", "[::1]:/x", (), ("addr=::1",)),
        ("cifs", "//127.0.0.7/share", ("username=a",), ("username=a", "ip=127.0.0.7")),
        ("nfs", ":/x", (), ()),
        ("ext4", "/dev/sdz", ("addr=localhost",), ("addr=localhost",)),
    ],
)
def test_servers_by_address(
    kind: str, device: str, data: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    found = local._with_address(kind, device, data)
    assert tuple(item.replace("::1", "127.0.0.1") for item in found) == tuple(
        item.replace("::1", "127.0.0.1") for item in expected
    )


def test_a_server_that_nobody_knows() -> None:
    with pytest.raises(NotFound, match=r"cannot find the address of no\.such\.invalid"):
        local._with_address("nfs", "no.such.invalid:/x", ())


@pytest.mark.parametrize("name", ["data", "a1", "A_b.c-d", "0x", generate(), "x" * 255])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "x", ".a", "-a", "_a", "a b", "a/b", "é1", "a\n", "x" * 256])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InvalidArgument):
        check_name(name)


@pytest.mark.parametrize(
    ("path", "fits"),
    [("a/b", True), ("a/..b", True), ("", True), ("/a", False), ("../a", False), ("a/..", False)],
)
def test_parts(path: str, fits: bool) -> None:
    if fits:
        check_subpath(path)
    else:
        with pytest.raises(InvalidArgument, match="relative path within"):
            check_subpath(path)
