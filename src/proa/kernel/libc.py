"""Functions of the C library, called by way of `_ctypes`.

`import ctypes` costs 2.3 ms, `_ctypes` 0.4: the difference is Python that this does not need.

    _sethostname = function("sethostname", "pL")
    _sethostname(b"box", 3)              # raises OSError where the C function returns -1

Types of arguments: `i` int, `l` long, `L` unsigned long, `I` unsigned int, `p` a pointer: bytes
or None to be read, an address, or a `Buffer` to be written.
"""

from __future__ import annotations

import _ctypes
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _SimpleCData = _ctypes._SimpleCData[int]
else:
    _SimpleCData = _ctypes._SimpleCData


class _Int(_SimpleCData):
    _type_ = "i"


class _UnsignedInt(_SimpleCData):
    _type_ = "I"


class _Long(_SimpleCData):
    _type_ = "l"


class _UnsignedLong(_SimpleCData):
    _type_ = "L"


class _Byte(_SimpleCData):
    _type_ = "b"


class _Pointer(_SimpleCData):
    _type_ = "P"


_TYPES = {"i": _Int, "I": _UnsignedInt, "l": _Long, "L": _UnsignedLong, "p": _Pointer}
_LIBC = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None: what is loaded already
# FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO: the C calling convention, errno kept per thread
_FLAGS = 0x1 | 0x8


class Buffer:
    """Zeroed memory for the kernel to write into; `bytes(buffer.data)` reads it."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self._as_parameter_ = (_Byte * size).from_buffer(self.data)

    @property
    def address(self) -> int:
        """Where it lies, for a structure that points to it."""
        return _ctypes.addressof(self._as_parameter_)


def function(name: str, arguments: str, result: str = "l") -> Callable[..., int]:
    """The C function `name` as a callable that raises OSError where it returns -1.

    `arguments`: a letter for each argument, see the module. `result`: such a letter too.
    Python releases the interpreter lock during the call.
    """
    kind = type(
        name,
        (_ctypes.CFuncPtr,),
        {
            "_flags_": _FLAGS,
            "_restype_": _TYPES[result],
            "_argtypes_": tuple(_TYPES[letter] for letter in arguments),
        },
    )
    pointer: Any = kind(_ctypes.dlsym(_LIBC, name))

    def call(*values: object) -> int:
        outcome: int = pointer(*values)
        if outcome == -1:
            raise last_error()
        return outcome

    return call


def last_error() -> OSError:
    """The OSError (of the right subclass) that stands for this thread's errno."""
    errno = _ctypes.get_errno()
    return OSError(errno, posix.strerror(errno))


_syscall = function("syscall", "lllllll")
_syscall_pointer = function("syscall", "lpppppp")


def syscall(number: int, *arguments: int) -> int:
    """A system call whose arguments are all numbers. Raises OSError."""
    return _syscall(number, *arguments, *(0,) * (6 - len(arguments)))


def syscall_with_memory(number: int, *arguments: int | bytes | Buffer | None) -> int:
    """A system call whose arguments may be memory: bytes to read, a `Buffer` to write into.

    Negative numbers are passed sign-extended to the width of a pointer. Raises OSError.
    """
    return _syscall_pointer(number, *arguments, *(None,) * (6 - len(arguments)))
