"""From a Dockerfile to the graph: what a target needs, and what its image will say of itself.

Nothing is executed here. What an image is that a stage begins with is asked of whoever calls.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from proa.build.dockerfile import instructions as of
from proa.build.dockerfile.arguments import (
    BUILD_ONLY,
    PREDEFINED,
    global_arguments,
    platform_arguments,
    stage_arguments,
)
from proa.build.dockerfile.expand import Expander
from proa.build.dockerfile.heredoc import parse_heredoc
from proa.build.dockerfile.mount_flag import parse_mount
from proa.build.dockerfile.source import Span, did_you_mean
from proa.build.dockerfile.stages import SCRATCH, Stage, read_triggers
from proa.build.graph import (
    NOTHING,
    ContextOp,
    CopyOp,
    DirectoryOp,
    FetchOp,
    Graph,
    ImageOp,
    RunMount,
    RunOp,
)
from proa.build.remote import is_remote
from proa.build.stage_state import PATH, StageState, base_document, empty_document
from proa.errors import (
    BuildFailed,
    DockerfileError,
    ImageNotFound,
    InvalidArgument,
    ProaError,
)
from proa.lean.record import record
from proa.oci.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.build.dockerfile.stages import Dockerfile
    from proa.build.options import BuildOptions

_IMAGE = "docker-image://"


class BaseImage(Protocol):
    """An image that a stage begins with."""

    @property
    def id(self) -> str:
        """The digest of its config."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Diff IDs, base first."""


ResolveImage = Callable[[str, Platform], BaseImage]
"""Finds an image by name. Raises ImageNotFound, InvalidArgument."""


@record
class Lowered:
    """A target, ready to be solved."""

    graph: Graph
    state: StageState
    unused_arguments: tuple[str, ...]
    """build arguments that nothing has asked for"""


def lower(dockerfile: Dockerfile, options: BuildOptions, resolve: ResolveImage) -> Lowered:
    """The graph of the target. Raises DockerfileError, ImageNotFound, InvalidArgument."""
    lowering = _Lowering(dockerfile, options, resolve)
    target = dockerfile.stage(options.target)
    state = lowering.stage(target)
    if options.labels:
        state = state.child()
        state.config["Labels"] = {**(state.config.get("Labels") or {}), **options.labels}
    unused = [
        name
        for name in options.build_args
        if name not in lowering.asked_for | PREDEFINED | BUILD_ONLY
    ]
    return Lowered(lowering.graph, state, tuple(unused))


