"""The peers' programs: the system's own, or Debian's packages unpacked beside the project.

Packages are only unpacked, never installed: installing docker.io would start a daemon.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from dataclasses import dataclass

PACKAGES = {"dockerd": "docker.io", "podman": "podman", "crun": "crun", "runc": "runc"}
"""The package that has the program."""

_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"


@dataclass(frozen=True)
class Programs:
    """Where to find programs."""

    root: str
    """Directory that packages were unpacked in; it may be missing."""

    def find(self, name: str) -> str | None:
        """The path of a program, or None.

        A program of the distribution goes before one in /usr/local: the parts of a peer are to
        be of the same release.
        """
        return shutil.which(name, path=self._path())

    def environment(self) -> dict[str, str]:
        """The environment in which the programs find one another and their libraries."""
        env = {
            "PATH": self._path(),
            "HOME": os.environ.get("HOME", "/root"),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }
        libraries = [
            path
            for pattern in ("usr/lib/*-linux-gnu", "lib/*-linux-gnu")
            for path in self._in(pattern)
        ]
        if libraries:
            env["LD_LIBRARY_PATH"] = ":".join(libraries)
        for path in self._in("usr/share/containers/containers.conf"):
            env["CONTAINERS_CONF"] = path
        return env

    def configuration(self) -> str | None:
        """The unpacked packages' /etc, or None."""
        return next(iter(self._in("etc")), None)

    def _path(self) -> str:
        unpacked = ("usr/sbin", "usr/bin", "sbin", "bin", "usr/libexec/podman", "usr/lib/podman")
        return ":".join([_SYSTEM_PATH, *(path for name in unpacked for path in self._in(name))])

    def _in(self, pattern: str) -> list[str]:
        return sorted(glob.glob(os.path.join(glob.escape(self.root), pattern)))


def prepare(cache: str) -> tuple[Programs, dict[str, str]]:
    """Find the peers' programs, and fetch into `cache` those that are missing.

    Gives the programs and, by program, why one is not to be had.
    """
    programs = Programs(os.path.join(cache, "root"))
    missing = {name: package for name, package in PACKAGES.items() if not programs.find(name)}
    reasons: dict[str, str] = {}
    for name, package in missing.items():
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            reasons[name] = "it is not installed, and there is no apt-get to fetch it with"
            continue
        print(f"fetching {package}, to be unpacked in {programs.root} and not installed")
        try:
            _unpack(package, cache, programs.root)
        except subprocess.CalledProcessError as error:
            told = (error.stderr or b"").decode(errors="replace").strip().splitlines()
            reasons[name] = f"apt-get does not give {package}: {told[-1] if told else error}"
    return programs, reasons


def _unpack(package: str, cache: str, root: str) -> None:
    """Fetch a package with all it depends on that the system lacks, and unpack them."""
    debs = os.path.join(cache, "debs")
    os.makedirs(debs, exist_ok=True)
    os.makedirs(root, exist_ok=True)
    plan = subprocess.run(
        ["apt-get", "install", "--simulate", "--no-install-recommends", package],
        check=True,
        capture_output=True,
    )
    names = [
        line.split()[1] for line in plan.stdout.decode().splitlines() if line.startswith("Inst ")
    ]
    subprocess.run(["apt-get", "download", *names], check=True, capture_output=True, cwd=debs)
    for deb in glob.glob(os.path.join(glob.escape(debs), "*.deb")):
        subprocess.run(["dpkg", "-x", deb, root], check=True, capture_output=True)
        os.unlink(deb)
