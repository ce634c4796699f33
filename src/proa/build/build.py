"""A build from beginning to end: read, lower, solve, and make an image of the result."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proa.build import events
from proa.build.cache import BuildCache
from proa.build.context import Directory, open_directory, read_dockerfile
from proa.build.dockerfile.lint import Options, lint
from proa.build.dockerfile.stages import read
from proa.build.graph import RunOp
from proa.build.lower import lower
from proa.build.prepare import prepared
from proa.build.run import Runner
from proa.build.solver import Solver
from proa.build.steps import Steps
from proa.build.workspace import sweep
from proa.errors import BuildFailed, DockerfileError, InvalidArgument
from proa.image.unpack import add
from proa.image.view import Image, from_store
from proa.image.work import Work
from proa.lean import clock
from proa.lean.record import record, replace
from proa.oci.image_config import ImageConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from proa.build.dockerfile.lint import LintWarning
    from proa.build.dockerfile.source import Source
    from proa.build.dockerfile.stages import Dockerfile
    from proa.build.graph import Op
    from proa.build.lower import Lowered, ResolveImage
    from proa.build.options import BuildOptions
    from proa.build.run import MakeSpec
    from proa.build.steps import Result
    from proa.image.view import Layer
    from proa.oci.platform import Platform
    from proa.oci.reference import Reference
    from proa.snapshot.decompress import Stream
    from proa.store.images import ImageRecord
    from proa.store.store import Store

_IMAGE = "docker-image://"


@record
class Request:
    """What is to be built, and of what."""

    context: str
    """a directory, or a URL"""
    options: BuildOptions
    dockerfile: str = ""
    """as `-f` has it"""
    source: Source | None = None
    """the Dockerfile itself, where it is no file"""
    stream: Stream | None = None
    """the context as an archive, or a Dockerfile alone"""
    confined: bool = False
    """the context was made by strangers: nothing in it leads out"""
    references: tuple[Reference, ...] = ()
    """the names that the image gets"""


@dataclass(slots=True)
class _InTurn:
    """Tells events one at a time, whichever thread they come from."""

    tell: Callable[[events.Event], None]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: events.Event) -> None:
        with self.lock:
            self.tell(event)


def build(
    store: Store,
    request: Request,
    *,
    resolve: ResolveImage,
    make_spec: MakeSpec,
    tell: Callable[[events.Event], None] = lambda _: None,
) -> ImageRecord:
    """Build an image. Events are told in order, in any thread.

    Raises DockerfileError, BuildFailed, and what reading and writing raises.
    """
    sweep(store)
    with prepared(store, request.context, request.stream) as (context, source, foreign):
        request = replace(
            request, context=context, source=request.source or source, confined=foreign
        )
        return _build(store, request, resolve, make_spec, _InTurn(tell))


def _build(
    store: Store,
    request: Request,
    resolve: ResolveImage,
    make_spec: MakeSpec,
    in_turn: _InTurn,
) -> ImageRecord:
    number = 1
    in_turn(events.StepStarted(number, "[internal] load build definition", time.time()))
    source, path = _read(request)
    context = open_directory(request.context, path, confined=request.confined)
    dockerfile = read(source)
    _warn(dockerfile, request.options, context, in_turn)
    lowered = lower(dockerfile, request.options, resolve)
    if lowered.unused_arguments:
        names = ", ".join(lowered.unused_arguments)
        in_turn(events.StepNote(number, f"build arguments were not consumed: {names}", time.time()))
    in_turn(events.StepFinished(number, time.time()))
    contexts = {"": context}
    for name, where in request.options.contexts.items():
        if not where.startswith(_IMAGE):
            contexts[name] = open_directory(where)
    runner = Runner(store, request.options, make_spec)
    try:
        with Work(store, "build") as work:
            steps = Steps(store, request.options, contexts, runner)
            try:
                solver = Solver(
                    store,
                    work.lease,
                    lowered.graph,
                    steps=steps,
                    cache=BuildCache(store),
                    runner=runner,
                    options=request.options,
                    source=source,
                    place=path,
                    tell=in_turn,
                    first_number=number + 1,
                )
                results = solver.solve(lowered.state.vertex)
            except BuildFailed as error:
                if steps.failed is not None:
                    vertex, layer = steps.failed
                    below = solver.result(vertex.inputs[0])
                    image = failed_state(vertex.op, below, layer, request.options.platform)
                    error.image = str(add(store, work.lease, image, event="tag").id)
                raise
            finally:
                steps.save()
            image = assemble(store, lowered, results, request.options.epoch)
            number = solver.next_number
            in_turn(events.StepStarted(number, "exporting to image", time.time()))
            record = add(store, work.lease, image, request.references, event="create")
            _tell_names(record, request, in_turn, number)
            work.done(leftovers=False)
    finally:
        runner.close()
    return record


def check(request: Request) -> tuple[list[LintWarning], Source]:
    """What is questionable in a Dockerfile, and its text. Raises DockerfileError."""
    source, path = _read(request)
    dockerfile = read(source)
    context = open_directory(request.context, path, confined=request.confined)
    options = _lint_options(dockerfile, request.options)
    found = lint(
        dockerfile, options=options, given=request.options.build_args, ignore=context.ignore
    )
    return found, source


def _read(request: Request) -> tuple[Source, str]:
    if request.source is not None:
        return request.source, ""
    return read_dockerfile(request.context, request.dockerfile, confined=request.confined)


def _lint_options(dockerfile: Dockerfile, options: BuildOptions) -> Options:
    given = options.build_args.get("BUILDKIT_DOCKERFILE_CHECK")
    return Options.parse(dockerfile.directives.check if given is None else given)


def _warn(
    dockerfile: Dockerfile,
    options: BuildOptions,
    context: Directory,
    tell: Callable[[events.Event], None],
) -> None:
    chosen = _lint_options(dockerfile, options)
    found = lint(dockerfile, options=chosen, given=options.build_args, ignore=context.ignore)
    for item in found:
        excerpt = dockerfile.source.excerpt(item.span)
        tell(events.BuildWarning(item.rule, item.message, item.span.first, excerpt))
    if found and chosen.error:
        first = found[0]
        raise DockerfileError(
            f"lint violation found for rules: {', '.join(sorted({item.rule for item in found}))}",
            line=first.span.first,
            excerpt=dockerfile.source.excerpt(first.span),
        )


def _tell_names(
    record: ImageRecord, request: Request, tell: Callable[[events.Event], None], number: int
) -> None:
    now = time.time()
    tell(events.StepNote(number, f"writing image {record.id} done", now))
    for reference in request.references:
        tell(events.StepNote(number, f"naming to {reference} done", now))
    tell(events.StepFinished(number, now))
    tell(events.BuildFinished(str(record.id), now))


def assemble(
    store: Store, lowered: Lowered, results: Mapping[int, Result], epoch: int | None
) -> Image:
    """The image of a solved target."""
    state = lowered.state
    base = from_store(store, store.images.resolve(state.base)) if state.base else None
    history: list[dict[str, Any]] = []
    last = ""
    if base is not None:
        history += [dict(item) for item in base.config.history]
        last = str(base.config.document.get("created") or "")
    fixed = None if epoch is None else clock.from_nanoseconds(epoch * 1_000_000_000)
    layers = base.layers if base is not None else ()
    for item in state.history:
        result = results[item.vertex] if item.vertex is not None else None
        own = result.own if result is not None else None
        # a step without a layer is as old as the last one that has some
        last = (result.created if result is not None else "") or last
        entry: dict[str, Any] = {
            "created": fixed or last or clock.now(),
            "created_by": item.created_by,
        }
        if item.author:
            entry["author"] = item.author
        if own is None:
            entry["empty_layer"] = True
        else:
            layers = (*layers, own)
        history.append(entry)
    document = {
        **state.document,
        "created": fixed or (history[-1].get("created") if history else None) or clock.now(),
        "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
        "history": history,
    }
    return Image(ImageConfig.build(document), layers)


def failed_state(op: Op, below: Result | None, layer: Layer | None, platform: Platform) -> Image:
    """An image of the file system that a failed RUN has left: its command would be the same."""
    assert isinstance(op, RunOp)
    layers = below.layers if below is not None else ()
    if layer is not None:
        layers = (*layers, layer)
    document = {
        "architecture": platform.architecture,
        "os": platform.os,
        "created": clock.now(),
        "config": {
            "Env": list(op.environment),
            "WorkingDir": op.working_dir,
            "User": op.user,
            "Cmd": list(op.arguments),
        },
        "rootfs": {"type": "layers", "diff_ids": [str(item.diff_id) for item in layers]},
        "history": [{"created_by": "failed build step"} for _ in layers],
    }
    return Image(ImageConfig.build(document), layers)


def parse_epoch(text: str) -> int | None:
    """SOURCE_DATE_EPOCH as a number of seconds; None where nothing is said."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) > 1 << 40:
        raise InvalidArgument(f"invalid SOURCE_DATE_EPOCH: {text!r} is not a number of seconds")
    return int(text)
