"""Serving the engine's images, and what is pushed, as a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import InvalidArgument, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.store.store import Store

DEFAULT = "127.0.0.1:5000"


def serve_registry(
    store: Store, listen: str, *, sparse: bool = False, ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; `ready` gets the `host:port` once it can be called.

    `listen`: `HOST:PORT`, `:PORT` for all addresses of the machine; port 0 is one that is free.
    `sparse`: take manifests whose blobs are not here.
    Raises InvalidArgument, Unsupported (aiohttp is not installed), Unavailable, PermissionDenied.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise InvalidArgument(f"{listen[:100]!r} is not an address as in {DEFAULT}")
    try:
        from proa.registry.serve import serve
        from proa.registry.server import Registry
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "proa":
            raise
        raise Unsupported(
            f"the registry server needs {error.name}: pip install 'proa[registry]'"
        ) from None
    address = host.strip("[]")

    def told(at: str, number: int) -> None:
        shown = f"[{at}]" if ":" in at else at
        ready(f"{shown}:{number}")

    # without a host, all of them: that is what was asked for
    serve(Registry(store, sparse=sparse), address or "0.0.0.0", int(port), ready=told)  # noqa: S104
