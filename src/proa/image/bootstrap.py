"""Base images without any registry: from the host's own package sources."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument, NotFound, Unavailable, Unsupported
from proa.image.import_rootfs import import_rootfs
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from proa.store.images import ImageRecord
    from proa.store.store import Store

_BUSYBOX = ("/bin/busybox", "/usr/bin/busybox")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SOURCES = "/etc/apt"
_KINDS = ("busybox", "debian", "ubuntu")
_POCKETS = ("", "-updates", "-security")


def bootstrap(
    store: Store, name: str, *, progress: Callable[[str], None] = lambda _: None
) -> ImageRecord:
    """Make the image `name`: `busybox`, `debian[:SUITE]` or `ubuntu[:SUITE]`.

    busybox is made of the host's statically linked one, or of the package busybox-static; the
    others by mmdebstrap, from the host's apt sources for that suite. Without a suite it is the
    host's, tagged `latest`. `progress` gets lines of what is being done.

    Raises InvalidArgument, Unsupported (says which package to install), Unavailable (the package
    sources do not answer), NoSpace.
    """
    reference = Reference.parse(name)
    kind = reference.path.rpartition("/")[2]
    if kind not in _KINDS or reference.digest is not None:
        raise InvalidArgument(
            f"cannot bootstrap {name!r}: give busybox, debian:SUITE or ubuntu:SUITE"
        )
    target = str(reference.with_default_tag())
    if kind == "busybox":
        return _busybox(store, target, progress)
    suite = reference.tag or ""
    if suite in ("", "latest"):
        suite = _host_suite(kind)
    return _debian(store, kind, suite.removesuffix("-slim"), target, progress)


def _busybox(store: Store, target: str, progress: Callable[[str], None]) -> ImageRecord:
    found = [path for path in _BUSYBOX if _is_static(path)]
    if found:
        progress(f"using {found[0]}")
        return _import_busybox(store, target, found[0], "busybox from the host")
    with tempfile.TemporaryDirectory(prefix="proa-busybox-") as directory:
        progress("downloading the package busybox-static")
        path = _download_busybox(directory)
        return _import_busybox(store, target, path, "busybox from the package busybox-static")


def _import_busybox(store: Store, target: str, path: str, message: str) -> ImageRecord:
    applets = _run([path, "--list"]).decode().split()
    with open(path, "rb") as file:
        data = file.read()
    return import_rootfs(
        store,
        io.BytesIO(_busybox_tree(data, applets)),
        reference=target,
        changes=[f"ENV {_PATH}", 'CMD ["sh"]'],
        message=message,
        created_by=f"proa image bootstrap {Reference.parse(target).familiar}",
    )


def _busybox_tree(program: bytes, applets: list[str]) -> bytes:
    """A root file system of one program with many names, as a tar archive."""
    buffer = io.BytesIO()
    # the modification times are those of nothing in particular: the same program gives the same
    # layer
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:

        def put(name: str, kind: bytes, mode: int, data: bytes = b"", target: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size, info.linkname = kind, mode, len(data), target
            archive.addfile(info, io.BytesIO(data))

        for name in ("bin", "dev", "etc", "home", "lib", "proc", "sys", "usr", "usr/bin", "var"):
            put(name, tarfile.DIRTYPE, 0o755)
        put("root", tarfile.DIRTYPE, 0o700)
        for name in ("tmp", "var/tmp"):
            put(name, tarfile.DIRTYPE, 0o1777)
        put("bin/busybox", tarfile.REGTYPE, 0o755, program)
        for applet in sorted(set(applets) - {"busybox"}):
            if "/" not in applet:
                put(f"bin/{applet}", tarfile.LNKTYPE, 0o755, target="bin/busybox")
        put("usr/bin/env", tarfile.LNKTYPE, 0o755, target="bin/busybox")
        put("usr/sbin", tarfile.SYMTYPE, 0o777, target="../bin")
        put("sbin", tarfile.SYMTYPE, 0o777, target="bin")
        put(
            "etc/passwd",
            tarfile.REGTYPE,
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
            b"www-data:x:33:33:www-data:/var/www:/bin/false\n"
            b"nobody:x:65534:65534:nobody:/home:/bin/false\n",
        )
        put(
            "etc/group",
            tarfile.REGTYPE,
            0o644,
            b"root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n",
        )
        put("etc/shadow", tarfile.REGTYPE, 0o640, b"root:*:::::::\nnobody:*:::::::\n")
    return buffer.getvalue()


def _is_static(path: str) -> bool:
    """Whether the program at `path` is there and needs no interpreter (elf(5), PT_INTERP)."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    if head[:4] != b"\x7fELF" or head[4:6] != b"\x02\x01":
        return False
    offset = int.from_bytes(head[32:40], "little")
    size = int.from_bytes(head[54:56], "little")
    count = int.from_bytes(head[56:58], "little")
    kinds = {
        int.from_bytes(head[place : place + 4], "little")
        for place in range(offset, offset + size * count, size or 1)
    }
    return 3 not in kinds


