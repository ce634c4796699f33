"""Routes of containers, but for their streams and files."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from aiohttp import web

from proa.api import creation, parameters
from proa.api.answers import answer, in_thread, nothing
from proa.api.parameters import Fields
from proa.engine.config import RestartPolicy
from proa.engine.status import status
from proa.errors import Conflict, ContainerNotFound, InvalidArgument

if TYPE_CHECKING:
    from typing import Any

    from proa.api.service import Route, Service
    from proa.engine.container import Container
    from proa.engine.containers import ContainerSummary

_LIVE = ("running", "paused", "restarting")
_CONDITIONS = ("", "not-running", "next-exit", "removed")
_LOOK = 5.0
"""Seconds after which a waiter looks itself: a monitor that was killed tells of nothing."""
_UPDATES = {
    "BlkioWeight": "blkio_weight",
    "CpuPeriod": "cpu_period",
    "CpuQuota": "cpu_quota",
    "CpuRealtimePeriod": "cpu_rt_period",
    "CpuRealtimeRuntime": "cpu_rt_runtime",
    "CpuShares": "cpu_shares",
    "KernelMemory": "kernel_memory",
    "Memory": "memory",
    "MemoryReservation": "memory_reservation",
    "MemorySwap": "memory_swap",
    "NanoCpus": "nano_cpus",
    "PidsLimit": "pids_limit",
}


class Containers:
    """Handlers of containers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._engine = service.engine

    def routes(self) -> list[Route]:
        """Method, path and handler of each."""
        one = "/containers/{name}"
        return [
            ("GET", "/containers/json", self._list),
            ("POST", "/containers/create", self._create),
            ("POST", "/containers/prune", self._prune),
            ("GET", f"{one}/json", self._inspect),
            ("GET", f"{one}/top", self._top),
            ("GET", f"{one}/changes", self._changes),
            ("POST", f"{one}/start", self._start),
            ("POST", f"{one}/stop", self._stop),
            ("POST", f"{one}/restart", self._restart),
            ("POST", f"{one}/kill", self._kill),
            ("POST", f"{one}/pause", self._pause),
            ("POST", f"{one}/unpause", self._unpause),
            ("POST", f"{one}/rename", self._rename),
            ("POST", f"{one}/resize", self._resize),
            ("POST", f"{one}/update", self._update),
            ("POST", f"{one}/wait", self._wait),
            ("DELETE", one, self._delete),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        limit = parameters.number(request, "limit")
        wanted = parameters.filters(request)
        for name in ("before", "since"):
            if other := parameters.text(request, name):
                wanted[name] = [other]
        everything = parameters.flag(request, "all")
        found = await in_thread(
            self._entries,
            all=everything,
            limit=limit if limit and limit > 0 else None,
            filters=wanted,
            size=parameters.flag(request, "size"),
        )
        return answer(found)

    def _entries(
        self, *, all: bool, limit: int | None, filters: dict[str, list[str]], size: bool
    ) -> list[dict[str, Any]]:
        now = time.time_ns()
        found = []
        for item in self._engine.containers.summaries(all=all, limit=limit, filters=filters):
            try:
                found.append(_entry(self._engine.containers.get(item.id), item, now, size=size))
            except ContainerNotFound:
                continue  # removed just now
        return found

    async def _create(self, request: web.Request) -> web.StreamResponse:
        data = await parameters.body(request)
        if not data:
            raise InvalidArgument("invalid JSON: got EOF while reading request body")
        config = creation.to_container(
            data,
            name=parameters.text(request, "name"),
            platform=parameters.text(request, "platform"),
        )
        container = await in_thread(self._engine.containers.create, config)
        return answer({"Id": container.id, "Warnings": []}, 201)

    async def _inspect(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        size = parameters.flag(request, "size")
        return answer(await in_thread(_describe, container, size=size))

    async def _top(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        arguments = parameters.text(request, "ps_args") or "-ef"
        titles, rows = await in_thread(container.top, arguments)
        return answer({"Titles": titles, "Processes": rows})

    async def _changes(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        return answer(await in_thread(container.diff) or None)

    # -- its life

    async def _start(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        if container.status in _LIVE:
            return nothing(304)
        await self._service.start(container)
        return nothing()

    async def _stop(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        if container.status not in _LIVE:
            return nothing(304)
        await in_thread(
            container.stop,
            parameters.number(request, "t"),
            parameters.text(request, "signal") or None,
        )
        return nothing()

    async def _restart(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        await in_thread(
            container.restart,
            parameters.number(request, "t"),
            parameters.text(request, "signal") or None,
        )
        return nothing()

    async def _kill(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        if container.status not in _LIVE:
            raise Conflict(
                f"cannot kill container: {request.match_info['name']}: container"
                f" {container.id} is not running"
            )
        await in_thread(container.kill, parameters.text(request, "signal") or "KILL")
        return nothing()

    async def _pause(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        await in_thread(container.pause)
        return nothing()

    async def _unpause(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        await in_thread(container.unpause)
        return nothing()

    async def _rename(self, request: web.Request) -> web.StreamResponse:
        name = parameters.text(request, "name")
        if not name:
            raise InvalidArgument("neither old nor new names may be empty")
        container = await self._service.container(request)
        await in_thread(container.rename, name)
        return nothing()

    async def _resize(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        rows, columns = size_of(request)
        await in_thread(container.resize, rows, columns)
        return nothing(200)

    async def _update(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        fields = Fields(await parameters.body(request))
        changes: dict[str, Any] = {}
        for field, name in _UPDATES.items():
            if value := fields.number(field):
                changes[name] = value
        for field, name in (("CpusetCpus", "cpuset_cpus"), ("CpusetMems", "cpuset_mems")):
            if text := fields.text(field):
                changes[name] = text
        policy = fields.object("RestartPolicy")
        if policy.text("Name"):
            changes["restart"] = RestartPolicy(
                policy.text("Name"), policy.number("MaximumRetryCount") or 0
            )
        warnings = await in_thread(container.change, changes)
        return answer({"Warnings": warnings or None})

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        if parameters.flag(request, "link"):
            raise InvalidArgument("links of a container go with it: there are none to remove")
        await in_thread(
            container.remove,
            v=parameters.flag(request, "v"),
            force=parameters.flag(request, "force"),
        )
        return nothing()

    async def _prune(self, request: web.Request) -> web.StreamResponse:
        wanted = parameters.filters(request)
        found = await in_thread(self._engine.containers.prune, wanted)
        return answer(found)

    async def _wait(self, request: web.Request) -> web.StreamResponse:
        condition = parameters.text(request, "condition")
        if condition not in _CONDITIONS:
            raise InvalidArgument(f"invalid condition: {condition[:40]!r}")
        container = await self._service.container(request)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        with self._service.hub.subscribe(container.id) as subscription:
            # what has happened before we listened, the container itself tells
            container = await in_thread(self._engine.containers.get, container.id)
            # the client starts the container when it has the answer's head
            await response.prepare(request)
            code = container.exit_code
            over = condition in ("", "not-running") and container.status not in _LIVE
            while not over:
                event = await subscription.next(_LOOK)
                if event is None:
                    over, code = await in_thread(self._look, container.id, condition, code)
                elif event.action == "die":
                    code = int(event.attributes.get("exitCode", "0"))
                    over = condition != "removed"
                else:
                    over = event.action == "destroy"
        await response.write(json.dumps({"StatusCode": code}).encode() + b"\n")
        await response.write_eof()
        return response

    def _look(self, id: str, condition: str, code: int) -> tuple[bool, int]:
        """Whether what is waited for has come, and the exit code so far."""
        try:
            container = self._engine.containers.get(id)
        except ContainerNotFound:
            return True, code
        ended = container.status not in (*_LIVE, "created")
        return ended and condition != "removed", container.exit_code


def size_of(request: web.Request) -> tuple[int, int]:
    """Rows and columns of a terminal. Raises InvalidArgument."""
    rows, columns = parameters.number(request, "h"), parameters.number(request, "w")
    if rows is None or columns is None:
        raise InvalidArgument("h and w must be given: rows and columns of the terminal")
    return rows, columns


def _describe(container: Container, *, size: bool) -> dict[str, Any]:
    found = container.attrs
    if size:
        found["SizeRw"], found["SizeRootFs"] = container.sizes()
    return found


def _entry(container: Container, item: ContainerSummary, now: int, *, size: bool) -> dict[str, Any]:
    """A container in a list (ContainerSummary)."""
    attrs = container.attrs
    first, *others = item.command
    found = {
        "Id": item.id,
        "Names": [f"/{item.name}"],
        "Image": item.image,
        "ImageID": item.image_id,
        "Command": " ".join([first, *(f"'{word}'" if " " in word else word for word in others)]),
        "Created": item.created // 1_000_000_000,
        "Ports": _ports(item),
        "Labels": dict(item.labels),
        "State": item.state,
        "Status": status(item, now),
        "HostConfig": {"NetworkMode": attrs["HostConfig"]["NetworkMode"]},
        "NetworkSettings": {"Networks": attrs["NetworkSettings"]["Networks"]},
        "Mounts": attrs["Mounts"],
    }
    if size:
        found["SizeRw"], found["SizeRootFs"] = container.sizes()
    return found


def _ports(item: ContainerSummary) -> list[dict[str, Any]]:
    published: list[dict[str, Any]] = [
        {"IP": address, "PrivatePort": port, "PublicPort": host_port, "Type": protocol}
        for port, protocol, address, host_port in item.ports
    ]
    known = {(port["PrivatePort"], port["Type"]) for port in published}
    for text in item.exposed_ports if item.state in _LIVE else ():
        port, _, protocol = text.partition("/")
        if (int(port), protocol or "tcp") not in known:
            published.append({"PrivatePort": int(port), "Type": protocol or "tcp"})
    return published
