"""Containers from Python.

    from proa import Engine

    engine = Engine()
    print(engine.containers.run("alpine", ["echo", "hi"]))

Names are imported when they are first used: `import proa` itself costs nothing.
"""

# No import at all here, not even of __future__: a new interpreter imports this package before it
# knows where the standard library is (runtime/interpreter.py).
TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.engine.attach import Detached as Detached
    from proa.engine.attach import Ends as Ends
    from proa.engine.config import ContainerConfig as ContainerConfig
    from proa.engine.config import Device as Device
    from proa.engine.config import DeviceRate as DeviceRate
    from proa.engine.config import DeviceRequest as DeviceRequest
    from proa.engine.config import EndpointConfig as EndpointConfig
    from proa.engine.config import Healthcheck as Healthcheck
    from proa.engine.config import Mount as Mount
    from proa.engine.config import PortBinding as PortBinding
    from proa.engine.config import RestartPolicy as RestartPolicy
    from proa.engine.config import Ulimit as Ulimit
    from proa.engine.container import Container as Container
    from proa.engine.containers import ContainerSummary as ContainerSummary
    from proa.engine.engine import Engine as Engine
    from proa.engine.execute import ExecConfig as ExecConfig
    from proa.engine.execute import ExecResult as ExecResult
    from proa.engine.images import Image as Image
    from proa.engine.images import Pulled as Pulled
    from proa.engine.images import Pushed as Pushed
    from proa.engine.logs import LogEntry as LogEntry
    from proa.engine.networks import AddressPool as AddressPool
    from proa.engine.networks import Network as Network
    from proa.engine.rootless import enter as enter_user_namespace  # noqa: F401 - renamed
    from proa.engine.volumes import Volume as Volume
    from proa.errors import AlreadyExists as AlreadyExists
    from proa.errors import AmbiguousName as AmbiguousName
    from proa.errors import BuildFailed as BuildFailed
    from proa.errors import Cancelled as Cancelled
    from proa.errors import CommandNotExecutable as CommandNotExecutable
    from proa.errors import CommandNotFound as CommandNotFound
    from proa.errors import Conflict as Conflict
    from proa.errors import ContainerFailed as ContainerFailed
    from proa.errors import ContainerNotFound as ContainerNotFound
    from proa.errors import CorruptData as CorruptData
    from proa.errors import DockerfileError as DockerfileError
    from proa.errors import HostileData as HostileData
    from proa.errors import ImageNotFound as ImageNotFound
    from proa.errors import InvalidArgument as InvalidArgument
    from proa.errors import KernelError as KernelError
    from proa.errors import LimitExceeded as LimitExceeded
    from proa.errors import NetworkNotFound as NetworkNotFound
    from proa.errors import NoSpace as NoSpace
    from proa.errors import NotFound as NotFound
    from proa.errors import PermissionDenied as PermissionDenied
    from proa.errors import ProaError as ProaError
    from proa.errors import TimedOut as TimedOut
    from proa.errors import Unauthorized as Unauthorized
    from proa.errors import Unavailable as Unavailable
    from proa.errors import Unsupported as Unsupported
    from proa.errors import VolumeNotFound as VolumeNotFound
    from proa.image.progress import Progress as Progress

__version__ = "0.1.0"

_HOMES = {
    "engine.attach": "Detached Ends",
    "engine.config": (
        "ContainerConfig Device DeviceRate DeviceRequest EndpointConfig Healthcheck Mount"
        " PortBinding RestartPolicy Ulimit"
    ),
    "engine.container": "Container",
    "engine.containers": "ContainerSummary",
    "engine.engine": "Engine",
    "engine.execute": "ExecConfig ExecResult",
    "engine.images": "Image Pulled Pushed",
    "engine.logs": "LogEntry",
    "engine.networks": "AddressPool Network",
    "engine.rootless": "enter_user_namespace",
    "image.progress": "Progress",
    "engine.volumes": "Volume",
    "errors": (
        "AlreadyExists AmbiguousName BuildFailed Cancelled CommandNotExecutable CommandNotFound"
        " Conflict ContainerFailed ContainerNotFound CorruptData DockerfileError HostileData"
        " ImageNotFound InvalidArgument"
        " KernelError LimitExceeded NetworkNotFound NoSpace NotFound PermissionDenied ProaError"
        " TimedOut Unauthorized Unavailable Unsupported VolumeNotFound"
    ),
}
_SOURCES = {name: module for module, names in _HOMES.items() for name in names.split()}
_INSIDE = {"enter_user_namespace": "enter"}

__all__ = tuple(sorted(_SOURCES))


def __getattr__(name: str) -> object:
    module = _SOURCES.get(name)
    if module is None:
        raise AttributeError(f"module 'proa' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"proa.{module}"), _INSIDE.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *_SOURCES))
