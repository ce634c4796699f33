"""Credentials of registries, where Docker keeps them: `~/.docker/config.json` and its helpers.

The file's members `auths`, `credsStore` and `credHelpers`; the protocol of helpers is that of
docker-credential-helpers. Keys of `auths` may have a path, as Podman writes them
(containers-auth.json(5)): the longest one that leads to the repository counts.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import secrets
import subprocess
from typing import TYPE_CHECKING

from proa.errors import CorruptData, InvalidArgument, PermissionDenied, Unavailable
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
"""What Docker calls its own registry in config.json."""
_HUB_KEYS = (HUB_KEY, "index.docker.io", "docker.io", "registry-1.docker.io")
_TOKEN_USER = "<token>"  # noqa: S105 - what helpers say instead of a user's name
_PATIENCE = 120


@record
class Credentials:
    """A user's name and password, or a token that stands for them."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    """a refresh token (OAuth 2), which a token server takes instead of a password"""
    registry_token: str = ""
    """a Bearer token, to be shown to the registry as it is"""

    def __repr__(self) -> str:
        # tracebacks and logs show values
        return f"<Credentials of {self.username or 'a token'}>"

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def default_path() -> str:
    """The user's file: `$DOCKER_CONFIG/config.json`, `~/.docker/config.json`."""
    directory = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    return f"{directory}/config.json"


class CredentialStore:
    """The credentials of a user."""

    def __init__(self, path: str | None = None) -> None:
        self.path = path or default_path()

    def get(self, domain: str, repository: str = "") -> Credentials | None:
        """Those for a repository of the registry `domain`, or for all of it; None: anonymous.

        Raises CorruptData for a file that cannot be understood, PermissionDenied, Unavailable for
        a helper that fails.
        """
        document = self._read()
        for key in _keys(domain):
            helper = self._helper(document, key)
            if helper and (found := _ask(helper, key)) is not None:
                return found
        entries = _table(document, "auths", self.path)
        normal = {_normal(key): entry for key, entry in entries.items()}
        path = f"{domain}/{repository}" if repository else domain
        while path:
            for key in _keys(path):
                entry = normal.get(_normal(key))
                if isinstance(entry, dict) and (found := _parse(entry, key, self.path)) is not None:
                    return found
            path = path.rpartition("/")[0]
        return None

    def put(self, domain: str, credentials: Credentials) -> str:
        """Keep them; where: `helper NAME`, or the path of the file in which they are readable."""
        key = _key(domain)
        document = self._read()
        helper = self._helper(document, key)
        if helper:
            token = credentials.identity_token
            _call(
                helper,
                "store",
                {
                    "ServerURL": key,
                    "Username": _TOKEN_USER if token else credentials.username,
                    "Secret": token or credentials.password,
                },
            )
            # as Docker: the registry's name stays in the file, its secret does not
            self._change(lambda auths: auths.update({key: {}}))
            return f"helper {helper}"
        entry = {"auth": credentials.basic.partition(" ")[2]}
        if credentials.identity_token:
            blank = Credentials(credentials.username).basic.partition(" ")[2]
            entry = {"auth": blank, "identitytoken": credentials.identity_token}
        self._change(lambda auths: auths.update({key: entry}))
        return self.path

    def forget(self, domain: str) -> bool:
        """Forget them; whether there were any."""
        document = self._read()
        names = _keys(domain)
        wanted = {_normal(name) for name in names}
        found = False
        for key in names:
            helper = self._helper(document, key)
            if helper and _ask(helper, key) is not None:
                _call(helper, "erase", key)
                found = True
        entries = [key for key in _table(document, "auths", self.path) if _normal(key) in wanted]
        if entries:
            self._change(lambda auths: [auths.pop(key, None) for key in entries])
        return found or bool(entries)

    def _helper(self, document: Mapping[str, Any], key: str) -> str:
        """The helper that is responsible for a registry; empty where none is."""
        helpers = _table(document, "credHelpers", self.path)
        for name, helper in helpers.items():
            if isinstance(helper, str) and _normal(name) == _normal(key):
                return helper
        store = document.get("credsStore")
        return store if isinstance(store, str) else ""

    def _read(self) -> dict[str, Any]:
        try:
            with open(self.path, "rb") as file:
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except PermissionError:
            raise PermissionDenied(f"no permission to read {self.path}") from None
        try:
            document = json.loads(data or b"{}")
        except (ValueError, RecursionError):
            # not the parser's message: it may quote what is in there
            raise CorruptData(f"{self.path} is not JSON; mend or remove it") from None
        if not isinstance(document, dict):
            raise CorruptData(f"{self.path} is not a JSON object; mend or remove it")
        return document

    def _change(self, change: Any) -> None:
        """Change `auths`; all else in the file stays as it is."""
        path = os.path.realpath(self.path)
        directory = os.path.dirname(path)
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                document = self._read()
                auths = _table(document, "auths", self.path)
                change(auths)
                document["auths"] = auths
                _replace(path, json.dumps(document, indent="\t") + "\n")
            finally:
                os.close(lock)
        except PermissionError:
            raise PermissionDenied(f"no permission to write {self.path}") from None


