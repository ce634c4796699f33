"""What a build is asked for."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proa.oci.platform import Platform

_NONE: Mapping[str, str] = MappingProxyType({})


@record
class Secret:
    """A value for `RUN --mount=type=secret`; it is nowhere but in that command's sight."""

    id: str
    value: bytes

    def __repr__(self) -> str:
        return f"<Secret {self.id}>"


@record
class BuildOptions:
    """Names and meanings are those of `docker build`'s flags."""

    platform: Platform
    """what is built for"""
    target: str = ""
    build_args: Mapping[str, str] = _NONE
    labels: Mapping[str, str] = _NONE
    no_cache: bool = False
    no_cache_stages: frozenset[str] = frozenset()
    contexts: Mapping[str, str] = _NONE
    """by name: a directory, or `docker-image://REFERENCE`"""
    network: str = "default"
    """of RUNs that say nothing of it"""
    hosts: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    ssh: Mapping[str, str] = _NONE
    """by id: the socket of an agent"""
    allow: frozenset[str] = frozenset()
    """entitlements: security.insecure, network.host"""
    epoch: int | None = None
    """SOURCE_DATE_EPOCH: seconds since 1970"""
    explain: bool = False
    keep_failed: bool = False
    """make an image of the file system in which a RUN has failed"""
