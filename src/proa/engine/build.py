"""Building images: what `build` asks for, in the terms of `proa.build`.

A RUN is a container like others: what its flags mean is decided where it is for these.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from proa.build.build import Request, build, check, parse_epoch
from proa.build.dockerfile.source import Source
from proa.build.events import StepNote
from proa.build.options import BuildOptions, Secret
from proa.build.outputs import STDOUT, parse_output, write_directory, write_tar
from proa.engine import spec as specs
from proa.engine.config import ContainerConfig, Mount
from proa.engine.create import write_files
from proa.engine.process import Process
from proa.errors import ImageNotFound, InvalidArgument, NotFound, Unsupported
from proa.image.tag import target_reference
from proa.oci.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, BinaryIO

    from proa.build.dockerfile.lint import LintWarning
    from proa.build.events import Event
    from proa.build.graph import RunOp
    from proa.build.outputs import Output
    from proa.build.run import Bind
    from proa.snapshot.decompress import Stream
    from proa.store.images import ImageRecord
    from proa.store.store import Store

_HOSTNAME = "buildkitsandbox"
_NETWORKS = ("default", "host", "none")
_LARGEST_SECRET = 500 * 1024


def build_image(
    store: Store,
    path: str,
    *,
    tell: Callable[[Event], None] = lambda _: None,
    pull: bool = False,
    outputs: Sequence[str] = (),
    **wanted: Any,
) -> ImageRecord:
    """Build an image; `wanted` as `to_request` takes it. Raises as `proa.build.build.build`.

    `pull`: ask registries for images that are here already, too. `outputs`: what else is to become
    of it, as `--output` says it.
    """
    chosen = [parse_output(text) for text in outputs]
    named = [name for output in chosen for name in output.names]
    if named:
        wanted["tags"] = [*wanted.get("tags", ()), *named]
    request = to_request(path, **wanted)

    def resolve(name: str, platform: Platform) -> ImageRecord:
        return _find(store, name, platform, always=pull, tell=tell)

    def make_spec(
        op: RunOp, id: str, directory: str, binds: Sequence[Bind], environment: Sequence[str]
    ) -> dict[str, Any]:
        return _spec(store, op, specs.Identity(id, _HOSTNAME, directory), binds, environment)

    if any(output.push for output in chosen) and not request.references:
        raise InvalidArgument("to push an image takes a name: give it with -t")
    record = build(store, request, resolve=resolve, make_spec=make_spec, tell=tell)
    for output in chosen:
        _write_output(store, record, request, output)
    return record


def _write_output(store: Store, record: ImageRecord, request: Request, output: Output) -> None:
    if output.push:
        from proa.engine.registries import push

        for reference in request.references:
            push(store, str(reference))
    if output.kind == "local":
        write_directory(store, record, output.destination)
    elif output.kind == "tar":
        with _opened(output.destination) as file:
            write_tar(store, record, file.fileno())
    elif output.kind == "oci" or (output.kind == "docker" and output.destination):
        from proa.image.save import save

        names = [str(reference) for reference in request.references] or [str(record.id)]
        with _opened(output.destination) as file:
            save(store, names, file, output.kind)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """The file at `path`, or standard output, unbuffered."""
    if path == STDOUT:
        with open(1, "wb", buffering=0, closefd=False) as file:
            yield file
        return
    with open(path, "wb", buffering=0) as file:
        yield file


def _find(
    store: Store,
    name: str,
    platform: Platform,
    *,
    always: bool,
    tell: Callable[[Event], None],
) -> ImageRecord:
    """The image that a stage begins with: of the store, or else of its registry."""
    found = None
    try:
        found = store.images.resolve(name)
        of = Platform.of(
            str(found.config.get("os") or ""),
            str(found.config.get("architecture") or ""),
            str(found.config.get("variant") or ""),
        )
        is_id = found.id.partition(":")[2].startswith(name.removeprefix("sha256:"))
        if is_id or (not always and platform.choose((of,)) is not None):
            return found
    except ImageNotFound:
        pass
    from proa.engine.registries import pull

    tell(StepNote(1, f"pulling {name}", time.time()))
    return pull(store, name, platform=str(platform))[0].image.record


def check_dockerfile(path: str, **wanted: Any) -> tuple[list[LintWarning], Source]:
    """What is questionable in a Dockerfile; `wanted` as `to_request` takes it."""
    return check(to_request(path, **wanted))


def to_request(
    path: str,
    *,
    stream: Stream | None = None,
    dockerfile: str | bytes = "",
    tags: Sequence[str] = (),
    target: str = "",
    build_args: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    no_cache: bool = False,
    no_cache_filter: Sequence[str] = (),
    platform: str | None = None,
    network: str = "default",
    add_hosts: Sequence[str] = (),
    secrets: Mapping[str, bytes] | None = None,
    ssh: Mapping[str, str] | None = None,
    contexts: Mapping[str, str] | None = None,
    allow: Sequence[str] = (),
    explain: bool = False,
    keep_failed: bool = False,
) -> Request:
    """A build as `docker build` has it.

    `path`: a directory, or the URL of a git repository, of an archive or of a Dockerfile;
    `stream`: an archive, or a Dockerfile alone, in its place.
    `dockerfile`: its path, or, as bytes, the Dockerfile itself. `add_hosts`: NAME:ADDRESS.
    `keep_failed`: where a RUN fails, BuildFailed names an image of the file system that it left.
    `secrets`: by id. `ssh`: sockets of agents, by id. Raises InvalidArgument.
    """
    given = dict(build_args or {})
    if network not in _NETWORKS:
        raise InvalidArgument(
            f"network mode {network!r} is not available in builds; there are {', '.join(_NETWORKS)}"
        )
    if platform and "," in platform:
        raise Unsupported(
            f"--platform {platform}: images are built for one platform at a time as yet; build"
            " them one by one, and put them together with 'proa manifest create'"
        )
    for id, value in (secrets or {}).items():
        if len(value) > _LARGEST_SECRET:
            raise InvalidArgument(f"secret {id} is larger than {_LARGEST_SECRET} bytes")
    options = BuildOptions(
        platform=Platform.parse(platform) if platform else Platform.host(),
        target=target,
        build_args=given,
        labels=dict(labels or {}),
        no_cache=no_cache,
        no_cache_stages=frozenset(name.lower() for name in no_cache_filter),
        contexts=dict(contexts or {}),
        network=network,
        hosts=tuple(add_hosts),
        secrets=tuple(Secret(id, value) for id, value in (secrets or {}).items()),
        ssh=dict(ssh or {}),
        allow=frozenset(allow),
        epoch=parse_epoch(given.get("SOURCE_DATE_EPOCH", "")),
        explain=explain,
        keep_failed=keep_failed,
    )
    return Request(
        context=path,
        dockerfile="" if isinstance(dockerfile, bytes) else dockerfile,
        source=Source.decode(dockerfile) if isinstance(dockerfile, bytes) else None,
        options=options,
        stream=stream,
        references=tuple(target_reference(tag) for tag in tags),
    )


def read_secret(text: str, environment: Mapping[str, str]) -> tuple[str, bytes]:
    """A secret as `--secret id=…[,src=FILE|,env=NAME]` says it.

    Raises InvalidArgument, NotFound.
    """
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    unknown = fields.keys() - {"id", "src", "source", "env", "type"}
    if unknown:
        raise InvalidArgument(f"unexpected key {min(unknown)!r} in the secret {text!r}")
    kind = fields.get("type", "")
    if kind not in ("", "file", "env"):
        raise InvalidArgument(f"unsupported secret type {kind!r}; there are file and env")
    path, name = fields.get("src", fields.get("source", "")), fields.get("env", "")
    id = fields.get("id") or os.path.basename(path) or name
    if not id:
        raise InvalidArgument(f"the secret {text!r} has no id")
    if name or kind == "env" or (not path and id in environment):
        variable = name or path or id
        if variable not in environment:
            raise NotFound(f"secret {id}: the environment has no variable {variable}")
        return id, environment[variable].encode("utf-8", "surrogateescape")
    try:
        with open(path or id, "rb") as file:
            return id, file.read(_LARGEST_SECRET + 1)
    except OSError as error:
        raise NotFound(f"secret {id}: cannot read {path or id}: {error.strerror}") from None


def _spec(
    store: Store,
    op: RunOp,
    identity: specs.Identity,
    binds: Sequence[Bind],
    environment: Sequence[str],
) -> dict[str, Any]:
    """The OCI spec of a RUN's container."""
    network = "host" if op.network == "default" else op.network
    config = ContainerConfig(
        image="",
        command=op.arguments,
        environment=tuple(environment),
        working_dir=op.working_dir,
        network_mode=network,
        privileged=op.security == "insecure",
        extra_hosts=(f"{_HOSTNAME}:127.0.0.1", *op.hosts),
        mounts=tuple(_mount(bind) for bind in binds),
    )
    process = Process(
        entrypoint=(),
        command=op.arguments,
        environment=tuple(environment),
        working_dir=op.working_dir,
        user=op.user,
        labels={},
        stop_signal="SIGKILL",
    )
    write_files(store, config, identity)
    found = specs.build(config, process, identity)
    own = found["process"]["env"]
    # what a container has of its own would be seen by scripts that print their environment
    own[:] = [item for item in own if not item.startswith("HOSTNAME=")]
    return found


def _mount(bind: Bind) -> Mount:
    if bind.tmpfs_size is not None:
        return Mount("tmpfs", bind.target, size=bind.tmpfs_size or None, options=("exec",))
    return Mount("bind", bind.target, bind.source, read_only=bind.read_only)
