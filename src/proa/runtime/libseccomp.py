"""libseccomp, as far as compiling filters needs it (seccomp_init(3) and what it refers to).

Off the hot path: a filter is compiled once and cached. pyseccomp has no setting of the
optimisation that makes a filter a binary tree, nor names by architecture; both are needed.
"""

from __future__ import annotations

import ctypes
import errno
import os

from proa.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LIBRARIES = ("libseccomp.so.2", "libseccomp.so")
_ATTRIBUTE_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE, since 2.5.0
_BINARY_TREE = 2
UNKNOWN = -1
"""What `number` returns for a name that this version of the library does not have"""


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


Comparison = tuple[int, int, int, int]
"""Index of the argument, operator (enum scmp_compare), value, second value"""


def _load() -> ctypes.CDLL:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        context, integer, word = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32
        for function, result, arguments in (
            ("seccomp_init", context, (word,)),
            ("seccomp_release", None, (context,)),
            ("seccomp_arch_resolve_name", word, (ctypes.c_char_p,)),
            ("seccomp_arch_native", word, ()),
            ("seccomp_arch_add", integer, (context, word)),
            ("seccomp_attr_set", integer, (context, integer, word)),
            ("seccomp_syscall_resolve_name_arch", integer, (word, ctypes.c_char_p)),
            (
                "seccomp_rule_add_array",
                integer,
                (context, word, integer, ctypes.c_uint, ctypes.POINTER(_Comparison)),
            ),
            ("seccomp_export_bpf", integer, (context, integer)),
        ):
            getattr(library, function).restype = result
            getattr(library, function).argtypes = arguments
        return library
    raise Unsupported(
        "seccomp filters need libseccomp; install the package libseccomp2 (Debian, Ubuntu) "
        "or libseccomp (others)"
    )


class Library:
    """The library, loaded. Raises Unsupported where it is not installed."""

    def __init__(self) -> None:
        self._library = _load()
        self.native: int = self._library.seccomp_arch_native()
        """The architecture of this process, by its token (AUDIT_ARCH_…)"""

    def architecture(self, name: str) -> int | None:
        """The token of the architecture `name` (`x86_64`, `arm`, …), None if not known."""
        return self._library.seccomp_arch_resolve_name(name.encode()) or None

    def number(self, name: str, architecture: int) -> int:
        """The number of the system call `name`: negative where `architecture` does not have it,
        UNKNOWN where the library has not heard of it.
        """
        found: int = self._library.seccomp_syscall_resolve_name_arch(architecture, name.encode())
        return found

    def context(self, default_action: int) -> Context:
        """A new filter, which answers `default_action` to what no rule matches."""
        handle = self._library.seccomp_init(default_action)
        if not handle:
            raise InvalidArgument(
                f"libseccomp or this kernel does not have the default action {default_action:#x}"
            )
        return Context(self._library, handle)


class Context:
    """A filter that is being put together; `close` it."""

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library = library
        self._handle = handle
        # an older library makes a longer chain of comparisons, of the same effect
        library.seccomp_attr_set(handle, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)

    def add_architecture(self, architecture: int) -> None:
        """Let the filter speak of `architecture` too. Raises InvalidArgument."""
        code = self._library.seccomp_arch_add(self._handle, architecture)
        if code not in (0, -errno.EEXIST):
            raise InvalidArgument(
                f"seccomp architecture {architecture:#x} cannot be added: {os.strerror(-code)}"
            )

    def add_rule(self, action: int, number: int, comparisons: Sequence[Comparison]) -> None:
        """Answer `action` to the call `number` (of the native architecture, or the library's
        negative stand-in) where all `comparisons` hold. Raises InvalidArgument.
        """
        array = (_Comparison * max(1, len(comparisons)))(*(_Comparison(*c) for c in comparisons))
        code = self._library.seccomp_rule_add_array(
            self._handle, action, number, len(comparisons), array
        )
        if code not in (0, -errno.EEXIST):
            raise InvalidArgument(
                f"the seccomp rule for system call {number} with action {action:#x} is refused: "
                f"{os.strerror(-code).lower()}"
            )

    def export(self) -> bytes:
        """The filter as an array of struct sock_filter."""
        memory = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        try:
            code = self._library.seccomp_export_bpf(self._handle, memory)
            if code:
                raise InvalidArgument(
                    f"the seccomp filter cannot be compiled: {os.strerror(-code).lower()}"
                )
            return os.pread(memory, os.fstat(memory).st_size, 0)
        finally:
            os.close(memory)

    def close(self) -> None:
        """Free it."""
        self._library.seccomp_release(self._handle)
