"""Seccomp profiles of the spec."""

from __future__ import annotations

import array
import ctypes
import json
import os
import socket
import threading

import pytest

from tests.runtime.bundle import Bundle, Runtime

pytestmark = pytest.mark.root


def profile(*syscalls: dict[str, object], **more: object) -> dict[str, object]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": list(syscalls),
        **more,
    }


@pytest.mark.parametrize("privileges", [True, False])
def test_a_call_is_refused_with_the_errno(
    runtime: Runtime, bundle: Bundle, privileges: bool
) -> None:
    bundle.process["noNewPrivileges"] = privileges
    bundle.linux["seccomp"] = profile(
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    )
    bundle.shell("mkdir /x 2>&1; grep Seccomp: /proc/self/status")
    output = runtime.run(bundle)

    assert "No space left" in output
    assert output.split()[-1] == "2"


def test_arguments_decide(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["seccomp"] = profile(
        {
            "names": ["kill"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 1,
            "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}],
        }
    )
    bundle.shell("kill -0 $$ && echo 0; kill -USR1 $$ 2>/dev/null || echo refused")
    assert runtime.run(bundle).split() == ["0", "refused"]


def test_a_call_kills(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["seccomp"] = profile(
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}
    )
    bundle.shell("mkdir /x; echo $?")
    assert runtime.run(bundle) == "159\n"


def test_a_listener_is_handed_over(runtime: Runtime, bundle: Bundle) -> None:
    path = os.path.join(bundle.directory, "agent.sock")
    bundle.process["noNewPrivileges"] = True
    bundle.linux["seccomp"] = profile(
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"},
        listenerPath=path,
        listenerMetadata="told",
    )
    bundle.shell("mkdir /x 2>&1 || true")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    received: list[dict[str, object]] = []

    def answer() -> None:
        connection, _ = server.accept()
        data, control, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
        received.append(json.loads(data))
        listener = array.array("i", control[0][2])[0]
        library = ctypes.CDLL(None, use_errno=True)
        request, response = ctypes.create_string_buffer(80), ctypes.create_string_buffer(24)
        # SECCOMP_IOCTL_NOTIF_RECV, …_SEND; the response is id, value, error, flags
        library.ioctl(listener, ctypes.c_ulong(0xC0502100), request)
        response[0:8] = request[0:8]
        response[16:20] = (-122).to_bytes(4, "little", signed=True)  # EDQUOT
        library.ioctl(listener, ctypes.c_ulong(0xC0182101), response)
        os.close(listener)
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        output = runtime.run(bundle)
    finally:
        thread.join(10)
        server.close()
    assert "uota exceeded" in output
    assert received[0]["fds"] == ["seccompFd"]
    assert received[0]["metadata"] == "told"
