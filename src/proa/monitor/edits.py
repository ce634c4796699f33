"""Merges what a container's devices need into its spec, at each start: they may differ by then."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def apply(spec: dict[str, Any], edits: Mapping[str, Any]) -> None:
    """Merge `edits` into the runtime spec `spec`.

    env: variables, in the place of those of the same name; devices: OCI's, each with `access` (rwm
    by default) for its cgroup; mounts: OCI's, in the place of those at the same destination; hooks:
    by kind, after those that there are; groups: further ones of the first process.
    """
    process, linux = spec["process"], spec["linux"]
    variables = {item.partition("=")[0]: item for item in process.get("env") or ()}
    variables.update((item.partition("=")[0], item) for item in edits["env"])
    process["env"] = list(variables.values())
    nodes = {node["path"]: node for node in linux.get("devices") or ()}
    rules = linux["resources"]["devices"]
    for edit in edits["devices"]:
        node = dict(edit)
        access = node.pop("access", None) or "rwm"
        nodes[node["path"]] = node
        if node["type"] != "p":
            rules.append(
                {
                    "allow": True,
                    "type": "c" if node["type"] == "u" else node["type"],
                    "major": node["major"],
                    "minor": node["minor"],
                    "access": access,
                }
            )
    linux["devices"] = list(nodes.values())
    taken = {mount["destination"] for mount in edits["mounts"]}
    spec["mounts"] = [
        *(mount for mount in spec["mounts"] if mount["destination"] not in taken),
        *edits["mounts"],
    ]
    if edits["hooks"]:
        hooks = spec.setdefault("hooks", {})
        for kind, entries in edits["hooks"].items():
            hooks[kind] = [*(hooks.get(kind) or ()), *entries]
    if edits["groups"]:
        user = process.setdefault("user", {})
        user["additionalGids"] = [*(user.get("additionalGids") or ()), *edits["groups"]]
