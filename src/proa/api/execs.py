"""Routes of further processes in containers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from aiohttp import web

from proa.api import hijack, parameters
from proa.api.answers import answer, in_thread, nothing
from proa.api.containers import size_of
from proa.api.parameters import Fields
from proa.api.service import readable
from proa.api.streams import stream_kind
from proa.engine.attach import DETACH_KEYS, parse_detach_keys
from proa.engine.exec_records import ExecRecords
from proa.engine.execute import ExecConfig, finish
from proa.errors import Conflict, InvalidArgument

if TYPE_CHECKING:
    from typing import Any

    from proa.api.service import Route, Service
    from proa.engine.container import Container
    from proa.engine.exec_records import ExecRecord
    from proa.lean.channel import Channel


class Execs:
    """Handlers of exec."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._engine = service.engine
        self._records = ExecRecords(service.engine.store)

    def routes(self) -> list[Route]:
        """Method, path and handler of each."""
        return [
            ("POST", "/containers/{name}/exec", self._create),
            ("POST", "/exec/{id}/start", self._start),
            ("POST", "/exec/{id}/resize", self._resize),
            ("GET", "/exec/{id}/json", self._inspect),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        container = await self._service.container(request)
        fields = Fields(await parameters.body(request))
        command = fields.texts("Cmd")
        if not command:
            raise InvalidArgument("No exec command specified")
        keys = fields.text("DetachKeys")
        parse_detach_keys(keys)
        if container.status not in ("running", "paused"):
            raise Conflict(f"container {container.id} is not running")
        if container.status == "paused":
            raise Conflict(
                f"container {container.name} is paused, unpause the container before exec"
            )
        wanted = ExecConfig(
            command=tuple(command),
            user=fields.text("User"),
            working_dir=fields.text("WorkingDir"),
            environment=tuple(fields.texts("Env") or ()),
            tty=fields.flag("Tty"),
            stdin=fields.flag("AttachStdin"),
            privileged=fields.flag("Privileged"),
            detach_keys=keys or None,
        )
        made = await in_thread(
            self._records.create,
            container.id,
            wanted,
            stdout=fields.flag("AttachStdout"),
            stderr=fields.flag("AttachStderr"),
        )
        return answer({"Id": made.id}, 201)

    async def _start(self, request: web.Request) -> web.StreamResponse:
        found = await in_thread(self._records.get, request.match_info["id"])
        fields = Fields(await parameters.body(request))
        if found.pid:
            raise Conflict(f"exec instance {found.id} has already started")
        container = await in_thread(self._engine.containers.get, found.container)
        begun = await in_thread(self._engine.store.events.last)
        if fields.flag("Detach"):
            pid = await in_thread(container.execute_detached, found.wanted, id=found.id)
            await in_thread(self._records.started, found, pid, begun)
            return nothing(200)
        tty = found.wanted.tty
        channel, stream = await in_thread(
            container.execute_open,
            found.wanted,
            stdout=found.stdout,
            stderr=found.stderr,
            id=found.id,
            started=lambda pid: self._records.started(found, pid, begun),
        )
        inner = socket.socket(fileno=stream.detach())
        try:
            client, early = await hijack.take_over(request, stream_kind(request, tty=tty))
        except BaseException:
            inner.close()
            channel.close()
            raise
        self._service.copy(self._serve(container, found, client, inner, channel, early))
        return hijack.Taken()

    async def _serve(
        self,
        container: Container,
        found: ExecRecord,
        client: socket.socket,
        inner: socket.socket,
        channel: Channel,
        early: bytes,
    ) -> None:
        keys = b""
        if found.wanted.tty and found.wanted.stdin:
            text = found.wanted.detach_keys
            keys = parse_detach_keys(DETACH_KEYS if text is None else text)

        async def last() -> None:
            # then its exit code is known to whoever asks
            await readable(channel.fileno())
            await in_thread(finish, channel, container.note, found.id)

        try:
            left = await hijack.join(
                client, inner, early=early, stdin=found.wanted.stdin, keys=keys, last=last
            )
            if left:
                note = (("exec_detach", 0, {"execID": found.id}),)
                await in_thread(container.note, note)
        finally:
            channel.close()

    async def _resize(self, request: web.Request) -> web.StreamResponse:
        found = await in_thread(self._records.get, request.match_info["id"])
        rows, columns = size_of(request)
        container = await in_thread(self._engine.containers.get, found.container)
        await in_thread(container.resize_exec, found.id, rows, columns)
        return nothing(200)

    async def _inspect(self, request: web.Request) -> web.StreamResponse:
        found = await in_thread(self._records.get, request.match_info["id"])
        return answer(await in_thread(self._describe, found))

    def _describe(self, found: ExecRecord) -> dict[str, Any]:
        wanted = found.wanted
        code = self._records.exit_code(found)
        return {
            "ID": found.id,
            "Running": bool(found.pid) and code is None,
            "ExitCode": code,
            "ProcessConfig": {
                "tty": wanted.tty,
                "entrypoint": wanted.command[0],
                "arguments": list(wanted.command[1:]),
                "privileged": wanted.privileged,
                **({"user": wanted.user} if wanted.user else {}),
            },
            "OpenStdin": wanted.stdin,
            "OpenStderr": found.stderr,
            "OpenStdout": found.stdout,
            "CanRemove": code is not None,
            "ContainerID": found.container,
            "DetachKeys": "",
            "Pid": found.pid if code is None else 0,
        }
