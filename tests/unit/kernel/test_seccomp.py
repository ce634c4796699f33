from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable

import pytest

from proa.errors import KernelError
from proa.kernel import seccomp

ALLOW, KILL_PROCESS, USER_NOTIF = 0x7FFF0000, 0x80000000, 0x7FC00000
LIBC = ctypes.CDLL(None, use_errno=True)


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def answer(number: int, action: int) -> bytes:
    """A filter that answers `action` to one system call and allows the others."""
    return (
        instruction(0x20, 0)
        + instruction(0x15, number, 0, 1)
        + instruction(0x06, action)
        + instruction(0x06, ALLOW)
    )


def in_child(work: Callable[[], int], *, no_new_privs: bool = True) -> int:
    """The exit code of a child that does `work` (its errno, where it raises OSError)."""
    child = os.fork()
    if child == 0:
        code = 255
        try:
            if no_new_privs:
                LIBC.prctl(38, 1, 0, 0, 0)
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]


def test_a_filter_answers_for_the_kernel() -> None:
    def work() -> int:
        assert seccomp.install(answer(GETPPID, 0x00050000 | errno.EDOM), seccomp.SPEC_ALLOW) is None
        LIBC.syscall(GETPPID)
        return ctypes.get_errno()

    assert in_child(work) == errno.EDOM


def test_a_filter_kills() -> None:
    def work() -> int:
        seccomp.install(answer(GETPPID, KILL_PROCESS))
        LIBC.syscall(GETPPID)
        return 0

    assert in_child(work) == -31  # SIGSYS


@pytest.mark.parametrize("program", [b"", b"1234567"])
def test_half_a_filter_is_refused(program: bytes) -> None:
    with pytest.raises(KernelError, match="is not whole"):
        seccomp.install(program)


def test_what_the_kernel_refuses_is_told() -> None:
    def work() -> int:
        try:
            seccomp.install(instruction(0x20, 0))  # does not end with a return
        except KernelError as error:
            return 7 if "cannot install the seccomp filter: invalid argument" in str(error) else 1
        return 0

    assert in_child(work) == 7


@pytest.mark.root
def test_without_no_new_privs_the_advice_is_to_set_it() -> None:
    def work() -> int:
        os.setuid(65534)
        try:
            seccomp.install(answer(GETPPID, ALLOW))
        except KernelError as error:
            return 7 if "set no_new_privs first" in str(error) else 1
        return 0

    assert in_child(work, no_new_privs=False) == 7


def test_a_listener_answers_notifications() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        code = 255
        try:
            LIBC.prctl(38, 1, 0, 0, 0)
            listener = seccomp.install(answer(GETPPID, USER_NOTIF), seccomp.NEW_LISTENER)
            assert listener is not None
            assert not os.get_inheritable(listener)
            socket.send_fds(theirs, [b"x"], [listener])
            os.close(listener)
            code = LIBC.syscall(GETPPID)
        finally:
            os._exit(code)
    theirs.close()
    import fcntl

    _, (listener, *_), _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    notification = bytearray(80)  # struct seccomp_notif
    fcntl.ioctl(listener, 0xC0502100, notification)  # SECCOMP_IOCTL_NOTIF_RECV
    identifier, pid, _, number = struct.unpack_from("=QIIi", notification)
    assert (pid, number) == (child, GETPPID)
    # struct seccomp_notif_resp: the call returns 42
    fcntl.ioctl(listener, 0xC0182101, bytearray(struct.pack("=QqiI", identifier, 42, 0, 0)))
    os.close(listener)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
