"""proa as `pip install` lays it out, made from the source tree in half a second.

Tests run the command that users get: the launcher, compiled modules, no source path on the
import path. A wheel built by pip would be the same files five seconds later; that the wheel
has this layout is what tests/unit/test_packaging.py shows.
"""

from __future__ import annotations

import compileall
import importlib.util
import os
import shutil
import stat
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPENDENCIES = (
    *("dnslib", "isal", "urllib3", "yaml", "zstandard"),
    # of the extra `registry`
    *("aiohttp", "aiohappyeyeballs", "aiosignal", "attr", "frozenlist", "idna", "multidict"),
    *("propcache", "typing_extensions", "yarl"),
)


def install(prefix: str) -> str:
    """Lay out proa under the new directory `prefix`; the path of its `bin` directory."""
    binaries = os.path.join(prefix, "bin")
    packages = os.path.join(
        prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages"
    )
    os.makedirs(binaries)
    os.makedirs(packages)
    for name in ("python3", f"python3.{sys.version_info[1]}"):
        os.symlink(os.path.realpath(sys.executable), os.path.join(binaries, name))
    shutil.copytree(
        os.path.join(REPOSITORY, "src", "proa"),
        os.path.join(packages, "proa"),
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in DEPENDENCIES:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, f"{name} is not installed"
        origin = spec.origin
        source = os.path.dirname(origin) if origin.endswith("/__init__.py") else origin
        os.symlink(source, os.path.join(packages, os.path.basename(source)))
    compileall.compile_dir(os.path.join(packages, "proa"), quiet=2)
    for name in ("proa", "proa-runtime"):
        _executable(
            os.path.join(binaries, name),
            _text(os.path.join(REPOSITORY, "src", "launch", name)),
        )
    # other users start it too: pytest's directories are 0700
    for directory in (prefix, os.path.dirname(prefix)):
        os.chmod(directory, 0o755)
    return binaries


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _executable(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
