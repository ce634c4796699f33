"""Running the server: until it is told to end, and then until what it has begun is done."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from typing import TYPE_CHECKING

from aiohttp import web

from proa.errors import InvalidArgument, PermissionDenied, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.registry.server import Registry

_GRACE = 30.0
"""Seconds that requests have to end."""


def serve(registry: Registry, host: str, port: int, *, ready: Callable[[str, int], None]) -> None:
    """Serve a registry until SIGTERM or SIGINT; `ready` gets the address.

    `port` 0: one that is free. Raises Unavailable for an address that is taken, InvalidArgument,
    PermissionDenied.
    """
    asyncio.run(_serve(registry, host, port, ready))


async def _serve(
    registry: Registry, host: str, port: int, ready: Callable[[str, int], None]
) -> None:
    runner = web.AppRunner(
        registry.application(),
        access_log=None,
        shutdown_timeout=_GRACE,
        keepalive_timeout=60,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except PermissionError:
            raise PermissionDenied(f"no permission to listen on {host}:{port}") from None
        except OSError as error:
            kind = Unavailable if error.errno == errno.EADDRINUSE else InvalidArgument
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise kind(f"cannot listen on {host}:{port}: {reason.lower()}") from None
        address = runner.addresses[0]
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        ready(str(address[0]), int(address[1]))
        await ended.wait()
    finally:
        await runner.cleanup()