def _download_busybox(directory: str) -> str:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unsupported(
            "there is no statically linked busybox on this machine, and no apt-get to fetch one;"
            " install busybox-static"
        )
    try:
        _run(["apt-get", "download", "-qq", "busybox-static"], directory)
    except Unavailable as error:
        raise Unavailable(
            f"cannot download busybox-static ({error}); try 'apt-get update', or 'apt-get install"
            " busybox-static'"
        ) from None
    packages = [name for name in os.listdir(directory) if name.endswith(".deb")]
    if not packages:
        raise Unavailable("apt-get downloaded no package busybox-static; try 'apt-get update'")
    _run(["dpkg-deb", "--extract", packages[0], "root"], directory)
    for name in ("bin/busybox", "usr/bin/busybox"):
        path = os.path.join(directory, "root", name)
        if _is_static(path):
            return path
    raise NotFound("the package busybox-static has no statically linked busybox")


def _debian(
    store: Store, kind: str, suite: str, target: str, progress: Callable[[str], None]
) -> ImageRecord:
    if shutil.which("mmdebstrap") is None:
        raise Unsupported(
            f"mmdebstrap is needed to make {kind}:{suite}; install it: apt-get install mmdebstrap"
        )
    with tempfile.TemporaryDirectory(prefix="proa-mmdebstrap-") as directory:
        sources = _sources(suite)
        command = ["mmdebstrap", "--variant=minbase", "--format=tar", suite, "-"]
        if sources:
            path = os.path.join(directory, "host.sources")
            with open(path, "w", encoding="utf-8") as file:
                file.write(sources)
            command.append(path)
        progress(f"mmdebstrap: {kind} {suite}, from {'the host' if sources else 'its own'} sources")
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            talk = _Talk(process.stderr, progress)
            try:
                return import_rootfs(
                    store,
                    _Output(process.stdout, process, talk, f"{kind}:{suite}"),
                    reference=target,
                    changes=[f"ENV {_PATH}", 'CMD ["bash"]'],
                    message=f"{kind} {suite} by mmdebstrap",
                    created_by=" ".join(command[:5]),
                )
            except BaseException:
                process.terminate()
                raise


class _Talk(threading.Thread):
    """Reads what a program says, so that it never waits for a reader, and keeps the end of it."""

    def __init__(self, stream: IO[bytes], progress: Callable[[str], None]) -> None:
        super().__init__(name="proa-bootstrap", daemon=True)
        self._stream = stream
        self._progress = progress
        self.lines: list[str] = []
        self.start()

    def run(self) -> None:
        for line in self._stream:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self.lines = [*self.lines[-50:], text]
                self._progress(text)

    def complaint(self) -> str:
        self.join(5)
        errors = [line for line in self.lines if line.startswith(("E:", "Err:", "W:"))]
        found = [line for line in errors if not line.startswith("W:")] or errors or self.lines
        return found[0][:300] if found else "it said nothing"


