"""How servers are verified: the system's certificates, and those of `certs.d` directories.

A directory named for the registry, `certs.d/HOST[:PORT]/`, has certificates to trust (`*.crt`) and
to show (`NAME.cert` with `NAME.key`), as Docker and Podman have it. Looked for below
/etc/proa, /etc/containers, /etc/docker, and the user's ~/.config/proa and ~/.docker.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SYSTEM = ("/etc/containers", "/etc/docker", "/etc/proa")


def certificate_directories(environment: Mapping[str, str] | None = None) -> list[str]:
    """The `certs.d` directories that there may be."""
    environment = os.environ if environment is None else environment
    configuration = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    docker = environment.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    return [f"{place}/certs.d" for place in (*_SYSTEM, docker, f"{configuration}/proa")]


def context(domain: str, directories: Iterable[str], *, verify: bool = True) -> ssl.SSLContext:
    """What to speak TLS with to the registry `domain` (`host[:port]`).

    `verify`: refuse a server whose certificate nobody vouches for. Raises InvalidArgument for
    files that are no certificates, PermissionDenied.
    """
    if verify:
        made = ssl.create_default_context()
    else:
        # without the system's certificates, which take a while to read
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    for directory in directories:
        path = f"{directory}/{domain}"
        try:
            names = sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            raise PermissionDenied(f"no permission to read {path}") from None
        _load(made, path, names)
    return made


def _load(made: ssl.SSLContext, path: str, names: list[str]) -> None:
    for name in names:
        file = f"{path}/{name}"
        stem, extension = os.path.splitext(name)
        try:
            if extension == ".crt":
                made.load_verify_locations(cafile=file)
            elif extension == ".cert":
                if f"{stem}.key" not in names:
                    raise InvalidArgument(f"missing key {stem}.key for client certificate {file}")
                # a key with a passphrase would ask for it on the terminal
                made.load_cert_chain(file, f"{path}/{stem}.key", password=_no_passphrase)
        except PermissionError:
            raise PermissionDenied(f"no permission to read {file}") from None
        except (ssl.SSLError, OSError) as error:
            raise InvalidArgument(
                f"{file} is not a PEM certificate with its key: {error}"
            ) from None


def _no_passphrase() -> str:
    raise InvalidArgument("a client certificate's key has a passphrase; store it without one")
