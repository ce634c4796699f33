"""Programs of the host that some commands call."""

from __future__ import annotations

import glob
import os
import shutil

from proa.engine.check.finding import LIMITED, OK, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# any of them → (what does not work without, the package)
_PROGRAMS: tuple[tuple[str, Sequence[str], str, str], ...] = (
    (
        "init",
        ("catatonit", "docker-init", "tini"),
        "--init in less than 3 MB for each container",
        "catatonit",
    ),
    ("nft", ("nft",), "bridge networks and published ports, which are to come", "nftables"),
    ("pasta, slirp4netns", ("pasta", "slirp4netns"), "networks of ordinary users", "passt"),
    ("mmdebstrap", ("mmdebstrap",), "proa image bootstrap debian:…", "mmdebstrap"),
    ("busybox", ("busybox",), "proa image bootstrap busybox, offline", "busybox-static"),
)
_DIRECTORIES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec"


def findings() -> Iterator[Finding]:
    """The findings."""
    for name, wanted, use, package in _PROGRAMS:
        found = [path for item in wanted if (path := shutil.which(item, path=_search_path()))]
        if found:
            yield Finding(name, OK, found[0])
        else:
            yield Finding(
                name,
                LIMITED,
                "not installed",
                f"does not work: {use}",
                f"apt-get install {package}",
            )
    yield _emulators()


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:{_DIRECTORIES}"


def _emulators() -> Finding:
    names = sorted(
        os.path.basename(path).removeprefix("qemu-")
        for path in glob.glob("/proc/sys/fs/binfmt_misc/qemu-*")
    )
    if names:
        return Finding("other architectures", OK, ", ".join(names))
    return Finding(
        "other architectures",
        LIMITED,
        "no emulator is registered",
        "images of other architectures do not run",
        "apt-get install qemu-user-static binfmt-support",
    )
