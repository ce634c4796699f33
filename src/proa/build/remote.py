"""Files from elsewhere: what ADD and a build's own PATH take from URLs and git repositories.

What was fetched is kept in the store's directory of builds and asked for again only where the
server says that it is another one, or, of a repository, where the branch has moved.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import time
from typing import TYPE_CHECKING

from proa.build.workspace import fetched_path
from proa.errors import CorruptData, InvalidArgument, NotFound, Unavailable
from proa.lean.record import record
from proa.store.lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPResponse

    from proa.store.store import Store

_SCHEMES = ("http://", "https://")
_GIT_SCHEMES = ("git://", "ssh://", "git+https://", "git+http://")
_SCP = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:.+")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_CHUNK = 1 << 20
_PATIENCE = 60.0
_GIT_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    # a repository may name others: no program is run for their sake, and no file of ours is read
    "GIT_ALLOW_PROTOCOL": "http:https:git:ssh",
    "LC_ALL": "C",
}


@record
class Repository:
    """A git repository, as `URL#REF:DIRECTORY` names it."""

    url: str
    ref: str = ""
    directory: str = ""


@record
class Fetched:
    """What was fetched: the directory `root` holds it alone."""

    root: str
    name: str
    """of the file; empty for a repository"""


def is_remote(text: str) -> bool:
    """Whether `text` is a URL or a git repository rather than a path."""
    return text.startswith((*_SCHEMES, *_GIT_SCHEMES)) or _SCP.fullmatch(text) is not None


def parse_repository(text: str) -> Repository | None:
    """The repository that `text` names; None where it is something else."""
    url, _, fragment = text.partition("#")
    if not (
        url.startswith(_GIT_SCHEMES)
        or _SCP.fullmatch(url)
        or (url.startswith(_SCHEMES) and posixpath.splitext(url)[1] == ".git")
    ):
        return None
    ref, _, directory = fragment.partition(":")
    if ref.startswith("-") or url.startswith("-"):
        raise InvalidArgument(f"invalid git reference {text!r}")
    return Repository(url.removeprefix("git+"), ref, directory.strip("/"))


def fetch(store: Store, text: str, *, checksum: str = "", keep_git_dir: bool = False) -> Fetched:
    """What `text` names. Raises NotFound, Unavailable, CorruptData (another checksum)."""
    place = fetched_path(store, f"{text}\n{keep_git_dir}")
    os.makedirs(place, 0o700, exist_ok=True)
    with FileLock(f"{place}/lock"):
        repository = parse_repository(text)
        if repository is not None:
            return _fetch_repository(place, repository, checksum, keep_git_dir)
        return _fetch_file(place, text, checksum)


# -- files


def _fetch_file(place: str, url: str, checksum: str) -> Fetched:
    known = _read_known(place)
    response = _request(url, known)
    if response is not None:
        with response:
            known = _download(place, url, response)
    name, digest = str(known["name"]), str(known["digest"])
    if checksum and checksum != digest:
        raise CorruptData(f"digest mismatch of {url}: expected {checksum}, got {digest}")
    return Fetched(f"{place}/{known['directory']}", name)


def _read_known(place: str) -> dict[str, object]:
    try:
        with open(f"{place}/known.json", encoding="utf-8") as file:
            known: dict[str, object] = json.load(file)
        os.stat(f"{place}/{known['directory']}")
    except (OSError, ValueError, KeyError):
        return {}
    return known


def _request(url: str, known: Mapping[str, object]) -> HTTPResponse | None:
    """The answer; None where what is known is still so."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    headers = {"User-Agent": "proa", "Accept-Encoding": "identity"}
    if known.get("etag"):
        headers["If-None-Match"] = str(known["etag"])
    elif known.get("modified"):
        headers["If-Modified-Since"] = str(known["modified"])
    try:
        # its scheme was looked at, and none but those of the web is followed
        request = Request(url, headers=headers)  # noqa: S310
        response: HTTPResponse = urlopen(request, timeout=_PATIENCE)  # noqa: S310
    except HTTPError as error:
        with error:
            if error.code == 304 and known:
                return None
            kind = NotFound if error.code in (404, 410) else Unavailable
            raise kind(f"{url}: the server answers {error.code} {error.reason}") from None
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Unavailable(f"cannot fetch {url}: {reason}") from None
    return response


