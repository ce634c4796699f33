"""What this machine and this user say about registries: `registries.toml`.

    [registry."docker.io"]
    mirrors = ["https://mirror.example.org", "http://10.0.0.1:5000/cache"]

    [registry."10.0.0.1:5000"]
    insecure = true

A mirror is asked before the registry itself, in order; what it does not have, or where it does
not answer, the next one is asked. `insecure`: certificates are not verified, and where the
registry does not speak TLS at all, neither do we. Registries on this machine's loopback device
are taken as insecure, as Docker does: nobody is in between.

The system's file is /etc/proa/registries.toml, the user's ~/.config/proa/registries.toml
(XDG_CONFIG_HOME); what the user's says about a registry takes the place of what the system's
says. PROA_REGISTRIES names a file to read instead of both.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from proa.errors import InvalidArgument, PermissionDenied
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_SYSTEM = "/etc/proa/registries.toml"
_KNOWN = frozenset(("mirrors", "insecure"))


@record
class Mirror:
    """Where else the repositories of a registry are."""

    scheme: str
    """https, or http where that is what was written"""
    domain: str
    """host[:port]"""
    prefix: str = ""
    """what stands before `/v2`: `/cache`"""


@record
class RegistrySettings:
    """What is said about one registry."""

    mirrors: tuple[Mirror, ...] = ()
    insecure: bool = False


class Settings:
    """What is said about all of them."""

    def __init__(
        self, registries: Mapping[str, RegistrySettings], insecure: Iterable[str] = ()
    ) -> None:
        """`insecure`: further registries that are to be taken as insecure."""
        self._registries = registries
        self._insecure = frozenset(insecure)

    @classmethod
    def load(
        cls, environment: Mapping[str, str] | None = None, *, insecure: Iterable[str] = ()
    ) -> Settings:
        """Read the files. Raises InvalidArgument, which names file and place; PermissionDenied."""
        environment = os.environ if environment is None else environment
        named = environment.get("PROA_REGISTRIES")
        home = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        paths = [named] if named else [_SYSTEM, f"{home}/proa/registries.toml"]
        registries: dict[str, RegistrySettings] = {}
        for path in paths:
            registries.update(_read(path, must_exist=bool(named)))
        return cls(registries, insecure)

    def mirrors(self, domain: str) -> tuple[Mirror, ...]:
        """Whom to ask before the registry itself."""
        return self._registries.get(domain, _NOTHING).mirrors

    def is_insecure(self, domain: str) -> bool:
        """Whether the registry may be one without TLS, or with a certificate of its own making."""
        return (
            domain in self._insecure
            or self._registries.get(domain, _NOTHING).insecure
            or _is_loopback(domain)
        )


_NOTHING = RegistrySettings()


def _is_loopback(domain: str) -> bool:
    host = urlsplit(f"//{domain}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(path: str, *, must_exist: bool) -> dict[str, RegistrySettings]:
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        if must_exist:
            raise InvalidArgument(f"no such file: {path}, which PROA_REGISTRIES names") from None
        return {}
    except PermissionError:
        raise PermissionDenied(f"no permission to read {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {error.strerror}") from None
    tables = document.pop("registry", {})
    if document or not isinstance(tables, dict):
        wrong = min(document) if document else "registry"
        raise InvalidArgument(f'{path}: {wrong!r} is unknown; write [registry."HOST[:PORT]"]')
    return {domain: _registry(path, domain, table) for domain, table in tables.items()}


def _registry(path: str, domain: str, table: Any) -> RegistrySettings:
    place = f'{path}: [registry."{domain}"]'
    if not isinstance(table, dict):
        raise InvalidArgument(f"{place} is not a table")
    if unknown := table.keys() - _KNOWN:
        raise InvalidArgument(f"{place}: {min(unknown)!r} is unknown; there are insecure, mirrors")
    mirrors, insecure = table.get("mirrors", []), table.get("insecure", False)
    if not isinstance(insecure, bool):
        raise InvalidArgument(f"{place}: 'insecure' is not true or false")
    if not isinstance(mirrors, list) or not all(isinstance(text, str) for text in mirrors):
        raise InvalidArgument(f"{place}: 'mirrors' is not a list of URLs")
    return RegistrySettings(tuple(_mirror(place, text) for text in mirrors), insecure)


def _mirror(place: str, text: str) -> Mirror:
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
        _ = parts.port
    except ValueError:
        valid = False
    if not valid or parts.username is not None:
        raise InvalidArgument(
            f"{place}: mirror {text[:200]!r} is not a URL as in https://mirror.example.org/path"
        )
    return Mirror(parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/v2"))
