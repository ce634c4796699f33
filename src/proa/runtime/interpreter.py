"""Starts proa's own processes on an interpreter that no container can write to.

A process that works inside a container's namespaces can be seen from there, and
`/proc/<pid>/exe` of it leads to the program it executes, whatever the root directory is: through
it a container has overwritten the host's runc (CVE-2019-5736). So the interpreter is executed
from a detached, read-only bind mount of itself: a file reached that way belongs to a read-only
mount that is part of no mount namespace, so nobody can open it for writing, nor make the mount
writable again. It costs two system calls.

Where the kernel does not allow that (no CAP_SYS_ADMIN: an ordinary user), one of these holds:

- the user cannot write to the interpreter; nor can then a container, whose processes have no
  rights over the host's files but that user's. It is executed directly.
- the user owns the interpreter (pyenv, uv, a build of one's own): a sealed copy in memory is
  executed, which costs some milliseconds and the size of the program.

Linux: open_tree(2), mount_setattr(2), memfd_create(2), fcntl_linux F_ADD_SEALS.
"""

from __future__ import annotations

import fcntl
import posix
import sys

from proa.errors import KernelError, Unavailable
from proa.kernel.libc import syscall_with_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_OPEN_TREE = 428
_MOUNT_SETATTR = 442
_OPEN_TREE_CLONE = 0x1
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
# struct mount_attr { attr_set = MOUNT_ATTR_RDONLY, attr_clr, propagation, userns_fd }
_READ_ONLY = (1).to_bytes(8, "little") + bytes(24)
_F_ADD_SEALS = 1033
_SEAL_ALL = 0xF  # F_SEAL_SEAL | SHRINK | GROW | WRITE
_FLAGS = ("-I", "-S", "-X", "utf8", "-c")

_BOOTSTRAP = (
    "import sys,posix\n"
    "posix.environ.pop(b'LC_ALL',0)\n"
    "posix.unsetenv('LC_ALL')\n"
    "a=sys.argv\n"
    "n=3\n"
    "for k in a[1].split(','):\n"
    " if n<int(k):posix.closerange(n,int(k))\n"
    " n=int(k)+1\n"
    "p=sys.path\n"
    "sys.path=[a[2]]\n"
    "import proa\n"
    "sys.path=p+a[2:3]+[q for q in a[3].split(':') if q]\n"
    "sys.argv=a[4:]\n"
    "from proa.lean.bundle import load\n"
    "load(a[4])\n"
    "__import__(a[4],fromlist=('main',)).main()\n"
)
"""What the new interpreter does first. Its arguments: the descriptors from 3 on that it keeps,
the directory that holds the package proa, further directories, the module, the module's arguments.

proa is looked up in its own directory alone, so that the directories of the standard library
need not be read for it; after that its directory comes last, so that nothing beside it stands
in for a module of the standard library. LC_ALL=C is only there to keep the interpreter from
loading the files of a locale.
"""
_END = 1 << 30  # above any descriptor


def spawn(
    module: str,
    arguments: Sequence[str] = (),
    *,
    descriptors: dict[int, int] | Iterable[int] = (),
    environment: Mapping[str, str] | None = None,
    session: bool = False,
    packages: bool = False,
) -> int:
    """Start `module.main()` in a new interpreter; its `sys.argv` is [module, *arguments].

    `descriptors`: what the process inherits: {number there: descriptor here}, or descriptors
    that keep their numbers. It has no others but 0, 1 and 2, which are /dev/null where not named.
    `environment`: all of it but LC_ALL, which has no meaning there; empty where not given.
    `session`: whether it leads a session of its own.
    `packages`: whether it can import third-party packages too.
    Returns the pid of a child of this process. No signal is blocked in it.
    Raises Unavailable where this interpreter is unknown, KernelError where it cannot be started.
    """
    wanted: dict[int, int] = (
        {number: number for number in descriptors}
        if not isinstance(descriptors, dict)
        else descriptors
    )
    path = _executable()
    end = max(max(wanted, default=0), 2) + 1
    program = _open_protected(path, above=end)
    opened = [] if program is None else [program]
    try:
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
        for number, source in wanted.items():
            if source != number and source < end:
                # its number may be taken by another before its turn comes
                source = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, end)
                opened.append(source)
            actions.append((posix.POSIX_SPAWN_DUP2, source, number))
        for number in (0, 1, 2):
            if number not in wanted:
                actions.append((posix.POSIX_SPAWN_OPEN, number, "/dev/null", posix.O_RDWR, 0))
        kept = [str(number) for number in sorted(wanted) if number > 2]
        return posix.posix_spawn(
            path if program is None else f"/proc/self/fd/{program}",
            _command(path, module, arguments, [*kept, str(_END)], packages=packages),
            {**(environment or {}), "LC_ALL": "C"},
            file_actions=actions,
            setsigmask=(),
            setsid=session,
        )
    except OSError as error:
        raise KernelError(f"cannot start the interpreter {path}: {error.strerror}") from error
    finally:
        for descriptor in opened:
            posix.close(descriptor)


