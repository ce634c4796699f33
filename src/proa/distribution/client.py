"""A client of all registries: finds where one is, and what to show it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from proa.distribution.answers import LARGEST_ERROR, Refusal, explain, refusal
from proa.distribution.auth import Authorizer
from proa.distribution.credentials import HUB, CredentialStore
from proa.distribution.settings import Settings
from proa.distribution.transport import Transport, check_target
from proa.errors import ProaError, TimedOut, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from urllib3.response import BaseHTTPResponse as Response

    from proa.distribution.credentials import Credentials
    from proa.distribution.settings import Mirror
    from proa.distribution.transport import Body

_HUB_HOST = "registry-1.docker.io"
_REDIRECTIONS = frozenset((301, 302, 303, 307, 308))
_MOST_REDIRECTIONS = 5
_PROBE = 5.0
"""Seconds in which a server has to answer to what may not be its language."""


class Endpoint:
    """One place where repositories are: a registry, or a mirror of one."""

    def __init__(
        self,
        client: Client,
        domain: str,
        credentials: Callable[[], Credentials | None],
        mirror: Mirror | None = None,
    ) -> None:
        self._client = client
        self.domain = domain
        """of the registry, as references have it"""
        self.is_mirror = mirror is not None
        host = mirror.domain if mirror else (_HUB_HOST if domain == HUB else domain)
        self._host = host
        self._prefix = mirror.prefix if mirror else ""
        insecure = client.settings.is_insecure(host)
        self._scheme = mirror.scheme if mirror else ""
        if not insecure and not self._scheme:
            self._scheme = "https"
        self._lock = threading.Lock()
        self.authorizer = Authorizer(
            client.transport,
            mirror.domain if mirror else domain,
            credentials,
            client.verifies,
        )

    def url(self, path: str) -> str:
        """The URL of `/v2/…`. Raises Unavailable, TimedOut where nobody answers there."""
        with self._lock:
            if not self._scheme:
                self._scheme = self._find_scheme()
        return f"{self._scheme}://{self._host}{self._prefix}{path}"

    def call(
        self,
        method: str,
        target: str,
        *,
        what: str,
        scopes: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Body | bytes] | None = None,
        expect: Collection[int] = (200,),
        again: bool = True,
        offline: bool = False,
    ) -> Response:
        """The answer to a request, after challenges and redirections.

        `target`: a path, or a URL that this registry has given. `what` names in errors what is
        asked for. `offline`: have a token server give a refresh token, too. Raises what the status
        stands for where it is not in `expect`; see `explain`.
        """
        transport = self._client.transport
        url = target if "://" in target else self.url(target)
        origin = _origin(self.url("/"))
        check_target(self.url("/"), url)
        shown = self.authorizer.header(scopes)
        challenged = 0
        redirected = 0
        while True:
            wanted = dict(headers or {})
            # what the registry may see is nobody else's affair
            if shown is not None and _origin(url) == origin:
                wanted["Authorization"] = shown
            # of a registry that is named as insecure, what it leads to is not
            verify = self._client.verifies(url)
            response = transport.request(method, url, wanted, body=body, verify=verify, again=again)
            status = response.status
            if status in expect:
                return response
            location = response.headers.get("Location")
            if status in _REDIRECTIONS and location and redirected < _MOST_REDIRECTIONS:
                redirected += 1
                transport.finish(response)
                following = urljoin(url, location)
                check_target(url, following)
                url = following
                continue
            if status == 401 and challenged < 2 and _origin(url) == origin:
                challenged += 1
                refused = self._refused(response)
                better = self.authorizer.answer(
                    response, scopes, shown, plain=url.startswith("http:"), offline=offline
                )
                if better is not None and better != shown:
                    shown = better
                    continue
                raise explain(refused, what, self.domain)
            raise explain(self._refused(response), what, self.domain)

    def _refused(self, response: Response) -> Refusal:
        try:
            body = response.read(LARGEST_ERROR)
        except Exception:  # whatever goes wrong, the status says enough
            body = b""
            # unless nobody wants to know any more
            self._client.transport.check()
        finally:
            self._client.transport.drop(response)
        return refusal(response.status, body)

    def _find_scheme(self) -> str:
        """https, or http where the other side does not know the former."""
        transport = self._client.transport
        failure: ProaError | None = None
        for scheme in ("https", "http"):
            url = f"{scheme}://{self._host}{self._prefix}/v2/"
            try:
                response = transport.request(
                    "GET",
                    url,
                    {},
                    verify=self._client.verifies(url),
                    again=False,
                    timeout=min(_PROBE, transport.patience.connect),
                )
            except (TimedOut, Unavailable) as error:
                failure = failure or error
                continue
            transport.finish(response)
            return scheme
        assert failure is not None
        raise failure


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


class Client:
    """The registries, as this user sees them. Used by any number of threads; close it."""

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        store: CredentialStore | None = None,
        credentials: Credentials | None = None,
        transport: Transport | None = None,
    ) -> None:
        """`credentials`: to be shown instead of what `store` has."""
        self.settings = settings or Settings.load()
        self.store = store or CredentialStore()
        self.transport = transport or Transport()
        self._credentials = credentials
        self._endpoints: dict[tuple[str, str], tuple[Endpoint, ...]] = {}
        self._lock = threading.Lock()

    def endpoints(self, domain: str, repository: str) -> tuple[Endpoint, ...]:
        """Where a repository can be read, in the order to ask: mirrors, then the registry."""
        # credentials may be those of a path
        with self._lock:
            found = self._endpoints.get((domain, repository))
            if found is None:
                found = tuple(
                    Endpoint(self, domain, self._source(mirror.domain, repository), mirror)
                    for mirror in self.settings.mirrors(domain)
                )
                own = Endpoint(self, domain, self._source(domain, repository, own=True))
                found = self._endpoints[domain, repository] = (*found, own)
        return found

    def verifies(self, url: str) -> bool:
        """Whether who answers at a URL must have a certificate that is trusted."""
        return not self.settings.is_insecure(urlsplit(url).netloc)

    def registry(self, domain: str, repository: str = "") -> Endpoint:
        """The registry itself."""
        return self.endpoints(domain, repository)[-1]

    def close(self) -> None:
        """Close all connections."""
        self.transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _source(
        self, domain: str, repository: str, *, own: bool = False
    ) -> Callable[[], Credentials | None]:
        if own and self._credentials is not None:
            return lambda: self._credentials
        return lambda: self.store.get(domain, repository)
