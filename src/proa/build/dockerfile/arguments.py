"""Build arguments: where their values come from, and who sees them.

Before the first FROM they are global: FROM sees them, and a stage that declares one again. In a
stage they are seen from their ARG on, in it and in the stages built upon it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.build.dockerfile.expand import Expander

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proa.build.dockerfile.instructions import Arg
    from proa.build.dockerfile.source import Source
    from proa.oci.platform import Platform

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PREDEFINED = frozenset((*_PROXIES, *(name.lower() for name in _PROXIES)))
"""Known to every RUN without an ARG; in neither history nor cache key unless declared."""

BUILD_ONLY = frozenset(
    (
        "BUILDKIT_BUILD_NAME",
        "BUILDKIT_CACHE_MOUNT_NS",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_DOCKERFILE_CHECK",
        "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_MULTI_PLATFORM",
        "BUILDKIT_SANDBOX_HOSTNAME",
        "BUILDKIT_SBOM_SCAN_CONTEXT",
        "BUILDKIT_SBOM_SCAN_STAGE",
        "BUILDKIT_SYNTAX",
        "SOURCE_DATE_EPOCH",
    )
)
"""They speak to the builder; that no ARG declares them is nothing to warn of."""


def platform_arguments(build: Platform, target: Platform, stage: str = "default") -> dict[str, str]:
    """The arguments that say for what and where is built: BUILDPLATFORM, TARGETARCH …"""
    found = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        found[f"{prefix}PLATFORM"] = str(platform)
        found[f"{prefix}OS"] = platform.os
        found[f"{prefix}OSVERSION"] = platform.os_version
        found[f"{prefix}ARCH"] = platform.architecture
        found[f"{prefix}VARIANT"] = platform.variant
    found["TARGETSTAGE"] = stage or "default"
    return found


def global_arguments(
    arguments: Sequence[Arg],
    given: Mapping[str, str],
    predefined: Mapping[str, str],
    source: Source,
    escape: str,
) -> tuple[dict[str, str], frozenset[str]]:
    """The global arguments that have a value, and the names that were declared.

    `given`: what the user says; it counts more than a default value and than `predefined`.
    Raises DockerfileError.
    """
    values = {name: given.get(name, value) for name, value in predefined.items()}
    declared = set()
    for instruction in arguments:
        for name, default in instruction.pairs:
            expander = Expander(values, source, instruction.span, escape)
            key = expander.value(name)
            declared.add(key)
            if key in given:
                values[key] = given[key]
            elif default is not None:
                values[key] = expander.value(default)
    return values, frozenset(declared)


def stage_arguments(
    instruction: Arg,
    variables: Mapping[str, str],
    *,
    given: Mapping[str, str],
    global_values: Mapping[str, str],
    source: Source,
    escape: str,
) -> dict[str, str | None]:
    """What an ARG in a stage declares; None: it has no value.

    `variables`: what is seen up to there. Raises DockerfileError.
    """
    found: dict[str, str | None] = {}
    expander = Expander(variables, source, instruction.span, escape)
    for name, default in instruction.pairs:
        key = expander.value(name)
        if key in given:
            found[key] = given[key]
        elif default is not None:
            found[key] = expander.value(default)
        else:
            found[key] = global_values.get(key)
    return found