class _Lowering:
    def __init__(
        self, dockerfile: Dockerfile, options: BuildOptions, resolve: ResolveImage
    ) -> None:
        self.graph = Graph()
        self.asked_for: set[str] = set()
        self._dockerfile = dockerfile
        self._source = dockerfile.source
        self._escape = dockerfile.directives.escape
        self._options = options
        self._resolve = resolve
        self._states: dict[int, StageState] = {}
        self._under_way: list[Stage] = []
        host = Platform.host()
        self._globals, declared = global_arguments(
            dockerfile.arguments,
            options.build_args,
            platform_arguments(host, options.platform, options.target),
            self._source,
            self._escape,
        )
        self.asked_for |= declared

    def stage(self, stage: Stage) -> StageState:
        """What `stage` comes to in the end."""
        if (known := self._states.get(stage.index)) is not None:
            return known
        if stage in self._under_way:
            names = [item.name for item in self._under_way[self._under_way.index(stage) :]]
            raise self._source.error(
                stage.start.span,
                f"circular dependency between stages: {' → '.join([*names, stage.name])}",
            )
        self._under_way.append(stage)
        state = _StageLowering(self, stage).run()
        self._under_way.pop()
        self._states[stage.index] = state
        return state

    # what a lowering stage asks of the whole

    @property
    def dockerfile(self) -> Dockerfile:
        return self._dockerfile

    @property
    def options(self) -> BuildOptions:
        return self._options

    @property
    def global_values(self) -> Mapping[str, str]:
        return self._globals

    def source_vertex(self, name: str, span: Span, before: int) -> int:
        """The vertex of `COPY --from` and its like: a stage, a context or an image."""
        context = self._options.contexts.get(name)
        if context is not None and not context.startswith(_IMAGE):
            return self.graph.add(ContextOp(name), name=f"[context {name}] load from directory")
        if context is None:
            stage = self._dockerfile.find(name, before if name.isdecimal() else None)
            if stage is not None:
                return self.stage(stage).vertex
            if name.isdecimal():
                raise self._source.error(span, f"invalid stage index {name}: it is not one before")
        reference = name if context is None else context.removeprefix(_IMAGE)
        return self.image(reference, span, self._options.platform)[0]

    def image(self, reference: str, span: Span, platform: Platform) -> tuple[int, BaseImage]:
        """The vertex of an image, and the image."""
        try:
            found = self._resolve(reference, platform)
        except ImageNotFound as error:
            known = tuple(
                stage.start.alias for stage in self._dockerfile.stages if stage.start.alias
            )
            hint = did_you_mean(reference, known)
            raise self._source.error(span, f"{error}{hint}") from error
        except InvalidArgument as error:
            raise self._source.error(span, str(error)) from None
        except ProaError as error:
            excerpt = self._source.excerpt(span)
            raise BuildFailed(str(error), step=f"FROM {reference}", excerpt=excerpt) from error
        number = self.graph.add(
            ImageOp(str(found.id), tuple(map(str, found.layers))),
            name=f"FROM {reference}",
            span=span,
        )
        return number, found


