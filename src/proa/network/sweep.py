"""Removes bridges that no container uses any more."""

from __future__ import annotations

import fcntl
import posix
import time

from proa.errors import NetworkNotFound, ProaError
from proa.kernel import netlink as rt
from proa.kernel import nftables as nft
from proa.network import bridge as bridges
from proa.network.lock import NamespaceLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from proa.network.endpoint import Bridge
    from proa.store.store import Store

_PAUSE = 0.25
"""Seconds that a bridge stays whose containers come one after the other: to remove one takes
longer than to start a container, and keeps others from starting meanwhile."""
_OFTEN = 2.0
"""Seconds within which they have to come for that."""


def sweep(root: str, used: Iterable[Bridge], *, wait: bool = False) -> None:
    """Remove those of the bridges `used` whose networks have no endpoint.

    `wait`: where containers come and go, only a moment later, and leave it to another process
    that waits for the same.
    """
    for bridge in used:
        try:
            try:
                _sweep(root, bridge, wait)
            except (ProaError, OSError):
                if _store(root) is not None:
                    raise
                # the engine was removed, and with it all who could use the bridge
                with NamespaceLock():
                    _remove(bridge)
        except (ProaError, OSError):
            continue  # the next one who leaves, or the next command, does it


def _sweep(root: str, bridge: Bridge, wait: bool) -> None:
    network = bridge.network
    path = f"{root}/run/locks/network-{network}"
    descriptor = posix.open(path, posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
    try:
        # within the lock: whoever waits looks for the last time within it too, so that one of
        # the two sees that the other has left
        with NamespaceLock():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if wait:
                    return
        if wait:
            last = posix.fstat(descriptor)
            posix.utime(descriptor)
            if last.st_size and time.time() - last.st_mtime < _OFTEN:
                time.sleep(_PAUSE)
            elif not last.st_size:
                posix.write(descriptor, b"\n")
        with NamespaceLock():
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            if not _is_used(root, network):
                _remove(bridge)
    finally:
        posix.close(descriptor)
    _forget(root, network, path)


def _store(root: str) -> Store | None:
    """The store, if there is one still: none is made here."""
    from proa.store.store import Store

    store = Store(root)
    return store if posix.access(store.database.path, posix.F_OK) else None


def _is_used(root: str, network: str) -> bool:
    store = _store(root)
    if store is None:
        return False  # with the engine, all who could use it have gone
    try:
        return store.networks.is_used(network)
    finally:
        store.database.close()


def _forget(root: str, network: str, path: str) -> None:
    """Remove the lock of a network that is gone."""
    store = _store(root)
    if store is None:
        return
    try:
        store.networks.find(network)
    except NetworkNotFound:
        try:
            posix.unlink(path)
        except FileNotFoundError:
            return
    finally:
        store.database.close()


def _remove(bridge: Bridge) -> None:
    """Remove the bridge, if it is there. The caller holds the namespace's lock."""
    with rt.Netlink() as route:
        if not bridges.is_made(bridge, route):
            return
        filter = nft.connect()
        try:
            bridges.remove(bridge, route=route, filter=filter)
        finally:
            filter.close()
