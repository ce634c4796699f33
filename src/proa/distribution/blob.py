"""Reading a blob from a registry: from any byte on, and on again where the connection broke."""

from __future__ import annotations

from typing import TYPE_CHECKING

from urllib3 import exceptions as failures

from proa.distribution.headers import content_range
from proa.distribution.transport import explain_failure
from proa.errors import CorruptData, ProaError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3.response import BaseHTTPResponse as Response

    from proa.distribution.transport import Transport
    from proa.oci.descriptor import Descriptor

_SKIP = 1 << 18


class BlobReader:
    """The bytes of a blob from `offset` on. They are not verified: whoever stores them does."""

    def __init__(
        self,
        transport: Transport,
        request: Callable[[int], Response],
        descriptor: Descriptor,
        offset: int = 0,
    ) -> None:
        """`request` asks for the blob from a byte on."""
        self._transport = transport
        self._request = request
        self._descriptor = descriptor
        self._position = offset
        self._response: Response | None = None
        self._failures = 0

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end only.

        Raises CorruptData where there is more or less than the descriptor tells, Unavailable,
        NotFound, Unauthorized, Cancelled.
        """
        total = self._descriptor.size
        while self._position < total:
            try:
                if self._response is None:
                    self._response = self._open()
                data = self._response.read(min(size, total - self._position), decode_content=False)
                if not data:
                    # the server says that this was all
                    raise failures.IncompleteRead(self._position, total - self._position)
            except (failures.HTTPError, OSError) as error:
                self._again(error)
                continue
            self._position += len(data)
            self._failures = 0
            return data
        self.close()
        return b""

    def close(self) -> None:
        """Be done with it, at its end or not."""
        if self._response is not None:
            response, self._response = self._response, None
            if self._position == self._descriptor.size:
                self._transport.finish(response)
            else:
                self._transport.drop(response)

    def _open(self) -> Response:
        response = self._request(self._position)
        try:
            if response.status == 206:
                found = content_range(response.headers.get("Content-Range"))
                if found is None or found[0] != self._position:
                    raise Unavailable(
                        f"blob {self._descriptor.digest}: the registry sends another part of it"
                        " than it was asked for"
                    )
                self._check_size(found[2])
            else:
                length = response.headers.get("Content-Length", "")
                self._check_size(int(length) if length.isdecimal() else None)
                self._skip(response)
        except BaseException:
            self._transport.drop(response)
            raise
        return response

    def _check_size(self, size: int | None) -> None:
        wanted = self._descriptor.size
        if size is not None and size != wanted:
            raise CorruptData(
                f"blob {self._descriptor.digest} has {size} bytes in the registry; its descriptor"
                f" tells of {wanted}"
            )

    def _skip(self, response: Response) -> None:
        """Pass over what we have: this server knows no ranges."""
        left = self._position
        while left:
            data = response.read(min(left, _SKIP), decode_content=False)
            if not data:
                raise failures.IncompleteRead(self._position - left, left)
            left -= len(data)

    def _again(self, error: Exception) -> None:
        """Wait before the next attempt, or give up."""
        if self._response is not None:
            url = self._response.geturl() or ""
            self._transport.drop(self._response)
            self._response = None
        else:
            url = ""
        self._transport.check()
        self._failures += 1
        if self._failures >= self._transport.patience.attempts:
            raise self._explain(error, url) from None
        self._transport.pause(self._failures)

    def _explain(self, error: Exception, url: str) -> ProaError:
        if isinstance(error, failures.IncompleteRead):
            return CorruptData(
                f"blob {self._descriptor.digest} ends after {self._position} of"
                f" {self._descriptor.size} bytes, each time"
            )
        return explain_failure(error, url or f"//{self._descriptor.digest.short}")