def _replace(path: str, text: str) -> None:
    temporary = f"{path}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    # never readable by others, also where the file was before
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _table(document: Mapping[str, Any], name: str, path: str) -> dict[str, Any]:
    table = document.get(name)
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise CorruptData(f"{path}: {name!r} is not an object; mend or remove it")
    return dict(table)


def _key(domain: str) -> str:
    return HUB_KEY if domain in _HUB_KEYS else domain


def _keys(path: str) -> tuple[str, ...]:
    """What a registry, or a path in it, may be called."""
    domain, slash, rest = path.partition("/")
    if domain not in _HUB_KEYS:
        return (path,)
    return tuple(f"{domain}{slash}{rest}" for domain in _HUB_KEYS[1:]) if rest else _HUB_KEYS


def _normal(key: str) -> str:
    """A key without what old versions of Docker wrote around it."""
    key = key.partition("://")[2] if "://" in key else key
    key = key.rstrip("/")
    for version in ("/v1", "/v2"):
        key = key.removesuffix(version)
    return key


def _parse(entry: Mapping[str, Any], key: str, path: str) -> Credentials | None:
    def text(name: str) -> str:
        value = entry.get(name)
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if text("auth"):
        try:
            pair = base64.b64decode(text("auth"), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise CorruptData(f"{path}: 'auth' of {key} is not valid; log in again") from None
        username, _, password = pair.rstrip("\0").partition(":")
    found = Credentials(username, password, text("identitytoken"), text("registrytoken"))
    if found.password or found.identity_token or found.registry_token:
        return found
    return None


def _ask(helper: str, key: str) -> Credentials | None:
    answer = _call(helper, "get", key)
    if answer is None:
        return None
    try:
        document = json.loads(answer)
        username, secret = str(document["Username"]), str(document["Secret"])
    except (ValueError, KeyError, TypeError):
        raise Unavailable(f"docker-credential-{helper} gave no credentials for {key}") from None
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username, secret)


def _call(helper: str, verb: str, message: str | Mapping[str, str]) -> bytes | None:
    """What a helper answers; None where it has nothing for that registry. Raises Unavailable."""
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise InvalidArgument(f"{helper[:100]!r} is not the name of a credential helper")
    # by its standard input: arguments are seen by everybody
    data = message if isinstance(message, str) else json.dumps(message)
    try:
        done = subprocess.run(
            [program, verb],
            input=data.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable(f"there is no program {program}, which config.json names") from None
    except (OSError, subprocess.TimeoutExpired):
        raise Unavailable(f"{program} does not answer") from None
    if done.returncode == 0:
        return done.stdout
    if verb == "get" and b"not found" in done.stdout:
        return None
    # what it printed may hold what it was given
    raise Unavailable(f"{program} {verb} ended with {done.returncode}")
