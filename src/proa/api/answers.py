"""Answers: JSON, errors with the status that dockerd gives them, and streams of JSON."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

from proa import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

_STATUS: tuple[tuple[type[BaseException], int], ...] = (
    (errors.NotFound, 404),
    (errors.AlreadyExists, 409),
    (errors.Conflict, 409),
    (errors.Unauthorized, 401),
    (errors.PermissionDenied, 403),
    (errors.Unsupported, 501),
    (errors.CommandNotFound, 400),
    (errors.CommandNotExecutable, 400),
    (errors.LimitExceeded, 400),
    (errors.InvalidArgument, 400),
    (errors.Unavailable, 500),
)
_DONE = object()


class Refusal(Exception):
    """An answer with another status than the kind of error would give."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def status_of(error: BaseException) -> int:
    """The status of an answer that tells of `error`."""
    if isinstance(error, Refusal):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def message_of(error: BaseException) -> str:
    """What an answer says of `error`, on one line."""
    if isinstance(error, OSError) and not isinstance(error, errors.ProaError):
        return (error.strerror or str(error)).lower()
    return "; ".join(part.strip() for part in str(error).splitlines() if part.strip())


def answer(data: object, status: int = 200) -> web.Response:
    """An answer in JSON; Go ends it with a line feed."""
    # no charset: clients compare the type as a whole
    return web.Response(
        body=json.dumps(data, separators=(",", ":")).encode() + b"\n",
        status=status,
        headers={"Content-Type": "application/json"},
    )


def nothing(status: int = 204) -> web.Response:
    """An answer without a body."""
    return web.Response(status=status)


def refuse(error: BaseException) -> web.Response:
    """The answer that tells of `error`."""
    return answer({"message": message_of(error)}, status_of(error))


async def in_thread(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call what blocks, in a thread."""
    return await asyncio.to_thread(function, *arguments, **options)


async def stream_json(
    request: web.Request, work: Callable[[Callable[[Any], None]], Any]
) -> web.StreamResponse:
    """An answer of one JSON object after the other, as `work`, which is called in a thread, tells
    them. An error before the first is an answer of its own; a later one is the last object.
    """
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[Any] = asyncio.Queue()

    def tell(item: object) -> None:
        loop.call_soon_threadsafe(told.put_nowait, item)

    async def do() -> None:
        try:
            await asyncio.to_thread(work, tell)
        finally:
            # after all that was told in other threads
            loop.call_soon(told.put_nowait, _DONE)

    task = asyncio.ensure_future(do())
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    try:
        while (item := await told.get()) is not _DONE:
            if not response.prepared:
                await response.prepare(request)
            lines = [item]
            while not told.empty() and lines[-1] is not _DONE:
                lines.append(told.get_nowait())
            over = lines[-1] is _DONE
            text = "".join(json.dumps(line) + "\r\n" for line in lines if line is not _DONE)
            await response.write(text.encode())
            if over:
                break
        try:
            await task
        except (errors.ProaError, OSError) as error:
            if not response.prepared:
                return refuse(error)
            detail = {"errorDetail": {"message": message_of(error)}, "error": message_of(error)}
            await response.write(json.dumps(detail).encode() + b"\r\n")
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
    finally:
        task.cancel()
    return response
