"""What a container's log says of the container: a tag, and the labels and variables asked for.

Tags are templates, as `{{.ImageName}}/{{.Name}}`, with the fields that Docker documents.
"""

from __future__ import annotations

import re

from proa.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.engine.config import ContainerConfig
    from proa.engine.process import Process
    from proa.store.containers import ContainerRow

_DEFAULT_TAG = "{{.ID}}"
_FIELD = re.compile(r"\{\{-?\s*\.(\w+)\s*-?\}\}")
_FIELDS = ("ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "Command", "DaemonName")


def check(options: Mapping[str, str]) -> None:
    """Refuse a tag or a pattern that is none. Raises InvalidArgument."""
    tag = options.get("tag", "")
    rest = _FIELD.sub("", tag)
    unknown = [name for name in _FIELD.findall(tag) if name not in _FIELDS]
    if unknown or "{{" in rest or "}}" in rest:
        raise InvalidArgument(
            f"log opt tag={tag}: it can have {', '.join(f'{{{{.{name}}}}}' for name in _FIELDS)}"
        )
    for name in ("labels-regex", "env-regex"):
        try:
            re.compile(options.get(name, ""))
        except re.error as error:
            raise InvalidArgument(
                f"log opt {name}={options[name]}: not a regular expression ({error})"
            ) from None


def info(row: ContainerRow, config: ContainerConfig, process: Process) -> dict[str, Any]:
    """What a driver that passes the log on is told of the container."""
    options = config.log_options or {}
    return {
        "id": row.id,
        "name": row.name,
        "image": config.image,
        "tag": _tag(options.get("tag") or _DEFAULT_TAG, row, config, process),
        "attributes": _chosen(options, process),
    }


def details(row: ContainerRow, config: ContainerConfig, process: Process) -> dict[str, str]:
    """What `logs --details` shows with each line."""
    options = config.log_options or {}
    found = _chosen(options, process)
    if options.get("tag"):
        found["tag"] = _tag(options["tag"], row, config, process)
    return found


def _chosen(options: Mapping[str, str], process: Process) -> dict[str, str]:
    variables = dict(item.partition("=")[::2] for item in process.environment)
    found: dict[str, str] = {}
    for option, source in (("labels", process.labels), ("env", variables)):
        wanted = [name for name in options.get(option, "").split(",") if name]
        found.update((name, source[name]) for name in wanted if name in source)
        if pattern := options.get(f"{option}-regex"):
            matches = re.compile(pattern).search
            found.update((name, value) for name, value in source.items() if matches(name))
    return found


def _tag(template: str, row: ContainerRow, config: ContainerConfig, process: Process) -> str:
    values = {
        "ID": row.id[:12],
        "FullID": row.id,
        "Name": row.name,
        "ImageID": row.image.removeprefix("sha256:")[:12],
        "ImageFullID": row.image,
        "ImageName": config.image,
        "Command": " ".join(process.arguments),
        "DaemonName": "docker",
    }
    return _FIELD.sub(lambda match: values[match[1]], template)
