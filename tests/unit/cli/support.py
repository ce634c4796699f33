"""An engine that remembers what the command asked of it, and gives what it was told."""

from __future__ import annotations

import posix
from types import SimpleNamespace
from typing import Any

from proa.cli import main
from proa.cli.command import Session
from proa.engine.attach import Detached
from proa.engine.containers import ContainerSummary
from proa.errors import ContainerNotFound, NetworkNotFound, VolumeNotFound


class FakeContainer:
    def __init__(self, calls: list[Any], name: str, **facts: Any) -> None:
        self._calls = calls
        self.name = name
        self.id = facts.get("id", "a" * 64)
        self.status = facts.get("status", "running")
        self.config = SimpleNamespace(
            tty=facts.get("tty", False), open_stdin=facts.get("stdin", False)
        )
        self.attrs = facts.get("attrs", {})
        self._facts = facts

    def __getattr__(self, verb: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self._calls.append((verb, self.name, arguments, options))
            result = self._facts.get(verb)
            if isinstance(result, Exception):
                raise result
            return result

        return call


class FakeAttachment:
    def __init__(self, outcome: int | None) -> None:
        self._outcome = outcome

    def run(self) -> int:
        if self._outcome is None:
            raise Detached
        return self._outcome


class FakeContainers:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.known: dict[str, FakeContainer] = {}
        self.listed: list[ContainerSummary] = []
        self.outcome: int | Exception = 0
        self.config: Any = None

    def add(self, name: str, **facts: Any) -> FakeContainer:
        self.known[name] = FakeContainer(self.calls, name, **facts)
        return self.known[name]

    def get(self, name: str) -> FakeContainer:
        if name not in self.known:
            raise ContainerNotFound(f"no such container: {name}")
        return self.known[name]

    def summaries(self, **options: Any) -> list[ContainerSummary]:
        self.calls.append(("list", options))
        return self.listed

    def create(self, config: Any) -> FakeContainer:
        self.config = config
        self.calls.append(("create",))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.add(config.name or "made")

    def run_detached(self, config: Any) -> FakeContainer:
        self.calls.append(("run_detached",))
        return self.create(config)

    def run_attached(self, config: Any, ends: Any, **options: Any) -> int:
        self.config = config
        self.calls.append(("run_attached", ends, options))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if options.get("on_created"):
            options["on_created"](self.add(config.name or "made"))
        return self.outcome


class FakeVolumes:
    def get(self, name: str) -> Any:
        raise VolumeNotFound(f"no such volume: {name}")


class FakeNetworks:
    def get(self, name: str) -> Any:
        raise NetworkNotFound(f"network {name} not found")


class FakeEngine:
    def __init__(self) -> None:
        self.root = "/nowhere"
        self.containers = FakeContainers()
        self.images: Any = None
        self.volumes = FakeVolumes()
        self.networks = FakeNetworks()


class Proa:
    """Runs command lines; `out`, `err` have what the last one wrote."""

    def __init__(self, monkeypatch: Any) -> None:
        self.engine = FakeEngine()
        self.out = self.err = ""
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> int:
        written = {1: bytearray(), 2: bytearray()}
        really_write = posix.write

        def write(descriptor: int, data: Any) -> int:
            if descriptor not in written:
                return really_write(descriptor, data)
            written[descriptor].extend(data)
            return len(data)

        session = Session()
        session.engine = self.engine  # type: ignore[assignment]
        with self._monkeypatch.context() as patch:
            patch.setattr(posix, "write", write)
            try:
                return main.run(list(arguments), session)
            finally:
                if session._monitors is not None:
                    session._monitors.close()  # as the end of the command does
                self.out, self.err = (bytes(written[fd]).decode() for fd in (1, 2))
