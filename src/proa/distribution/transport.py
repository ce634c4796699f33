"""HTTP to registries: connections, proxies, TLS, and trying again.

One `Transport` is used by any number of threads. What fails for a while (a connection that
breaks, 429, 502 …) is tried again with growing pauses; `Retry-After` is obeyed.
"""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urljoin, urlsplit

import urllib3
from urllib3 import exceptions as failures

from proa.distribution import proxies, tls
from proa.distribution.headers import retry_after
from proa.errors import Cancelled, InvalidArgument, TimedOut, Unavailable, Unsupported
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3.response import BaseHTTPResponse as Response

    from proa.errors import ProaError

CHUNK = 1 << 18
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
_REDIRECTIONS = frozenset((301, 302, 303, 307, 308))
_MOST_REDIRECTIONS = 5


class Body(Protocol):
    """What is sent: read from the beginning to the end."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""


@record
class Patience:
    """How long to wait for servers, and how often to ask again."""

    attempts: int = 6
    pause: float = 0.25
    """seconds before the second attempt; it doubles from one to the next"""
    longest: float = 10.0
    """the longest pause of our own choosing"""
    obedience: float = 120.0
    """the longest pause that a server may ask for; one that asks for more is not waited for"""
    connect: float = 15.0
    read: float = 60.0


class Transport:
    """Connections to servers, kept while they are of use."""

    def __init__(
        self,
        patience: Patience | None = None,
        *,
        directories: list[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`directories`: of certificates; see `tls`."""
        self.patience = patience or Patience()
        self._environment = dict(os.environ if environment is None else environment)
        self._directories = (
            tls.certificate_directories(environment) if directories is None else directories
        )
        self._pools: dict[tuple[str, bool, str | None], urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._aborted = threading.Event()
        self._open: set[Response] = set()
        self._reached: set[str] = set()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: Callable[[], Body | bytes] | None = None,
        verify: bool = True,
        again: bool = True,
        timeout: float | None = None,
    ) -> Response:
        """The answer of a server, whatever its status; its body is still to be read.

        `body` makes what is sent, once for each attempt. `verify`: see `tls.context`. `again`:
        try again what may succeed the next time. `timeout`: seconds, instead of the usual ones.
        Redirections are the caller's affair. Raises Unavailable, TimedOut, Cancelled,
        InvalidArgument.
        """
        attempts = self.patience.attempts if again else 1
        for attempt in range(1, attempts + 1):
            self.check()
            try:
                response = self._once(method, url, headers, body, verify=verify, timeout=timeout)
            except (failures.HTTPError, OSError) as error:
                if attempt == attempts or not self._may_pass(error, url):
                    raise self._explain(error, url) from None
                self.pause(attempt)
                continue
            self._reached.add(urlsplit(url).netloc)
            if response.status not in _AGAIN or attempt == attempts:
                return response
            wish = retry_after(response.headers.get("Retry-After"))
            if wish is not None and wish > self.patience.obedience:
                return response
            self.finish(response)
            self.pause(attempt, wish)
        raise AssertionError

    def follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        verify: bool = True,
        again: bool = True,
    ) -> Response:
        """As `request`, through redirections. What authorizes stays with the server it is for."""
        wanted = dict(headers)
        for _ in range(_MOST_REDIRECTIONS + 1):
            response = self.request(method, url, wanted, verify=verify, again=again)
            target = response.headers.get("Location")
            if response.status not in _REDIRECTIONS or not target:
                return response
            self.finish(response)
            following = urljoin(url, target)
            check_target(url, following)
            if urlsplit(following).netloc != urlsplit(url).netloc:
                wanted.pop("Authorization", None)
            url = following
        raise Unavailable(f"{_place(url)} redirects in a circle")

    def pause(self, attempt: int, wish: float | None = None) -> None:
        """Wait before the next attempt: as long as the server wishes, or longer each time."""
        longest = min(self.patience.pause * 2 ** (attempt - 1), self.patience.longest)
        # all that were refused at once should not come again at once
        seconds = longest * random.uniform(0.5, 1.0) if wish is None else wish  # noqa: S311
        self._aborted.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raises Cancelled once the work was given up."""
        if self._aborted.is_set():
            raise Cancelled("the transfer was stopped")

    def abort(self) -> None:
        """Give up: whoever waits for a server is woken, and raises."""
        self._aborted.set()
        with self._lock:
            waiting = list(self._open)
        for response in waiting:
            try:
                response.shutdown()
            except (RuntimeError, ValueError, OSError, AttributeError):
                pass  # it is at its end

    def finish(self, response: Response) -> None:
        """Be done with an answer: its connection may serve another one."""
        with self._lock:
            self._open.discard(response)
        try:
            response.drain_conn()
        except (failures.HTTPError, OSError):
            pass
        response.release_conn()

    def drop(self, response: Response) -> None:
        """Be done with an answer that was not read to its end: its connection goes with it."""
        with self._lock:
            self._open.discard(response)
        response.close()
        response.release_conn()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
            unfinished = list(self._open)
        for response in unfinished:
            self.drop(response)
        for pool in pools:
            pool.clear()

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Callable[[], Body | bytes] | None,
        *,
        verify: bool,
        timeout: float | None,
    ) -> Response:
        usual = urllib3.Timeout(connect=self.patience.connect, read=self.patience.read)
        response = self._pool(url, verify).request(
            method,
            url,
            body=body() if body is not None else None,  # type: ignore[arg-type]
            headers={
                "User-Agent": "proa",
                "Accept-Encoding": "identity",
                **headers,
            },
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
            timeout=usual if timeout is None else urllib3.Timeout(connect=timeout, read=timeout),
        )
        with self._lock:
            self._open.add(response)
        return response

    def _pool(self, url: str, verify: bool) -> urllib3.PoolManager:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidArgument(f"not a URL of a registry: {url[:200]!r}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        proxy = proxies.proxy_for(parts.scheme, parts.hostname, port, self._environment)
        key = (f"{parts.scheme}://{parts.netloc}", verify, proxy)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = self._make(parts.scheme, parts.netloc, verify, proxy)
        return pool

    def _make(
        self, scheme: str, domain: str, verify: bool, proxy: str | None
    ) -> urllib3.PoolManager:
        options: dict[str, object] = {
            "maxsize": 16,
            "blocksize": CHUNK,
        }
        if scheme == "https":
            options["ssl_context"] = tls.context(domain, self._directories, verify=verify)
            if not verify:
                options["assert_hostname"] = False
                # the user has named this registry as insecure
                urllib3.disable_warnings(failures.InsecureRequestWarning)
        if proxy is None:
            return urllib3.PoolManager(**options)  # type: ignore[arg-type]
        parts = urlsplit(proxy)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unsupported("the proxy of the environment is not an http or https URL")
        secret = None
        if parts.username:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=secret) if secret else None
        place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return urllib3.ProxyManager(place, proxy_headers=headers, **options)  # type: ignore[arg-type]

    def _may_pass(self, error: Exception, url: str) -> bool:
        """Whether trying again may help. A server never reached is one that is not there."""
        if isinstance(error, failures.SSLError | failures.LocationValueError):
            return False
        if isinstance(error, failures.NewConnectionError | failures.ConnectTimeoutError):
            return urlsplit(url).netloc in self._reached
        return not isinstance(error, failures.ProxyError)

    def _explain(self, error: Exception, url: str) -> ProaError:
        if self._aborted.is_set():
            return Cancelled("the transfer was stopped")
        return explain_failure(error, url)


def explain_failure(error: Exception, url: str) -> ProaError:
    """The error of ours for what went wrong on the way to a server."""
    place = _place(url)
    if isinstance(error, failures.SSLError):
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return Unavailable(
                f"{place}: its certificate is not trusted ({_reason(error)}); put the authority's"
                f" into /etc/proa/certs.d/{urlsplit(url).netloc}/ca.crt"
            )
        return Unavailable(
            f"{place}: TLS failed ({_reason(error)}); a registry without TLS must be named as"
            " insecure in registries.toml"
        )
    if isinstance(error, failures.ProxyError):
        return Unavailable(f"{place}: the proxy does not let us through; see HTTPS_PROXY, NO_PROXY")
    if isinstance(error, failures.NameResolutionError):
        return Unavailable(f"{place}: no such host; check the name and the network")
    if isinstance(error, failures.NewConnectionError):
        return Unavailable(
            f"{place} cannot be reached ({_reason(error)}); does a registry run there?"
        )
    if isinstance(error, failures.TimeoutError):
        return TimedOut(f"{place} does not answer in time; try again later")
    return Unavailable(f"{place}: the connection broke off; try again")


def _reason(error: Exception) -> str:
    """The innermost of the errors that lead to one, in few words."""
    inner: BaseException = error
    while following := inner.__cause__ or next(
        (item for item in inner.args if isinstance(item, Exception)), None
    ):
        inner = following
    text = getattr(inner, "verify_message", "") or getattr(inner, "strerror", "") or str(inner)
    return " ".join(str(text).partition("] ")[2].split() or str(text).split())[:160].lower()


def _place(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or url[:100]


def check_target(source: str, target: str) -> None:
    """Refuse to be led from TLS to a connection that everybody can listen to (Unavailable)."""
    scheme = urlsplit(target).scheme
    if scheme not in ("http", "https") or (scheme == "http" and urlsplit(source).scheme == "https"):
        raise Unavailable(f"{_place(source)} redirects to {scheme[:20]!r}, which was refused")


def now() -> float:
    """Seconds, for what has an end."""
    return time.monotonic()