def _download(place: str, url: str, response: HTTPResponse) -> dict[str, object]:
    from email.utils import parsedate_to_datetime
    from urllib.parse import unquote, urlsplit

    name = posixpath.basename(unquote(urlsplit(response.url).path).rstrip("/"))
    name = response.headers.get_filename() or name
    name = posixpath.basename(name.replace("\0", "")) or "download"
    if name in (".", ".."):
        name = "download"
    directory = f"file-{time.time_ns()}"
    os.mkdir(f"{place}/{directory}", 0o700)
    path = f"{place}/{directory}/{name}"
    content = hashlib.sha256()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            while chunk := response.read(_CHUNK):
                content.update(chunk)
                file.write(chunk)
        except OSError as error:
            raise Unavailable(f"cannot fetch {url}: {error}") from None
    modified = response.headers.get("Last-Modified", "")
    try:
        seconds = parsedate_to_datetime(modified).timestamp() if modified else 0
    except ValueError:
        seconds = 0
    os.utime(path, (seconds, seconds))
    known: dict[str, object] = {
        "name": name,
        "directory": directory,
        "digest": f"sha256:{content.hexdigest()}",
        "etag": response.headers.get("ETag", ""),
        "modified": modified,
    }
    _replace_known(place, known)
    return known


def _replace_known(place: str, known: Mapping[str, object]) -> None:
    with open(f"{place}/known.json.new", "w", encoding="utf-8") as file:
        json.dump(known, file)
    os.replace(f"{place}/known.json.new", f"{place}/known.json")


# -- repositories


def _fetch_repository(
    place: str, repository: Repository, checksum: str, keep_git_dir: bool
) -> Fetched:
    import shutil

    ref = repository.ref or "HEAD"
    commit = ref if _COMMIT.fullmatch(ref) else _commit_of(repository, ref)
    if checksum and not commit.startswith(checksum):
        raise CorruptData(f"digest mismatch of {repository.url}: expected {checksum}, got {commit}")
    root = f"{place}/git-{commit}"
    if not os.path.exists(root):
        draft = f"{place}/draft"
        shutil.rmtree(draft, ignore_errors=True)
        os.mkdir(draft, 0o700)
        _git(repository, draft, "init", "--quiet", "--template=")
        _git(repository, draft, "remote", "add", "origin", repository.url)
        _git(repository, draft, "fetch", "--quiet", "--depth=1", "origin", commit, fallback=ref)
        _git(repository, draft, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        _git(
            repository,
            draft,
            *("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"),
        )
        if not keep_git_dir:
            shutil.rmtree(f"{draft}/.git")
        os.rename(draft, root)
    if repository.directory:
        inside = os.path.realpath(f"{root}/{repository.directory}")
        if not inside.startswith(os.path.realpath(root) + "/") or not os.path.isdir(inside):
            raise NotFound(f"no such directory in {repository.url}: {repository.directory}")
        root = inside
    return Fetched(root, "")


def _commit_of(repository: Repository, ref: str) -> str:
    shown = _git(repository, "/", "ls-remote", "--quiet", repository.url, ref, f"{ref}^{{}}")
    found = [line.split("\t") for line in shown.splitlines()]
    wanted = (f"refs/tags/{ref}^{{}}", f"refs/heads/{ref}", f"refs/tags/{ref}", ref)
    for name in wanted:
        for commit, full in found:
            if full == name:
                return commit
    raise NotFound(f"no such branch or tag in {repository.url}: {ref}")


def _git(repository: Repository, directory: str, *arguments: str, fallback: str = "") -> str:
    """Run git; `fallback`: the last argument instead, for servers that do not give commits."""
    import subprocess

    try:
        result = subprocess.run(
            ["git", "-C", directory, "-c", "core.hooksPath=/dev/null", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **_GIT_ENVIRONMENT},
            check=False,
        )
    except FileNotFoundError:
        raise NotFound("git is missing: install it to build of a git repository") from None
    if result.returncode == 0:
        return result.stdout
    if fallback and fallback != arguments[-1]:
        return _git(repository, directory, *arguments[:-1], fallback)
    reason = result.stderr.strip().splitlines()
    raise Unavailable(
        f"cannot fetch {repository.url}: {reason[-1] if reason else 'git failed without a word'}"
    )
