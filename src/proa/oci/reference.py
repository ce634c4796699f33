"""References: how images are named (`docker.io/library/alpine:3.20@sha256:…`).

Grammar and normalisation are those of the distribution project's package `reference`, which
Docker, Podman and containerd use: a name without a domain is one of docker.io, and there a path
of one component is one of `library/`.
"""

from __future__ import annotations

from proa.errors import InvalidArgument
from proa.lean.record import record, replace
from proa.oci.digest import Digest, is_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_LONGEST_NAME = 255
_LONGEST_TAG = 128

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_LETTERS = _LOWER + _LOWER.upper()
_ALPHANUMERIC = frozenset(_LETTERS + _DIGITS)
_WORD = frozenset(_LETTERS + _DIGITS + "_")
_TAG = frozenset(_LETTERS + _DIGITS + "_.-")
_COMPONENT = frozenset(_LOWER + _DIGITS)
_HOST = frozenset(_LETTERS + _DIGITS + "-")
_IPV6 = frozenset("0123456789abcdefABCDEF:")


@record
class Reference:
    """A fully qualified name of an image, with a tag, a digest, both or neither."""

    domain: str
    """the registry: `docker.io`, `localhost:5000`, `[::1]:5000`"""
    path: str
    """the repository in it: `library/alpine`"""
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference that a user means by `text`.

        Raises InvalidArgument where it is not well formed.
        """
        if len(text) == 64 and is_hex(text):
            raise _invalid(text, "64 hexadecimal digits are an image id, not a name")
        name, at, digest_text = text.partition("@")
        digest = None
        if at:
            try:
                digest = Digest(digest_text)
            except InvalidArgument:
                raise _invalid(text, "what follows '@' is not a digest") from None
        domain, path = _split_domain(name)
        path, colon, tag = path.partition(":")
        if not path:
            raise _invalid(text, "the name is missing")
        if colon and not _is_tag(tag):
            raise _invalid(
                text,
                "a tag has letters, digits, '_', '.', '-', begins with neither '.' nor '-',"
                " and has at most 128 characters",
            )
        if path != path.lower():
            raise _invalid(text, "the repository's name must be lower-case")
        for component in path.split("/"):
            if not _is_component(component):
                raise _invalid(
                    text,
                    f"{component!r} is not a part of a repository's name: lower-case letters and"
                    " digits, separated by '.', '_', '__' or '-'",
                )
        if not _is_domain(domain):
            raise _invalid(text, f"{domain!r} is not a registry's host[:port]")
        if len(path) > _LONGEST_NAME:
            raise _invalid(text, f"the repository's name is longer than {_LONGEST_NAME}")
        return cls(domain, path, tag if colon else None, digest)

    @property
    def repository(self) -> str:
        """Domain and path: `docker.io/library/alpine`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as Docker shows it: `alpine`, `me/tool`, `quay.io/me/tool`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        short = self.path.removeprefix(_OFFICIAL)
        if short != self.path and "/" not in short:
            return short
        first, slash, _ = self.path.partition("/")
        # without its domain, `docker.io/localhost/a` would be another image
        return self.repository if slash and _is_domain_like(first) else self.path

    @property
    def familiar(self) -> str:
        """The reference as Docker shows it: without `docker.io/` and `library/`."""
        return self.familiar_name + self._suffix()

    def with_default_tag(self) -> Self:
        """Itself, with the tag `latest` where it has neither tag nor digest."""
        if self.tag is None and self.digest is None:
            return replace(self, tag=DEFAULT_TAG)
        return self

    def without_digest(self) -> Self:
        """Itself with no digest."""
        return replace(self, digest=None)

    def __str__(self) -> str:
        return self.repository + self._suffix()

    def _suffix(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        return tag if self.digest is None else f"{tag}@{self.digest}"


def _invalid(text: str, reason: str) -> InvalidArgument:
    return InvalidArgument(f"invalid reference {text[:300]!r}: {reason}")


def _split_domain(name: str) -> tuple[str, str]:
    """Domain and the rest: the first component is a domain where it can be nothing else."""
    first, slash, rest = name.partition("/")
    domain = first
    if not slash or not _is_domain_like(first):
        domain, rest = DEFAULT_DOMAIN, name
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and rest and "/" not in rest:
        rest = _OFFICIAL + rest
    return domain, rest


def _is_domain_like(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _is_tag(tag: str) -> bool:
    return 0 < len(tag) <= _LONGEST_TAG and tag[0] in _WORD and _TAG.issuperset(tag)


def _is_component(component: str) -> bool:
    if not component or component[0] not in _COMPONENT or component[-1] not in _COMPONENT:
        return False
    separator = ""
    for character in component:
        if character in _COMPONENT:
            if separator and separator not in (".", "_", "__") and separator.strip("-"):
                return False
            separator = ""
        elif character in "._-":
            separator += character
        else:
            return False
    return True


def _is_domain(domain: str) -> bool:
    if domain[:1] == "[":
        host, bracket, port = domain[1:].partition("]")
        if not bracket or not host or not _IPV6.issuperset(host):
            return False
        if port[:1] not in ("", ":"):
            return False
        colon, port = port[:1], port[1:]
    else:
        host, colon, port = domain.partition(":")
        for label in host.split("."):
            if not label or label[0] == "-" or label[-1] == "-" or not _HOST.issuperset(label):
                return False
    return not colon or (port.isascii() and port.isdecimal())
