"""What a stage has come to: the image's config as its instructions leave it. No I/O."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proa.build.dockerfile import instructions as of
from proa.errors import InvalidArgument
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proa.oci.platform import Platform

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELL = ["/bin/sh", "-c"]
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([a-z]+))?")
_PROTOCOLS = ("tcp", "udp", "sctp")


@record
class HistoryItem:
    """One step of an image's history. `vertex`: what made its layer; None: it has none."""

    created_by: str
    vertex: int | None = None
    author: str = ""


@dataclass(slots=True)
class StageState:
    """A stage, up to some instruction."""

    vertex: int
    """its file system"""
    document: dict[str, Any]
    """the image config; its member `config` is what instructions change"""
    base: str = ""
    """the id of the image it begins with; empty: none"""
    arguments: dict[str, str | None] = field(default_factory=dict)
    history: list[HistoryItem] = field(default_factory=list)
    """what was added to the base's"""
    command_is_set: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """What containers have where nobody says otherwise."""
        config: dict[str, Any] = self.document["config"]
        return config

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables, in order."""
        pairs = (item.partition("=") for item in self.config.get("Env") or ())
        return {name: value for name, _, value in pairs}

    @property
    def variables(self) -> dict[str, str]:
        """What instructions see: arguments, and before them the environment."""
        known = {name: value for name, value in self.arguments.items() if value is not None}
        return {**known, **self.environment}

    @property
    def shell(self) -> list[str]:
        """What executes commands in shell form."""
        return list(self.config.get("Shell") or _SHELL)

    @property
    def working_dir(self) -> str:
        """The directory of commands."""
        return self.config.get("WorkingDir") or "/"

    @property
    def user(self) -> str:
        """The user of commands."""
        return self.config.get("User") or ""

    def child(self) -> StageState:
        """A stage that begins where this one ends."""
        return StageState(
            self.vertex,
            json.loads(json.dumps(self.document)),
            self.base,
            dict(self.arguments),
            list(self.history),
        )

    def absolute(self, path: str) -> str:
        """`path`, seen from the working directory; a slash at its end stays."""
        full = posixpath.normpath(posixpath.join("/", self.working_dir, path))
        full = "/" + full.lstrip("/")
        is_directory = path.endswith(("/", "/.")) or path in (".", "")
        return f"{full}/" if is_directory and full != "/" else full

    def note(self, created_by: str, vertex: int | None = None) -> None:
        """A step of the history."""
        author = str(self.document.get("author") or "")
        self.history.append(HistoryItem(created_by, vertex, author))

    def apply(self, instruction: of.Instruction) -> None:
        """Let an instruction change the config; its variables are filled in.

        For those that change the file system, too, nothing happens. Raises InvalidArgument.
        """
        match instruction:
            case of.Env():
                self._set_environment(instruction.pairs)
                said = " ".join(f"{key}={value}" for key, value in instruction.pairs)
                self.note(f"ENV {said}")
            case of.Label():
                self.config["Labels"] = {
                    **(self.config.get("Labels") or {}),
                    **dict(instruction.pairs),
                }
                said = " ".join(f"{key}={value}" for key, value in instruction.pairs)
                self.note(f"LABEL {said}")
            case of.User():
                self.config["User"] = instruction.user
                self.note(f"USER {instruction.user}")
            case of.Expose():
                self._expose(instruction.ports)
            case of.Volume():
                volumes = dict(self.config.get("Volumes") or {})
                volumes.update({path: {} for path in instruction.paths})
                self.config["Volumes"] = volumes
                self.note(f"VOLUME [{' '.join(instruction.paths)}]")
            case of.Cmd():
                command = self._command(instruction.command, instruction.shell)
                self.config["Cmd"] = command
                self.command_is_set = True
                self.note(f"CMD {_show(command)}")
            case of.Entrypoint():
                command = self._command(instruction.command, instruction.shell)
                self.config["Entrypoint"] = command
                # a command was meant for the entrypoint it was given with
                if not self.command_is_set:
                    self.config.pop("Cmd", None)
                self.note(f"ENTRYPOINT {_show(command)}")
            case of.Shell():
                self.config["Shell"] = list(instruction.words)
                self.note(f"SHELL [{' '.join(instruction.words)}]")
            case of.Healthcheck():
                self._healthcheck(instruction)
            case of.Stopsignal():
                self._stop_signal(instruction.signal)
            case of.Maintainer():
                self.document["author"] = instruction.author
                self.note(f"MAINTAINER {instruction.author}")
            case of.Onbuild():
                self.config["OnBuild"] = [
                    *(self.config.get("OnBuild") or ()),
                    instruction.trigger,
                ]
                self.note(f"ONBUILD {instruction.trigger}")
            case _:
                pass

    def _command(self, command: tuple[str, ...], shell: bool) -> list[str]:
        return [*self.shell, *command] if shell else list(command)

    def _set_environment(self, pairs: of.Pairs) -> None:
        values = self.environment
        values.update(pairs)
        self.config["Env"] = [f"{name}={value}" for name, value in values.items()]

    def _expose(self, ports: tuple[str, ...]) -> None:
        found = dict(self.config.get("ExposedPorts") or {})
        added = []
        for text in ports:
            # an address and a port of the host are somebody else's affair, and mean nothing here
            match = _PORT.fullmatch(text.rpartition(":")[2].lower())
            if match is None or (match[3] or "tcp") not in _PROTOCOLS:
                raise InvalidArgument(f"EXPOSE: {text!r} is not PORT[-PORT][/PROTOCOL]")
            first, last = int(match[1]), int(match[2] or match[1])
            if not 0 < first <= last < 65536:
                raise InvalidArgument(f"EXPOSE: {text!r} is not a range of ports from 1 to 65535")
            added += [f"{port}/{match[3] or 'tcp'}" for port in range(first, last + 1)]
        found.update({port: {} for port in added})
        self.config["ExposedPorts"] = found
        self.note(f"EXPOSE [{' '.join(added)}]")

    def _healthcheck(self, instruction: of.Healthcheck) -> None:
        check: dict[str, Any] = {"Test": list(instruction.test)}
        for key, value in (
            ("Interval", instruction.interval),
            ("Timeout", instruction.timeout),
            ("StartPeriod", instruction.start_period),
            ("StartInterval", instruction.start_interval),
            ("Retries", instruction.retries),
        ):
            if value:
                check[key] = value
        self.config["Healthcheck"] = check
        self.note(f"HEALTHCHECK {_show(instruction.test)}")

    def _stop_signal(self, text: str) -> None:
        import signal

        name = text.upper().removeprefix("SIG")
        known = {item.name.removeprefix("SIG") for item in signal.Signals}
        real_time = re.fullmatch(r"RTM(?:IN(?:\+\d+)?|AX(?:-\d+)?)", name)
        if not (name in known or real_time or (name.isdecimal() and 0 < int(name) < 65)):
            raise InvalidArgument(f"STOPSIGNAL: {text!r} is not a signal's name or number")
        self.config["StopSignal"] = text
        self.note(f"STOPSIGNAL {text}")


def empty_document(platform: Platform) -> dict[str, Any]:
    """The config of `FROM scratch`, as BuildKit begins it."""
    document: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        document["variant"] = platform.variant
    document["config"] = {"Env": [f"PATH={PATH}"], "WorkingDir": "/"}
    return document


def base_document(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a stage that begins with an image."""
    document: dict[str, Any] = json.loads(json.dumps(dict(config)))
    document.pop("rootfs", None)
    document.pop("history", None)
    document["config"] = document.get("config") or {}
    if not any(item.startswith("PATH=") for item in document["config"].get("Env") or ()):
        document["config"]["Env"] = [
            f"PATH={PATH}",
            *(document["config"].get("Env") or ()),
        ]
    return document


def _show(words: list[str] | tuple[str, ...]) -> str:
    """As Go shows a list of texts."""
    return "[" + " ".join(json.dumps(word, ensure_ascii=False) for word in words) + "]"
