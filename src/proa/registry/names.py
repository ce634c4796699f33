"""Names of repositories and tags, and what a path of the API leads to."""

from __future__ import annotations

import re

from proa.errors import InvalidArgument
from proa.lean.record import record
from proa.oci.digest import Digest
from proa.registry.refusals import Refused, bad_digest

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_LONGEST = 255
_ROUTES = (
    ("manifest", re.compile(r"(?P<name>.+)/manifests/(?P<rest>[^/]+)")),
    ("uploads", re.compile(r"(?P<name>.+)/blobs/uploads(?P<rest>)/?")),
    ("upload", re.compile(r"(?P<name>.+)/blobs/uploads/(?P<rest>[^/]+)")),
    ("blob", re.compile(r"(?P<name>.+)/blobs/(?P<rest>[^/]+)")),
    ("tags", re.compile(r"(?P<name>.+)/tags/(?P<rest>list)")),
    ("referrers", re.compile(r"(?P<name>.+)/referrers/(?P<rest>[^/]+)")),
)


@record
class Route:
    """What a path is about."""

    kind: str
    """manifest, blob, uploads, upload, tags, referrers"""
    name: str
    """the repository"""
    rest: str
    """a tag, a digest, an upload's id"""


def route(path: str) -> Route | None:
    """What a path behind `/v2/` leads to; None: nowhere. Raises Refused for a bad name."""
    for kind, pattern in _ROUTES:
        found = pattern.fullmatch(path)
        if found is not None:
            return Route(kind, check_name(found["name"]), found["rest"])
    return None


def check_name(name: str) -> str:
    """`name`, if it is a repository's. Raises Refused."""
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise Refused(400, "NAME_INVALID", f"{name[:200]!r} is not the name of a repository")
    return name


def is_tag(text: str) -> bool:
    """Whether it can be a tag."""
    return _TAG.fullmatch(text) is not None


def digest(text: str) -> Digest:
    """`text` as a digest. Raises Refused."""
    try:
        return Digest(text)
    except InvalidArgument:
        raise bad_digest(text, "expected sha256:… or sha512:…") from None
