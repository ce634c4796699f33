"""What the `inspect` commands share."""

from __future__ import annotations

from proa.cli.exit_codes import FAILED, OK, BadTemplate
from proa.cli.output import complain, write
from proa.errors import AmbiguousName, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from proa.cli.command import Session

FORMAT_FLAG = ("format", "f", "string", "Show it as 'json' or by a Go TEMPLATE")

_MAPS = frozenset(
    (
        "Annotations Config.Labels Config.Volumes Config.ExposedPorts GraphDriver.Data"
        " HostConfig.Annotations HostConfig.LogConfig.Config HostConfig.PortBindings"
        " HostConfig.StorageOpt HostConfig.Sysctls HostConfig.Tmpfs NetworkSettings.Networks"
        " NetworkSettings.Ports Labels Options Containers IPAM.Options"
    ).split()
)
"""Where keys are the user's, not names of fields."""
_LISTS = frozenset(
    (
        "Aliases Binds CapAdd CapDrop Cmd DNSNames DeviceCgroupRules DeviceRequests Entrypoint"
        " ExecIDs ExtraHosts GroupAdd Links Mounts OnBuild RepoDigests RepoTags"
        " SecondaryIPAddresses SecondaryIPv6Addresses SecurityOpt Shell VolumesFrom"
    ).split()
)
"""Fields that are lists, also where they are null."""
_ABSENT = {
    "": {"pointers": "SizeRw SizeRootFs"},
    "Config": {
        "lists": "Shell",
        "maps": "ExposedPorts",
        "pointers": "Healthcheck StopTimeout",
        "texts": "MacAddress StopSignal",
    },
    "HostConfig": {
        "lists": "Mounts",
        "maps": "Annotations StorageOpt Sysctls Tmpfs",
        "pointers": "Init",
    },
    "State": {"pointers": "Health"},
}
"""Fields of containers that Docker's JSON leaves out where they are empty, by their kind: a
template may ask for them."""


def container_finder(session: Session, *, size: bool = False) -> Callable[[str], dict[str, Any]]:
    """Gives all about the container of a name. The function raises NotFound."""

    def find(name: str) -> dict[str, Any]:
        container = session.engine.containers.get(name)
        attributes = container.attrs
        if size:
            attributes["SizeRw"], attributes["SizeRootFs"] = container.sizes()
        return attributes

    return find


def image_finder(session: Session) -> Callable[[str], dict[str, Any]]:
    """Gives all about the image of a name. The function raises NotFound."""
    return lambda name: session.engine.images.get(name).attrs


def volume_finder(session: Session) -> Callable[[str], dict[str, Any]]:
    """Gives all about the volume of a name. The function raises NotFound."""
    return lambda name: session.engine.volumes.get(name).attrs


def network_finder(session: Session) -> Callable[[str], dict[str, Any]]:
    """Gives all about the network of a name. The function raises NotFound."""
    return lambda name: session.engine.networks.get(name).attrs


def inspect(
    names: Sequence[str],
    finders: Sequence[Callable[[str], dict[str, Any]]],
    what: str,
    template: str,
) -> int:
    """Print all about each of `names`, by the first of `finders` that knows it; the exit code."""
    show = _renderer(template)
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for name in names:
        try:
            found.append(_first(name, finders, what))
        except (NotFound, InvalidArgument) as error:
            problems.append(str(error))
    write(show(found))
    for problem in problems:
        complain(problem)
    return FAILED if problems else OK


def _first(
    name: str, finders: Sequence[Callable[[str], dict[str, Any]]], what: str
) -> dict[str, Any]:
    problem: Exception | None = None
    for find in finders:
        try:
            return find(name)
        except AmbiguousName:
            raise
        except (NotFound, InvalidArgument) as error:
            problem = error
    if len(finders) == 1 and problem is not None:
        raise problem
    raise NotFound(f"no such {what}: {name}; see 'proa ps -a', 'proa images', 'proa volume ls'")


def _renderer(template: str) -> Callable[[list[dict[str, Any]]], str]:
    """What makes text of the objects. Raises BadTemplate."""
    if not template:
        import json

        return lambda found: json.dumps(found, indent=4, ensure_ascii=False) + "\n"
    from proa.cli.template import TemplateError, parse
    from proa.cli.template.values import to_json

    if template == "json":
        return lambda found: to_json(found) + "\n"
    try:
        parsed = parse(template)
    except TemplateError as error:
        raise BadTemplate(str(error)) from None
    return lambda found: "".join(parsed.render(_with_maps(value)) + "\n" for value in found)


def _with_maps(value: Any, path: str = "") -> Any:
    """As Go sees it: maps apart from structures, and null by the kind of what is not there."""
    from proa.cli.template import Fields, Mapping, NilMapping
    from proa.cli.template.values import NIL, NilList

    if value is None:
        if path.rpartition(".")[2] in _LISTS:
            return NilList()
        return NilMapping() if path in _MAPS or path.endswith(".DriverOpts") else NIL
    if isinstance(value, list):
        return [_with_maps(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    items = (
        (key, _with_maps(item, f"{path}.{key}" if path else key)) for key, item in value.items()
    )
    if path in _MAPS:
        return Mapping(items)
    empty = {"lists": NilList(), "maps": NilMapping(), "pointers": NIL, "texts": ""}
    fields = Fields(items)
    fields.absent = {
        name: empty[kind] for kind, names in _ABSENT.get(path, {}).items() for name in names.split()
    }
    return fields
