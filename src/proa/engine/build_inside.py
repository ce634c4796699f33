"""Builds of an ordinary user's program: a process in the user namespace does them.

Events and errors come from there as messages, and are made again what they were here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from proa.build import events
from proa.errors import BuildFailed, DockerfileError
from proa.lean.record import as_dict
from proa.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FAILED = "failed"
_BYTES = "latin-1"
"""what lets each byte through as one character of a message"""


def to_arguments(path: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """What `build_image` is called with, as JSON can say it."""
    dockerfile, secrets = wanted.get("dockerfile"), wanted.get("secrets") or {}
    arguments = {
        **wanted,
        # the process inside is somewhere else
        "path": path if "://" in path or "@" in path else os.path.abspath(path),
        "secrets": {id: value.decode(_BYTES) for id, value in secrets.items()},
    }
    if isinstance(dockerfile, bytes):
        arguments["dockerfile"] = {"text": dockerfile.decode(_BYTES)}
    elif dockerfile and os.path.exists(dockerfile):
        arguments["dockerfile"] = os.path.abspath(dockerfile)
    arguments["contexts"] = {
        name: where if "://" in where else os.path.abspath(where)
        for name, where in (wanted.get("contexts") or {}).items()
    }
    return arguments


def build(
    root: str,
    path: str,
    notify: Callable[[Any], None],
    descriptors: tuple[int, ...] = (),
    **wanted: Any,
) -> str:
    """Inside: build; the image's id."""
    from proa.engine.build import build_image

    wanted["secrets"] = {id: text.encode(_BYTES) for id, text in wanted["secrets"].items()}
    if isinstance(wanted["dockerfile"], dict):
        wanted["dockerfile"] = wanted["dockerfile"]["text"].encode(_BYTES)
    stream = open(descriptors[0], "rb", buffering=0) if descriptors else None

    def tell(event: events.Event) -> None:
        fields = {
            name: value.decode(_BYTES) if isinstance(value, bytes) else value
            for name, value in as_dict(event).items()
        }
        notify({type(event).__name__: fields})

    try:
        return str(build_image(Store.open(root), path, tell=tell, stream=stream, **wanted).id)
    except BuildFailed as error:
        notify(
            {
                _FAILED: {
                    "exit_code": error.exit_code,
                    "step": error.step,
                    "output": error.output.decode(_BYTES),
                    "excerpt": error.excerpt,
                    "image": error.image,
                }
            }
        )
        raise
    except DockerfileError as error:
        notify({_FAILED: {"line": error.line, "excerpt": error.excerpt}})
        raise
    finally:
        if stream is not None:
            stream.close()


class Listener:
    """Takes what comes from inside."""

    def __init__(self, tell: Callable[[events.Event], None]) -> None:
        self._tell = tell
        self._failure: dict[str, Any] = {}

    def __call__(self, notice: dict[str, Any]) -> None:
        """One message."""
        ((name, fields),) = notice.items()
        if name == _FAILED:
            self._failure = fields
            return
        if "data" in fields:
            fields = {**fields, "data": fields["data"].encode(_BYTES)}
        self._tell(getattr(events, name)(**fields))

    def complete(self, error: BuildFailed | DockerfileError) -> None:
        """Give an error that came as its text what else it had."""
        for name, value in self._failure.items():
            setattr(error, name, value.encode(_BYTES) if name == "output" else value)
