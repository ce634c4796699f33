"""What a registry's answer means: errors in the form of the specification, as kinds of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import (
    Conflict,
    CorruptData,
    ImageNotFound,
    InvalidArgument,
    LimitExceeded,
    NotFound,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from proa.lean.json import loads
from proa.lean.record import record

if TYPE_CHECKING:
    from proa.errors import ProaError

LARGEST_ERROR = 64 << 10
_LONGEST = 300


@record
class Refusal:
    """What an answer that is an error says."""

    status: int
    code: str = ""
    """MANIFEST_UNKNOWN, DENIED, … (distribution-spec, "Error Codes"); empty where not told"""
    message: str = ""

    @property
    def text(self) -> str:
        """For people, in one line."""
        parts = [self.code.replace("_", " ").lower(), self.message]
        return ": ".join(part for part in parts if part) or f"it answers with status {self.status}"


def refusal(status: int, body: bytes) -> Refusal:
    """What the body of an answer with an error's status says. Whatever it is, nothing is raised."""
    try:
        document = loads(body)
    except (ValueError, RecursionError):
        return Refusal(status)
    if not isinstance(document, dict):
        return Refusal(status)
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else document
    if not isinstance(first, dict):
        return Refusal(status)
    # token servers answer with `details` or as OAuth does
    message = first.get("message") or first.get("details") or first.get("error_description") or ""
    code = first.get("code") or first.get("error") or ""
    return Refusal(status, printable(code), printable(message))


def printable(text: object) -> str:
    """A server's text, safe for a terminal: one line, no control characters, not long."""
    if not isinstance(text, str):
        return ""
    line = "".join(character if character.isprintable() else " " for character in text[:_LONGEST])
    return " ".join(line.split())


def explain(refused: Refusal, what: str, domain: str) -> ProaError:
    """The error for a refusal: `what` names what was asked for, `domain` the registry."""
    status, said = refused.status, refused.text
    if status == 401:
        return Unauthorized(
            f"{what}: {domain} wants a login ({said}); log in with '{login_command(domain)}'"
        )
    if status == 403 or refused.code == "DENIED":
        return Unauthorized(f"{what}: access was denied ({said})")
    if refused.code in ("MANIFEST_UNKNOWN", "NAME_UNKNOWN", "TAG_UNKNOWN"):
        return ImageNotFound(f"{what} not found: {said}")
    if status == 404:
        return NotFound(f"{what} not found: {said}")
    if status == 409:
        return Conflict(f"{what}: {said}")
    if status == 413:
        return LimitExceeded(f"{what}: {domain} does not take that much at a time ({said})")
    if status == 429:
        return Unavailable(f"{what}: {domain} is asked too often ({said}); try again later")
    if refused.code in ("DIGEST_INVALID", "SIZE_INVALID"):
        return CorruptData(f"{what}: {said}")
    if status == 405 or refused.code == "UNSUPPORTED":
        return Unsupported(f"{what}: {domain} cannot do that ({said})")
    if 400 <= status < 500:
        return InvalidArgument(f"{what}: {domain} refuses it with status {status} ({said})")
    return Unavailable(f"{what}: {domain} answers with status {status} ({said})")


def login_command(domain: str) -> str:
    """How to log in to a registry."""
    return "proa login" if domain == "docker.io" else f"proa login {domain}"
