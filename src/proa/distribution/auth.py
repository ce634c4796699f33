"""Answering challenges: Basic, and Bearer with a token server.

Docker Registry v2 authentication (distribution's docs/spec/auth: token.md, oauth.md, scope.md).
A token is kept until shortly before its end, for the scopes it was given for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from proa.distribution.answers import LARGEST_ERROR, login_command, printable, refusal
from proa.distribution.headers import Challenge, challenges
from proa.distribution.transport import now
from proa.errors import Unauthorized, Unavailable
from proa.lean.json import loads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from urllib3.response import BaseHTTPResponse as Response

    from proa.distribution.credentials import Credentials
    from proa.distribution.transport import Transport

CLIENT = "proa"
_DEFAULT_LIFE = 60
_SPARE = 10
"""Seconds before its end in which a token is not used any more."""
_LONGEST_LIFE = 24 * 3600
_LARGEST_ANSWER = 1 << 20
_MOST_SCOPES = 16


class Authorizer:
    """What one registry is shown. Used by any number of threads."""

    def __init__(
        self,
        transport: Transport,
        domain: str,
        credentials: Callable[[], Credentials | None],
        verifies: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`credentials` is asked for only when the registry wants to see some; `verifies`, whether
        the server at a URL must have a certificate that is trusted."""
        self._transport = transport
        self._domain = domain
        self._source = credentials
        self._credentials: Credentials | None = None
        self._asked = False
        self._verifies = verifies
        self._lock = threading.Lock()
        self._basic = ""
        self._challenge: Challenge | None = None
        self._plain = False
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self.refresh_token = ""
        """what a token server gave for the next time, if it was asked for"""

    def header(self, scopes: Sequence[str]) -> str | None:
        """What to show at once, where it is known what the registry wants to see.

        A body should not be sent twice because a token has come to its end meanwhile.
        """
        shown = self._shown(scopes)
        if shown is None and self._challenge is not None:
            with self._lock:
                shown = self._shown(scopes)
                if shown is None:
                    return self._bearer(self._challenge, scopes)
        return shown

    def _shown(self, scopes: Sequence[str]) -> str | None:
        if self._basic:
            return self._basic
        token = self._tokens.get(tuple(sorted(scopes)))
        return f"Bearer {token[0]}" if token is not None and token[1] > now() else None

    def answer(
        self,
        response: Response,
        scopes: Sequence[str],
        shown: str | None,
        *,
        plain: bool,
        offline: bool = False,
    ) -> str | None:
        """What to show after `response`, which was 401; None where there is nothing to show.

        `shown`: what was not enough. `plain`: the registry itself is talked to without TLS.
        `offline`: ask for a refresh token as well. Raises Unauthorized, Unavailable.
        """
        found = challenges(response.headers.getlist("WWW-Authenticate"))
        with self._lock:
            known = self._shown(scopes)
            if known is not None and known != shown:
                return known  # another thread was faster
            for challenge in found:
                if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                    self._plain = plain
                    return self._bearer(challenge, scopes, offline=offline)
            for challenge in found:
                if challenge.scheme == "basic":
                    self._basic = self._show_basic(shown)
                    return self._basic or None
        return None

    def _known(self) -> Credentials | None:
        if not self._asked:
            self._credentials = self._source()
            self._asked = True
        return self._credentials

    def _show_basic(self, shown: str | None) -> str:
        credentials = self._known()
        if credentials is None or not credentials.password:
            return ""
        return "" if credentials.basic == shown else credentials.basic

    def _bearer(self, challenge: Challenge, scopes: Sequence[str], *, offline: bool = False) -> str:
        realm = challenge.parameters["realm"]
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (parts.scheme == "http" and self._plain):
            raise Unauthorized(
                f"{self._domain} sends us to {printable(realm)[:100]!r} for a token, where others"
                " could read what we say; it was refused"
            )
        credentials = self._known()
        if credentials is not None and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        wanted = list(scopes)
        for scope in challenge.parameters.get("scope", "").split():
            if scope not in wanted and not _is_covered(scope, wanted):
                wanted.append(scope)
        service = challenge.parameters.get("service", "")
        answer = self._fetch(realm, service, wanted[:_MOST_SCOPES], credentials, offline)
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token or not token.isprintable():
            raise Unavailable(f"the token server of {self._domain} gave no token")
        if isinstance(refresh := answer.get("refresh_token"), str):
            self.refresh_token = refresh
        life = answer.get("expires_in")
        seconds = life if isinstance(life, int | float) and life > 0 else _DEFAULT_LIFE
        # the clocks of two machines differ: counted from now, not from `issued_at`
        end = now() + max(min(seconds, _LONGEST_LIFE) - _SPARE, 1)
        self._tokens[tuple(sorted(scopes))] = (token, end)
        # the scope in it was that of one request
        parameters = {
            name: value for name, value in challenge.parameters.items() if name != "scope"
        }
        self._challenge = Challenge(challenge.scheme, parameters)
        return f"Bearer {token}"

    def _fetch(
        self,
        realm: str,
        service: str,
        scopes: Sequence[str],
        credentials: Credentials | None,
        offline: bool,
    ) -> Mapping[str, Any]:
        if credentials is not None and credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "client_id": CLIENT,
                "service": service,
                "scope": " ".join(scopes),
                "refresh_token": credentials.identity_token,
            }
            # not in the URL, which logs have
            body = urlencode(form).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._read(
                self._transport.request(
                    "POST", realm, headers, body=lambda: body, verify=self._verifies(realm)
                )
            )
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        if credentials is not None and credentials.password:
            headers["Authorization"] = credentials.basic
            query.append(("account", credentials.username))
            if offline:
                query += [("offline_token", "true"), ("client_id", CLIENT)]
        separator = "&" if urlsplit(realm).query else "?"
        url = f"{realm}{separator}{urlencode(query)}" if query else realm
        return self._read(self._transport.follow("GET", url, headers, verify=self._verifies(realm)))

    def _read(self, response: Response) -> Mapping[str, Any]:
        try:
            limit = _LARGEST_ANSWER if response.status == 200 else LARGEST_ERROR
            body = response.read(limit + 1)
        except Exception as error:
            raise Unavailable(f"the token server of {self._domain} broke off") from error
        finally:
            self._transport.drop(response)
        if response.status in (400, 401, 403):
            raise Unauthorized(
                f"the token server of {self._domain} refuses us"
                f" ({refusal(response.status, body).text}); log in with"
                f" '{login_command(self._domain)}'"
            )
        try:
            if response.status != 200 or len(body) > _LARGEST_ANSWER:
                raise ValueError
            answer = loads(body)
            if not isinstance(answer, dict):
                raise ValueError
        except (ValueError, RecursionError):
            raise Unavailable(
                f"the token server of {self._domain} answers with status {response.status}"
                " and no token"
            ) from None
        return answer


def _is_covered(scope: str, by: Sequence[str]) -> bool:
    """Whether the actions of `scope` (`repository:a/b:pull`) are among those of another one."""
    name, _, actions = scope.rpartition(":")
    wanted = set(actions.split(","))
    for other in by:
        other_name, _, other_actions = other.rpartition(":")
        if name == other_name and wanted <= set(other_actions.split(",")):
            return True
    return False