def is_protected() -> bool:
    """Whether the file that this process executes cannot be opened for writing by anyone.

    That is so on a read-only mount, and for a sealed file in memory.
    """
    try:
        if posix.statvfs("/proc/self/exe").f_flag & posix.ST_RDONLY:
            return True
        return posix.readlink("/proc/self/exe").startswith("/memfd:")
    except OSError:
        return False


def reexecute(module: str, arguments: Sequence[str], *, packages: bool = False) -> None:
    """Go on as `module.main()` in a protected interpreter: same process, descriptors, environment.

    Returns where this one is protected already or needs no protection, see the module.
    Raises KernelError where the interpreter cannot be executed.
    """
    if is_protected():
        return
    path = _executable()
    program = _open_protected(path, above=3)
    if program is None:
        return
    try:
        posix.execve(
            f"/proc/self/fd/{program}",
            _command(path, module, arguments, ["3"], packages=packages),
            {**posix.environ, b"LC_ALL": b"C"},
        )
    except OSError as error:
        posix.close(program)
        raise KernelError(f"cannot execute the interpreter {path}: {error.strerror}") from error


def _command(
    path: str, module: str, arguments: Sequence[str], kept: list[str], *, packages: bool
) -> list[str]:
    """The arguments of the new interpreter; argv[0] tells it where its standard library is.

    utf8: file names are bytes to the kernel; no locale changes how they are written.
    """
    further = [entry for entry in sys.path if entry.endswith("-packages")] if packages else []
    return [
        *(path, *_FLAGS, _BOOTSTRAP),
        *(",".join(kept), _directory(), ":".join(further)),
        *(module, *arguments),
    ]


def _directory() -> str:
    """The absolute directory that holds the package proa."""
    directory = __file__.rsplit("/", 3)[0]
    return directory if directory.startswith("/") else f"{posix.getcwd()}/{directory}"


def _executable() -> str:
    # the one that a virtual environment is made of: it starts without looking for that
    path: str = getattr(sys, "_base_executable", "") or sys.executable
    if not path:
        raise Unavailable(
            "the Python interpreter does not know its own path; set sys.executable to it"
        )
    return path


def _open_protected(path: str, *, above: int) -> int | None:
    """A descriptor, not less than `above`, of a protected program; None: execute `path` itself."""
    descriptor = _inherit_protection()
    if descriptor is None:
        descriptor = _clone_mount(path)
    if descriptor is None and posix.access(path, posix.W_OK):
        descriptor = _copy_into_memory(path)
    if descriptor is None or descriptor >= above:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above)
    finally:
        posix.close(descriptor)


def _inherit_protection() -> int | None:
    """The mount or copy that this process lives on, if `spawn` made it: it serves children too."""
    if sys.orig_argv[1 : len(_FLAGS) + 2] != [*_FLAGS, _BOOTSTRAP] or not is_protected():
        return None
    return posix.open("/proc/self/exe", posix.O_PATH | posix.O_CLOEXEC)


def _clone_mount(path: str) -> int | None:
    """A detached read-only mount of the file `path`; None where the kernel does not allow it."""
    try:
        descriptor = syscall_with_memory(
            _OPEN_TREE,
            _AT_FDCWD,
            path.encode("utf-8", "surrogateescape"),
            _OPEN_TREE_CLONE | posix.O_CLOEXEC,
        )
    except OSError:
        return None
    try:
        syscall_with_memory(
            _MOUNT_SETATTR, descriptor, b"", _AT_EMPTY_PATH, _READ_ONLY, len(_READ_ONLY)
        )
    except OSError:
        posix.close(descriptor)
        return None
    return descriptor


def _copy_into_memory(path: str) -> int:
    """A sealed copy of the file `path`: no descriptor of it can ever be written to."""
    source = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        target = posix.memfd_create("proa-interpreter", posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING)
        remaining = posix.fstat(source).st_size
        while remaining > 0:
            count = posix.sendfile(target, source, None, remaining)
            if count == 0:
                break
            remaining -= count
        fcntl.fcntl(target, _F_ADD_SEALS, _SEAL_ALL)
        return target
    finally:
        posix.close(source)