class _StageLowering:
    """One stage."""

    def __init__(self, whole: _Lowering, stage: Stage) -> None:
        self._whole = whole
        self._stage = stage
        self._source = whole.dockerfile.source
        self._escape = whole.dockerfile.directives.escape
        self._position = 0
        self._total = 0
        self._no_cache = whole.options.no_cache or (
            stage.start.alias in whole.options.no_cache_stages
        )
        self._state = StageState(NOTHING, {})

    def run(self) -> StageState:
        start = self._stage.start
        expander = Expander(self._whole.global_values, self._source, start.span, self._escape)
        base = expander.value(start.image)
        if not base:
            raise self._source.error(start.span, f"base name ({start.image}) should not be blank")
        platform = self._platform(expander)
        self._state = self._begin(base, platform)
        instructions = [*self._triggers(), *self._stage.instructions]
        self._total = 1 + sum(
            isinstance(item, of.Run | of.Copy | of.Workdir) for item in instructions
        )
        self._position = 1
        for instruction in instructions:
            self._lower(instruction)
        return self._state

    def _platform(self, expander: Expander) -> Platform:
        text = self._stage.start.platform
        if not text:
            return self._whole.options.platform
        name = expander.value(text)
        try:
            return Platform.parse(name)
        except InvalidArgument as error:
            hint = did_you_mean(text.strip("${}"), tuple(self._whole.global_values))
            raise self._source.error(self._stage.start.span, f"{error}{hint}") from None

    def _begin(self, base: str, platform: Platform) -> StageState:
        options, start = self._whole.options, self._stage.start
        context = options.contexts.get(start.alias) if start.alias else None
        if context is None:
            context = options.contexts.get(base)
        if context is None:
            parent = self._whole.dockerfile.find(base, self._stage.index)
            if parent is not None and not base.isdecimal():
                return self._whole.stage(parent).child()
            if base == SCRATCH:
                return StageState(NOTHING, empty_document(platform))
        elif context.startswith(_IMAGE):
            base = context.removeprefix(_IMAGE)
        else:
            raise self._source.error(
                start.span,
                f"the context {start.alias or base!r} is a directory: a stage cannot begin with"
                " it; give docker-image://REFERENCE",
            )
        vertex, image = self._whole.image(base, start.span, platform)
        return StageState(vertex, base_document(image.config), str(image.id))

    def _triggers(self) -> list[of.Instruction]:
        texts = self._state.config.pop("OnBuild", None) or ()
        span = self._stage.start.span
        return read_triggers(texts, self._source, span, self._escape)

    def _lower(self, instruction: of.Instruction) -> None:
        state = self._state
        expander = Expander(state.variables, self._source, instruction.span, self._escape)
        changed = expander.instruction(instruction)
        try:
            match changed:
                case of.Arg():
                    self._arg(changed)
                case of.Run():
                    self._run(changed, expander)
                case of.Copy():
                    self._copy(changed)
                case of.Workdir():
                    self._workdir(changed)
                case _:
                    state.apply(changed)
        except DockerfileError:
            raise
        except InvalidArgument as error:
            raise self._source.error(instruction.span, str(error)) from None

    def _arg(self, instruction: of.Arg) -> None:
        found = stage_arguments(
            instruction,
            self._state.variables,
            given=self._whole.options.build_args,
            global_values=self._whole.global_values,
            source=self._source,
            escape=self._escape,
        )
        self._state.arguments.update(found)
        self._whole.asked_for.update(found)
        for name, value in found.items():
            self._state.note(f"ARG {name}" if value is None else f"ARG {name}={value}")

    # -- what changes the file system

    def _add(self, op: Any, inputs: tuple[int, ...], instruction: of.Instruction) -> int:
        self._position += 1
        stage = self._stage.start.alias or (
            f"stage-{self._stage.index}" if len(self._whole.dockerfile.stages) > 1 else ""
        )
        place = f"{stage} " if stage else ""
        return self._whole.graph.add(
            op,
            inputs,
            name=f"[{place}{self._position}/{self._total}] {instruction.text}",
            stage=stage,
            text=instruction.text,
            span=instruction.span,
            no_cache=self._no_cache,
        )

    def _arguments_of_run(self) -> dict[str, str]:
        environment = self._state.environment
        return {
            name: value
            for name, value in self._state.arguments.items()
            if value is not None and name not in environment
        }

    def _run(self, instruction: of.Run, expander: Expander) -> None:
        state, options = self._state, self._whole.options
        if instruction.security == "insecure" and "security.insecure" not in options.allow:
            raise InvalidArgument(
                "RUN --security=insecure is not allowed; allow it with --allow security.insecure"
            )
        if instruction.devices:
            raise InvalidArgument("RUN --device is not available: there are no devices in builds")
        command, script = _command(instruction)
        if instruction.shell and script is None:
            command = (*state.shell, *command)
        arguments = self._arguments_of_run()
        environment = {**arguments, **state.environment}
        environment.setdefault("PATH", PATH)
        mounts, inputs = self._mounts(instruction, expander)
        network = instruction.network
        op = RunOp(
            arguments=command,
            environment=tuple(f"{name}={value}" for name, value in environment.items()),
            working_dir=state.working_dir,
            user=state.user,
            network=options.network if network == "default" else network,
            security=instruction.security,
            mounts=mounts,
            script=script,
            hosts=options.hosts,
        )
        state.vertex = self._add(op, (state.vertex, *inputs), instruction)
        shown = " ".join(command)
        if arguments:
            pairs = " ".join(f"{name}={value}" for name, value in arguments.items())
            shown = f"|{len(arguments)} {pairs} {shown}"
        state.note(f"RUN {shown}", state.vertex)

    def _mounts(
        self, instruction: of.Run, expander: Expander
    ) -> tuple[tuple[RunMount, ...], tuple[int, ...]]:
        mounts: list[RunMount] = []
        inputs: list[int] = []
        for text in instruction.mounts:
            mount = parse_mount(text, expander.value)
            vertex = None
            if mount.from_ and mount.from_ != SCRATCH:
                vertex = self._whole.source_vertex(mount.from_, instruction.span, self._stage.index)
            elif mount.kind == "bind" and not mount.from_:
                vertex = self._context()
            if vertex is not None:
                inputs.append(self._as_layers(vertex, mount.source))
            target = mount.target
            if target:
                target = posixpath.normpath(posixpath.join(self._state.working_dir, target))
            mounts.append(
                RunMount(
                    mount.kind,
                    target,
                    source=mount.source,
                    input=len(inputs) if vertex is not None else 0,
                    read_only=mount.read_only,
                    id=mount.id or (target if mount.kind == "cache" else ""),
                    sharing=mount.sharing,
                    size=mount.size,
                    required=mount.required,
                    mode=mount.mode,
                    uid=mount.uid,
                    gid=mount.gid,
                    variable=mount.variable,
                )
            )
        return tuple(mounts), tuple(inputs)

    def _as_layers(self, vertex: int, path: str) -> int:
        """Of a context, a vertex that has a copy of `path`: what is ignored is not mounted, what
        is written there is not kept, and it is known by its content.
        """
        graph = self._whole.graph
        if not isinstance(graph.vertices[vertex].op, ContextOp):
            return vertex
        op = CopyOp((path or "/",), "/", parents=True, link=True)
        return graph.add(
            op,
            (NOTHING, vertex),
            name=f"[internal] copy {path or '/'} of the context to be mounted",
            text=f"copy {path or '/'} of the context",
        )

    def _context(self) -> int:
        return self._whole.graph.add(ContextOp(), name="[internal] load build context")

    def _copy(self, instruction: of.Copy) -> None:
        state = self._state
        is_add = isinstance(instruction, of.Add)
        remote = [text for text in instruction.sources if is_add and is_remote(text)]
        local = tuple(text for text in instruction.sources if text not in remote)
        if is_add and isinstance(instruction, of.Add) and instruction.checksum and local:
            raise InvalidArgument("checksum can't be specified for non-HTTP(S) sources")
        op = CopyOp(
            sources=local,
            destination=state.absolute(instruction.destination),
            heredocs=instruction.heredocs,
            chown=instruction.chown,
            chmod=instruction.chmod,
            link=instruction.link,
            parents=instruction.parents,
            excludes=instruction.excludes,
            add=is_add,
            unpack=instruction.unpack if isinstance(instruction, of.Add) else None,
        )
        if instruction.from_:
            source = self._whole.source_vertex(
                instruction.from_, instruction.span, self._stage.index
            )
        else:
            source = self._context() if local else NOTHING
        fetched = [self._fetch(instruction, url) for url in remote]
        state.vertex = self._add(op, (state.vertex, source, *fetched), instruction)
        state.note(instruction.text, state.vertex)

    def _fetch(self, instruction: of.Copy, url: str) -> int:
        assert isinstance(instruction, of.Add)
        checksum = instruction.checksum
        if checksum and len(instruction.sources) > 1:
            raise InvalidArgument("checksum can't be specified for multiple sources")
        return self._whole.graph.add(
            FetchOp(url, checksum, instruction.keep_git_dir), name=url, span=instruction.span
        )

    def _workdir(self, instruction: of.Workdir) -> None:
        state = self._state
        path = state.absolute(instruction.path).rstrip("/") or "/"
        state.config["WorkingDir"] = path
        if path == "/":
            self._position += 1
            state.note(f"WORKDIR {path}")
            return
        op = DirectoryOp(path, state.user)
        state.vertex = self._add(op, (state.vertex,), instruction)
        state.note(f"WORKDIR {path}", state.vertex)


def _command(instruction: of.Run) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """The command of a RUN, and the script that it is, if it is one.

    A here-document that is all there is, is what the shell executes, or, with `#!` at its
    beginning, a program of its own. Other ones are the shell's affair.
    """
    if not instruction.heredocs:
        return instruction.command, None
    line = instruction.command[0]
    first = instruction.heredocs[0]
    if parse_heredoc(line) is not None and len(instruction.heredocs) == 1:
        if first.content.startswith("#!"):
            return (f"/dev/pipes/{first.name}",), (first.name, first.data)
        return (first.data,), None
    rest = [f"{heredoc.content}{heredoc.name}" for heredoc in instruction.heredocs]
    return ("\n".join([line, *rest]),), None
