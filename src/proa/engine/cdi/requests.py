"""Which devices a container gets, and what they mean for it in OCI's terms."""

from __future__ import annotations

import os
import stat

from proa.engine.cdi.document import Edits, split_name
from proa.engine.cdi.registry import Registry, load
from proa.engine.rootless import is_rootless
from proa.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.engine.config import DeviceRequest

CDI = "cdi"
_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}
_FIRST_CHOICE = "nvidia.com/gpu"


def plan(requests: Sequence[DeviceRequest], registry: Registry | None = None) -> dict[str, Any]:
    """What the monitor merges into the spec, see monitor.edits.

    Raises NotFound for a device that nobody describes or the host has not, Conflict,
    InvalidArgument.
    """
    found = registry or load()
    documents: dict[str, Edits] = {}
    edits: list[Edits] = []
    for name in dict.fromkeys(name for request in requests for name in names(request, found)):
        document = found.find(name)
        # what all devices of a file need, once
        if document.path not in documents:
            documents[document.path] = document.edits
            edits.append(document.edits)
        edits.append(document.devices[name.partition("=")[2]])
    return _plan(edits)


def names(request: DeviceRequest, registry: Registry) -> list[str]:
    """The names of the devices that are asked for. Raises NotFound, InvalidArgument."""
    if request.driver == CDI:
        for name in request.device_ids:
            if split_name(name) is None:
                raise InvalidArgument(
                    f"invalid CDI device name {name}: write vendor.com/class=name"
                )
        return list(request.device_ids)
    kind = _kind(request, registry)
    if request.device_ids:
        return [f"{kind}={id}" for id in request.device_ids]
    every = _order(
        name.partition("=")[2] for name in registry.devices if name.partition("=")[0] == kind
    )
    if request.count == -1 and f"{kind}=all" in registry.devices:
        return [f"{kind}=all"]
    if request.count > len(every):
        raise NotFound(f"{request.count} GPUs were asked for, and {kind} has {len(every)}")
    return [f"{kind}={name}" for name in (every if request.count < 0 else every[: request.count])]


def _kind(request: DeviceRequest, registry: Registry) -> str:
    """Whose GPUs: those of the driver that is named, or of whom there is."""
    if "gpu" not in [word for words in request.capabilities for word in words]:
        raise InvalidArgument(
            "a device request needs the capability gpu, or the driver cdi and names of devices"
        )
    kinds = sorted({name.partition("=")[0] for name in registry.devices})
    fitting = [
        kind
        for kind in kinds
        if kind.endswith("/gpu") and request.driver in ("", kind.partition(".")[0])
    ]
    if not fitting:
        driver = f"{request.driver} " if request.driver else ""
        hint = "; ".join(map(str, registry.errors.values())) or (
            f"there are {', '.join(kinds)}" if kinds else "there are no CDI files"
        )
        raise NotFound(f"no CDI file describes {driver}GPUs: {hint}; see 'proa system check'")
    return _FIRST_CHOICE if _FIRST_CHOICE in fitting else fitting[0]


def _order(found: Any) -> list[str]:
    """Names of single devices: numbers where there are any, since others are their aliases."""
    single = sorted(name for name in found if name != "all")
    numbers = sorted((name for name in single if name.isdecimal()), key=int)
    return numbers or single


def _plan(edits: Sequence[Edits]) -> dict[str, Any]:
    nodes: dict[str, dict[str, Any]] = {}
    mounts: dict[str, dict[str, Any]] = {}
    hooks: dict[str, list[dict[str, Any]]] = {}
    for edit in edits:
        for node in edit.nodes:
            if is_rootless():
                # an ordinary user makes no nodes: the host's own is there
                mounts[node["path"]] = _bind(node.get("hostPath") or node["path"], node["path"])
            else:
                nodes[node["path"]] = _node(node)
        for mount in edit.mounts:
            mounts[mount["containerPath"]] = _mount(mount)
        for hook in edit.hooks:
            entry = {
                name: hook[name] for name in ("path", "args", "env", "timeout") if name in hook
            }
            hooks.setdefault(hook["hookName"], []).append(entry)
    return {
        "env": [item for edit in edits for item in edit.environment],
        "devices": list(nodes.values()),
        "mounts": sorted(mounts.values(), key=lambda mount: mount["destination"].count("/")),
        "hooks": hooks,
        "groups": list(dict.fromkeys(group for edit in edits for group in edit.groups if group)),
    }


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    """OCI's device; what the file leaves open is as the host has it."""
    source = node.get("hostPath") or node["path"]
    kind, major, minor = node.get("type") or "", node.get("major"), node.get("minor")
    if not kind or (kind != "p" and not (major or minor)):
        try:
            status = os.stat(source)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise NotFound(f"the device {source} of a CDI file: {reason}") from None
        actual = _KINDS.get(stat.S_IFMT(status.st_mode))
        if actual is None or (kind and actual != kind.replace("u", "c")):
            raise InvalidArgument(f"{source} of a CDI file is not the device that it should be")
        kind = kind or actual
        major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    found: dict[str, Any] = {"path": node["path"], "type": kind, "access": node.get("permissions")}
    if kind != "p":
        found.update(major=major or 0, minor=minor or 0)
    for name in ("fileMode", "uid", "gid"):
        if node.get(name) is not None:
            found[name] = node[name]
    return found


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    kind = mount.get("type") or "bind"
    if kind not in ("bind", "none"):
        return {
            "destination": mount["containerPath"],
            "type": kind,
            "source": mount["hostPath"],
            "options": list(mount.get("options") or ()),
        }
    source = mount["hostPath"]
    if not os.path.exists(source):
        raise NotFound(f"bind source path of a CDI file does not exist: {source}")
    return _bind(source, mount["containerPath"], mount.get("options") or ())


def _bind(source: str, target: str, options: Sequence[str] = ()) -> dict[str, Any]:
    given = list(options)
    if not {"bind", "rbind"}.intersection(given):
        given.insert(0, "rbind")
    return {"destination": target, "type": "bind", "source": source, "options": given}
