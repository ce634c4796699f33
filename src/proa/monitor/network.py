"""The network of a container, as its monitor keeps it: made before the command runs, changed while
it runs, taken down when nobody waits any more.
"""

from __future__ import annotations

from proa.errors import Conflict
from proa.lean import bundle
from proa.network.attach import Connections
from proa.network.endpoint import from_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.monitor.loop import Loop
    from proa.monitor.names import NameServer
    from proa.monitor.proxied import Proxy
    from proa.monitor.supervise import Monitor


class Network:
    """The connections of the container `id` of the engine at `root`."""

    def __init__(self, loop: Loop, root: str, id: str, plan: Mapping[str, Any]) -> None:
        self._loop = loop
        self._root = root
        self._id = id
        self._names: NameServer | None = None
        self._named = bool(plan.get("names"))
        self._proxy: Proxy | None = None
        """the process that has published ports, if one does"""
        self._served: list[tuple[int, tuple[str, str, int]]] = []
        self._connections = Connections(id, plan)
        self._used = {bridge.network: bridge for bridge in self._connections.bridges}

    @property
    def ports(self) -> list[list[Any]]:
        """As the container's state has them; see `Connections.ports`."""
        return self._connections.ports

    def begin(self, pid: int) -> None:
        """Connect the container, whose first process is `pid`. Raises as `Connections.begin`."""
        self._connections.begin(pid)
        self._serve_ports()
        if self._named:
            self._serve_names(pid)

    def change(self, pid: int, message: Mapping[str, Any]) -> None:
        """Connect or disconnect it while it runs; then the default routes are `routes`."""
        if endpoint := message.get("connect"):
            self._connections.connect(from_message(endpoint), pid)
            if message.get("names") and self._names is None:
                self._serve_names(pid)
            self._used.update({bridge.network: bridge for bridge in self._connections.bridges})
        else:
            self._connections.disconnect(str(message["disconnect"]), pid)
        self._serve_ports()
        self._connections.route(message.get("routes") or (), pid)

    def end(self) -> None:
        """The container has ended: its ports are free from now on."""
        self._connections.end()
        self._serve_ports()
        if self._names is not None:
            self._names.end()

    def _serve_ports(self) -> None:
        """Have a proxy for the ports that want one, and for these alone."""
        wanted = self._connections.proxied
        if wanted == self._served:
            return
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None
        self._served = list(wanted)
        if wanted:
            from proa.monitor.proxied import start

            self._proxy = start(wanted)

    def _serve_names(self, pid: int) -> None:
        """Have the container's queries answered that go to 127.0.0.11."""
        if self._names is None:
            with bundle.Part("monitor-names"):
                from proa.monitor.names import NameServer

            self._names = NameServer(self._loop, self._root, self._id)
        self._named = True
        self._names.begin(pid)

    def leave(self) -> None:
        """Remove the bridges that nobody uses any more. It takes time: do it last."""
        self._connections.close()
        if self._used:
            from proa.network.sweep import sweep

            sweep(self._root, self._used.values(), wait=True)


def change(monitor: Monitor, message: Mapping[str, Any]) -> dict[str, Any]:
    """Do what a client asks about the network of a running container. Raises Conflict …"""
    container = monitor.running()
    if monitor.network is None:
        if monitor.job.network is None and not message.get("connect"):
            raise Conflict("the container is not connected to this network")
        monitor.network = Network(monitor.loop, monitor.job.root, monitor.job.id, {"endpoints": []})
    monitor.network.change(container.pid, message)
    monitor.set_ports(monitor.network.ports)
    return {}