class _Output:
    """The output of a program, which ends well only if the program does."""

    def __init__(
        self, stream: IO[bytes], process: subprocess.Popen[bytes], talk: _Talk, what: str
    ) -> None:
        self._stream = stream
        self._process = process
        self._talk = talk
        self._what = what

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        if not data and self._process.wait():
            raise Unavailable(
                f"mmdebstrap could not make {self._what}: {self._talk.complaint()}; see that the"
                " suite exists and the apt sources answer ('apt-get update')"
            )
        return data


def _host_suite(kind: str) -> str:
    """The release of the host, where it is of this kind."""
    facts = {}
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            for line in file:
                key, _, value = line.strip().partition("=")
                facts[key] = value.strip("\"'")
    except OSError:
        pass
    suite = facts.get("VERSION_CODENAME", "")
    if facts.get("ID") == kind and suite:
        return suite
    if kind == "debian":
        return "stable"
    raise InvalidArgument(f"this machine does not run {kind}; name the suite: {kind}:SUITE")


def _sources(suite: str) -> str:
    """The stanzas of the host's apt sources for `suite` (sources.list(5)), in deb822 form."""
    stanzas = []
    directory = os.path.join(_SOURCES, "sources.list.d")
    paths = [os.path.join(_SOURCES, "sources.list")]
    try:
        paths += sorted(os.path.join(directory, name) for name in os.listdir(directory))
    except OSError:
        pass
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError):
            continue
        if path.endswith(".sources"):
            stanzas += _deb822(text, suite)
        elif path.endswith(".list"):
            stanzas += _one_line(text, suite)
    return "\n".join(stanzas)


def _deb822(text: str, suite: str) -> list[str]:
    found = []
    for stanza in text.split("\n\n"):
        lines = [line for line in stanza.splitlines() if line and not line.startswith("#")]
        fields = {}
        for line in lines:
            key, colon, value = line.partition(":")
            if colon and not line[0].isspace():
                fields[key.lower()] = value.strip()
        wanted = [name for name in fields.get("suites", "").split() if _is_of(name, suite)]
        if (
            not wanted
            or "deb" not in fields.get("types", "").split()
            or fields.get("enabled", "yes").lower() in ("no", "false")
        ):
            continue
        kept = [
            f"Suites: {' '.join(wanted)}"
            if line.lower().startswith("suites:")
            else "Types: deb"
            if line.lower().startswith("types:")
            else line
            for line in lines
        ]
        found.append("\n".join(kept) + "\n")
    return found


def _one_line(text: str, suite: str) -> list[str]:
    found = []
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line.startswith(("deb ", "deb\t")):
            continue
        rest = line[3:].strip()
        options = {}
        if rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            options = dict(item.partition("=")[::2] for item in inside.split())
        words = rest.split()
        if len(words) < 3 or not _is_of(words[1], suite):
            continue
        lines = [
            "Types: deb",
            f"URIs: {words[0]}",
            f"Suites: {words[1]}",
            f"Components: {' '.join(words[2:])}",
        ]
        names = {"signed-by": "Signed-By", "arch": "Architectures", "trusted": "Trusted"}
        lines += [
            f"{names[key]}: {value.replace(',', ' ')}"
            for key, value in options.items()
            if key in names
        ]
        found.append("\n".join(lines) + "\n")
    return found


def _is_of(name: str, suite: str) -> bool:
    return name in [suite + pocket for pocket in _POCKETS] or name == f"{suite}/updates"


def _run(command: list[str], directory: str | None = None) -> bytes:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, check=False, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"cannot run {command[0]}: {error}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Unavailable(f"{command[0]} failed: {said[0][:300] if said else done.returncode}")
    return done.stdout
