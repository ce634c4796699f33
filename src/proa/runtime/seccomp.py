"""The seccomp filter of a container: compiled once, then read from a cache.

Compiling Docker's profile takes 9 ms, more than all the rest of a container's start. What is
compiled depends on nothing but the profile, the architecture and the compiler, so a digest of
these names the file that holds it.
"""

from __future__ import annotations

import posix

from proa.lean import bundle
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

COMPILER = 1
"""Goes up when the same profile compiles to something else, or the default profile changes"""

RELEVANT_CAPABILITIES = (
    1 << 2  # CAP_DAC_READ_SEARCH
    | 1 << 16  # CAP_SYS_MODULE
    | 1 << 17  # CAP_SYS_RAWIO
    | 1 << 18  # CAP_SYS_CHROOT
    | 1 << 19  # CAP_SYS_PTRACE
    | 1 << 20  # CAP_SYS_PACCT
    | 1 << 21  # CAP_SYS_ADMIN
    | 1 << 22  # CAP_SYS_BOOT
    | 1 << 23  # CAP_SYS_NICE
    | 1 << 25  # CAP_SYS_TIME
    | 1 << 26  # CAP_SYS_TTY_CONFIG
    | 1 << 34  # CAP_SYSLOG
    | 1 << 38  # CAP_PERFMON
    | 1 << 39  # CAP_BPF
)
"""Those that the default profile depends on"""

_MAGIC = b"proa bpf"
_HEADER = len(_MAGIC) + 8  # flags and length, 4 bytes each, little-endian


@record
class Filter:
    """What `proa.kernel.seccomp.install` takes, and where the listener's descriptor goes."""

    program: bytes
    """an array of struct sock_filter"""
    flags: int
    listener_path: str | None = None
    """the socket that gets the descriptor, where `flags` has NEW_LISTENER"""
    listener_metadata: str | None = None


def compile(profile: Mapping[str, Any], *, cache: str | None) -> Filter:
    """The filter of `profile` (OCI's linux.seccomp), from the directory `cache` if it is there.

    cache: made if missing; None: compile anew. Raises InvalidArgument for a profile that is
    wrong, Unsupported where it has to be compiled and libseccomp is missing.
    """
    name = ""
    if cache is not None:
        from _blake2 import blake2b

        # repr is a canonical text here: the same JSON read again gives the same
        identity = f"{COMPILER} {posix.uname().machine} {profile!r}".encode()
        name = f"seccomp-{blake2b(identity, digest_size=32).hexdigest()}"
    program, flags = _cached(cache, name, lambda: profile)
    return Filter(program, flags, profile.get("listenerPath"), profile.get("listenerMetadata"))


def default_filter(capabilities_mask: int, cache: str | None) -> Filter:
    """The filter of the default profile, for a container whose bounding set is the mask.

    capabilities_mask: bit n stands for capability n (capabilities(7)). Raises Unsupported where
    it has to be compiled and libseccomp is missing.
    """
    mask = capabilities_mask & RELEVANT_CAPABILITIES
    machine = posix.uname().machine

    def profile() -> Mapping[str, Any]:
        from proa.runtime.seccomp_profile import default_profile, names_of

        return default_profile(names_of(mask), machine)

    return Filter(*_cached(cache, f"seccomp-default-{COMPILER}-{machine}-{mask:x}", profile))


def _cached(cache: str | None, name: str, profile: Any) -> tuple[bytes, int]:
    if cache is not None and (found := _read(cache, name)) is not None:
        return found
    # the next process finds the result: what this one imports for it belongs into no bundle
    bundle.abandon()
    from proa.runtime.seccomp_compiler import compile_profile

    program, flags = compile_profile(profile())
    if cache is not None:
        _write(cache, name, program, flags)
    return program, flags


def _read(cache: str, name: str) -> tuple[bytes, int] | None:
    """The filter in the file, None where there is none that can be trusted.

    A filter decides what a container may do. It is believed only if nobody but this user could
    have written it: file and directory are ours, and closed to all others.
    """
    try:
        directory = posix.open(cache, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not _private(posix.fstat(directory)):
            return None
        file = posix.open(
            name, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=directory
        )
        try:
            if not _private(posix.fstat(file)):
                return None
            data = posix.read(file, 1 << 16)
        finally:
            posix.close(file)
    except OSError:
        return None
    finally:
        posix.close(directory)
    length = int.from_bytes(data[12:16], "little")
    if data[:8] != _MAGIC or len(data) != _HEADER + length or not length or length % 8:
        return None
    return data[_HEADER:], int.from_bytes(data[8:12], "little")


def _private(status: posix.stat_result) -> bool:
    return status.st_uid == posix.geteuid() and status.st_mode & 0o077 == 0


def _write(cache: str, name: str, program: bytes, flags: int) -> None:
    """Keep the filter; without a cache the next start is slower, which is no error."""
    data = _MAGIC + flags.to_bytes(4, "little") + len(program).to_bytes(4, "little") + program
    temporary = f".{posix.urandom(8).hex()}"
    try:
        try:
            posix.mkdir(cache, 0o700)
        except FileExistsError:
            pass
        directory = posix.open(cache, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return
    try:
        if not _private(posix.fstat(directory)):
            return
        file = posix.open(
            temporary,
            posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC,
            0o600,
            dir_fd=directory,
        )
        try:
            posix.fchmod(file, 0o600)
            if posix.write(file, data) != len(data):
                raise OSError  # the disk is full
            posix.fsync(file)  # a name must never stand for half a filter
        finally:
            posix.close(file)
        posix.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        try:
            posix.unlink(temporary, dir_fd=directory)
        except OSError:
            pass
    finally:
        posix.close(directory)
