"""Logging in: trying credentials, and what to keep of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.distribution.client import Client
from proa.distribution.credentials import HUB, HUB_KEY, Credentials
from proa.errors import InvalidArgument, Unauthorized
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from proa.distribution.settings import Settings


def server_of(text: str | None) -> tuple[str, str]:
    """Domain and path of what `proa login` was called with; nothing: Docker's registry.

    Raises InvalidArgument.
    """
    if not text or text == HUB_KEY:
        return HUB, ""
    domain, _, path = (text.partition("://")[2] if "://" in text else text).partition("/")
    path = path.strip("/")
    if path in ("v1", "v2"):
        path = ""
    try:
        reference = Reference.parse(f"{domain}/{path or 'a/a'}")
    except InvalidArgument:
        raise InvalidArgument(f"{text[:200]!r} is not a registry as in host:5000") from None
    return (HUB if reference.domain == HUB else domain), path


def verify(
    domain: str, path: str, credentials: Credentials, *, settings: Settings | None = None
) -> Credentials:
    """Show them to the registry; what to keep: a token server may give a token to keep instead.

    Raises Unauthorized, Unavailable, TimedOut.
    """
    with Client(settings=settings, credentials=credentials) as client:
        endpoint = client.registry(domain, path)
        try:
            response = endpoint.call("GET", "/v2/", what=f"login to {domain}", offline=True)
        except Unauthorized as error:
            raise Unauthorized(
                f"login to {domain} was refused: incorrect username or password"
            ) from error
        client.transport.finish(response)
        token = endpoint.authorizer.refresh_token
    return Credentials(credentials.username, "", token) if token else credentials
