"""Why a request is refused, in the specification's terms (distribution-spec, "Error Codes")."""

from __future__ import annotations

from proa.errors import ProaError
from proa.lean.json import dumps


class Refused(ProaError):
    """A request that is refused: an HTTP status, a code of the specification, and a word."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def body(self) -> bytes:
        """What is answered."""
        return dumps({"errors": [{"code": self.code, "message": str(self)}]}).encode()


def unknown_name(name: str) -> Refused:
    """No such repository."""
    return Refused(404, "NAME_UNKNOWN", f"repository {name} is not known to this registry")


def unknown_manifest(name: str, reference: str) -> Refused:
    """No such manifest or tag."""
    return Refused(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {reference}")


def unknown_blob(name: str, digest: str) -> Refused:
    """No such blob in this repository."""
    return Refused(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}")


def unknown_upload(id: str) -> Refused:
    """No such upload, or not any more."""
    return Refused(404, "BLOB_UPLOAD_UNKNOWN", f"there is no upload {id}")


def bad_digest(text: str, why: str) -> Refused:
    """Not a digest, or another one."""
    return Refused(400, "DIGEST_INVALID", f"digest {text[:200]!r}: {why}")
