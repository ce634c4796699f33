"""Listening: on a socket of the file system, on TCP, or on what systemd hands over."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import ssl
import stat
from typing import TYPE_CHECKING

from aiohttp import web

from proa.api.application import everything, make_application
from proa.api.service import Service
from proa.errors import InvalidArgument, PermissionDenied, Unavailable
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proa.api.application import Allows
    from proa.engine.engine import Engine

DEFAULT = "unix:///run/proa/proa.sock"
_GRACE = 5.0
"""Seconds that requests have to end."""
_FIRST_HANDED_OVER = 3
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_THREADS = 256
"""Calls of the engine at the same time."""


@record
class Options:
    """How to listen."""

    addresses: tuple[str, ...] = (DEFAULT,)
    """unix://PATH, tcp://HOST:PORT, fd://"""
    group: str = ""
    """who else may use the socket"""
    certificate: str = ""
    key: str = ""
    authority: str = ""
    """of the clients' certificates"""
    insecure: bool = False
    """TCP without TLS, on the loopback device only"""
    idle: float = 0.0
    """seconds without any connection after which to end; 0: never"""
    allows: Allows = everything


def serve(engine: Engine, options: Options, *, ready: Callable[[str], None]) -> None:
    """Serve an engine until SIGTERM or SIGINT; `ready` gets each address.

    Raises InvalidArgument, PermissionDenied, Unavailable for an address that is taken.
    """
    opened: list[tuple[socket.socket, str]] = []
    try:
        for address in options.addresses:
            opened += _open(address, options)
        asyncio.run(_serve(engine, options, opened, ready))
    finally:
        for listener, address in opened:
            _close(listener, address)


async def _serve(
    engine: Engine,
    options: Options,
    opened: Sequence[tuple[socket.socket, str]],
    ready: Callable[[str], None],
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "engine"))
    service = Service(engine)
    service.hub.start()
    runner = web.AppRunner(
        make_application(service, options.allows),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_GRACE,
        keepalive_timeout=75,
    )
    await runner.setup()
    try:
        security = _security(options)
        for listener, address in opened:
            is_tcp = listener.family != socket.AF_UNIX
            context = security if is_tcp else None
            await web.SockSite(runner, listener, ssl_context=context).start()
            ready(address)
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        if not options.idle:
            await ended.wait()
        while options.idle and not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), options.idle)
            except TimeoutError:
                assert runner.server is not None
                if not runner.server.connections and not service.is_busy():
                    break
    finally:
        service.hub.close()
        await runner.cleanup()


def _open(address: str, options: Options) -> list[tuple[socket.socket, str]]:
    kind, separator, place = address.partition("://")
    if not separator:
        raise InvalidArgument(f"{address}: say unix://PATH, tcp://HOST:PORT or fd://")
    if kind == "fd":
        return _handed_over()
    if kind == "unix" and place.startswith("/"):
        return [(_listen_at(place, options.group), address)]
    if kind == "tcp":
        return [_listen_on(place, options)]
    raise InvalidArgument(f"{address}: say unix://PATH, tcp://HOST:PORT or fd://")


def _handed_over() -> list[tuple[socket.socket, str]]:
    """What systemd has opened for us: sd_listen_fds(3)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise InvalidArgument("fd:// is for systemd, which has handed over no socket")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    found = []
    for number in range(_FIRST_HANDED_OVER, _FIRST_HANDED_OVER + count):
        listener = socket.socket(fileno=number)
        listener.setblocking(False)
        found.append((listener, f"fd://{number}"))
    return found


def _listen_at(path: str, group: str) -> socket.socket:
    directory = os.path.dirname(path)
    os.makedirs(directory, 0o755, exist_ok=True)
    gid = _gid(group)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        if gid >= 0:
            os.chown(path, -1, gid)
        os.chmod(path, 0o660)
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise _refused(path, error) from None
    return listener


def _remove_stale(path: str) -> None:
    """Remove the socket of a server that is gone. Raises Unavailable where one answers."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise Unavailable(f"cannot listen on {path}: something else lies there; remove it")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise Unavailable(f"cannot listen on {path}: another server does; choose another with -H")


def _gid(group: str) -> int:
    if not group:
        return -1
    if group.isascii() and group.isdecimal():
        return int(group)
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise InvalidArgument(f"there is no group {group}; make it with 'groupadd'") from None


def _listen_on(place: str, options: Options) -> tuple[socket.socket, str]:
    host, colon, port = place.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise InvalidArgument(f"tcp://{place}: say tcp://HOST:PORT")
    host = host.strip("[]")
    if not options.authority:
        if not options.insecure:
            raise InvalidArgument(
                f"tcp://{place}: whoever can connect is root of this machine; give --tlscacert,"
                " --tlscert and --tlskey, or on the loopback device --insecure"
            )
        if host not in _LOOPBACK:
            raise InvalidArgument(
                f"tcp://{place}: --insecure is for the loopback device, 127.0.0.1 or ::1"
            )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise _refused(place, error) from None
    shown = f"[{host}]" if ":" in host else host
    return listener, f"tcp://{shown}:{listener.getsockname()[1]}"


def _refused(place: str, error: OSError) -> Exception:
    reason = f"cannot listen on {place}: {(error.strerror or str(error)).lower()}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(reason)
    return Unavailable(reason) if error.errno == errno.EADDRINUSE else InvalidArgument(reason)


def _security(options: Options) -> ssl.SSLContext | None:
    """Both sides show certificates. Raises InvalidArgument."""
    if not options.authority:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.certificate, options.key)
        context.load_verify_locations(options.authority)
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(f"the certificates cannot be used: {error}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _close(listener: socket.socket, address: str) -> None:
    kind, _, path = address.partition("://")
    if kind == "unix":
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
    listener.close()
