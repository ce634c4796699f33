"""What is questionable in a Dockerfile: the checks that BuildKit documents, under their names.

A `# check=skip=Rule,Rule;error=true` directive, or the same for `--build-arg
BUILDKIT_DOCKERFILE_CHECK`, says which are left out and whether what is found is an error. Two of
them, CopyIgnoredFile and InvalidDefinitionDescription, are experimental: `experimental=all`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proa.build.dockerfile import instructions as of
from proa.build.dockerfile.arguments import (
    BUILD_ONLY,
    PREDEFINED,
    global_arguments,
    platform_arguments,
    stage_arguments,
)
from proa.build.dockerfile.expand import Expander
from proa.build.dockerfile.source import Span, did_you_mean
from proa.build.dockerfile.stages import SCRATCH
from proa.errors import InvalidArgument
from proa.lean.record import record
from proa.oci.platform import Platform
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proa.build.dockerfile.ignore import Ignore
    from proa.build.dockerfile.stages import Dockerfile, Stage

EXPERIMENTAL = ("CopyIgnoredFile", "InvalidDefinitionDescription")
RULES = {
    "StageNameCasing": "Stage names should be lowercase",
    "FromAsCasing": "The 'as' keyword should match the case of the 'from' keyword",
    "NoEmptyContinuation": "Empty continuation lines will become errors in a future release",
    "ConsistentInstructionCasing": (
        "All commands within the Dockerfile should use the same casing (either upper or lower)"
    ),
    "DuplicateStageName": "Stage names should be unique",
    "ReservedStageName": "Reserved words should not be used as stage names",
    "JSONArgsRecommended": "JSON arguments recommended for ENTRYPOINT/CMD",
    "MaintainerDeprecated": "The MAINTAINER instruction is deprecated, use a label instead",
    "UndefinedArgInFrom": "FROM command must use declared ARGs",
    "UndefinedVar": "Variables should be defined before their use",
    "MultipleInstructionsDisallowed": "Multiple instructions of the same type in one stage",
    "LegacyKeyValueFormat": "Legacy key/value format with whitespace separator",
    "RedundantTargetPlatform": "Setting platform to predefined $TARGETPLATFORM is redundant",
    "SecretsUsedInArgOrEnv": "Sensitive data should not be used in the ARG or ENV commands",
    "InvalidDefaultArgInFrom": "Default value for global ARG results in an invalid base image",
    "WorkdirRelativePath": "Relative workdir without an absolute workdir declared before",
    "FromPlatformFlagConstDisallowed": "FROM --platform flag should not use a constant value",
    "ExposeProtoCasing": "Protocol in EXPOSE instruction should be lowercase",
    "ExposeInvalidFormat": "IP address and host-port mapping should not be used in EXPOSE",
    "CopyIgnoredFile": "Attempting to Copy file that is excluded by .dockerignore",
    "InvalidDefinitionDescription": "Comment for build stage or argument has another format",
}

_RESERVED = ("scratch", "context")
_ONCE = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE,
)
_PUBLIC = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_ANY = Platform("linux", "amd64")
"""What the platform arguments say: only whether they are set is of interest."""
_PLATFORM_ARGUMENTS = ("BUILDPLATFORM", "TARGETPLATFORM")


@record
class LintWarning:
    """Something questionable."""

    rule: str
    message: str
    span: Span

    @property
    def description(self) -> str:
        """What the rule is about."""
        return RULES[self.rule]


@record
class Options:
    """Which rules are checked."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False
    """what is found makes the build fail"""

    @classmethod
    def parse(cls, text: str) -> Options:
        """As the directive `check` has them. Raises InvalidArgument."""
        lists: dict[str, frozenset[str]] = {}
        error = False
        for part in filter(None, (part.strip() for part in text.split(";"))):
            key, equals, value = part.partition("=")
            key, value = key.strip(), value.strip()
            if not equals or key not in ("skip", "experimental", "error"):
                raise InvalidArgument(
                    f"invalid check option {part!r}: there are skip=RULE,…, experimental=RULE,…"
                    " and error=true"
                )
            if key == "error":
                if value.lower() not in ("true", "false"):
                    raise InvalidArgument(f"invalid check option {part!r}: it is true or false")
                error = value.lower() == "true"
            elif value.lower() == "all":
                lists[key] = frozenset(RULES)
            else:
                lists[key] = frozenset(name.strip() for name in value.split(","))
        return cls(error=error, **lists)


def lint(
    dockerfile: Dockerfile,
    *,
    options: Options | None = None,
    given: Mapping[str, str] | None = None,
    base_environment: Callable[[str], Mapping[str, str] | None] = lambda _: None,
    ignore: Ignore | None = None,
) -> list[LintWarning]:
    """The warnings, in the order of their lines.

    `options`: by default those of the directive. `given`: build arguments. `base_environment`:
    the variables of an image; None where it is not known, then nothing is said of variables
    that may come from there. Raises DockerfileError where a variable cannot be filled in.
    """
    if options is None:
        options = Options.parse(dockerfile.directives.check)
    check = _Check(dockerfile, given or {}, base_environment, ignore)
    check.run()
    return sorted(
        (
            warning
            for warning in check.found
            if warning.rule not in options.skip
            and (warning.rule not in EXPERIMENTAL or warning.rule in options.experimental)
        ),
        key=lambda warning: (warning.span.first, warning.span.last, warning.rule),
    )


@dataclass(slots=True)
class _Seen:
    """What a stage has declared so far."""

    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str | None] = field(default_factory=dict)
    complete: bool = True
    """all variables are known: the base image's too"""
    has_workdir: bool = False

    @property
    def variables(self) -> dict[str, str]:
        known = {name: value for name, value in self.arguments.items() if value is not None}
        return {**known, **self.environment}


class _Check:
    def __init__(
        self,
        dockerfile: Dockerfile,
        given: Mapping[str, str],
        base_environment: Callable[[str], Mapping[str, str] | None],
        ignore: Ignore | None,
    ) -> None:
        self.found: list[LintWarning] = []
        self._dockerfile = dockerfile
        self._source = dockerfile.source
        self._escape = dockerfile.directives.escape
        self._given = given
        self._base_environment = base_environment
        self._ignore = ignore
        self._globals: dict[str, str] = {}
        self._declared: frozenset[str] = frozenset()
        self._stages: list[_Seen] = []

    def run(self) -> None:
        dockerfile = self._dockerfile
        for span in dockerfile.empty_continuations:
            self._warn("NoEmptyContinuation", "Empty continuation line", span)
        predefined = platform_arguments(_ANY, _ANY)
        self._globals, self._declared = global_arguments(
            dockerfile.arguments, self._given, predefined, self._source, self._escape
        )
        defaults, _ = global_arguments(
            dockerfile.arguments, {}, predefined, self._source, self._escape
        )
        self._casing()
        for argument in dockerfile.arguments:
            self._secrets(argument, [name for name, _ in argument.pairs])
            self._descriptions(argument, [name for name, _ in argument.pairs])
        for stage in dockerfile.stages:
            self._start(stage, defaults)
            self._stage(stage)

    def _warn(self, rule: str, message: str, span: Span) -> None:
        self.found.append(LintWarning(rule, message, span))

    def _casing(self) -> None:
        everything: list[of.Instruction] = [*self._dockerfile.arguments]
        for stage in self._dockerfile.stages:
            everything += [stage.start, *stage.instructions]
        lower = sum(instruction.keyword.islower() for instruction in everything)
        upper = sum(instruction.keyword.isupper() for instruction in everything)
        is_lower = lower > upper
        majority = "lowercase" if is_lower else "uppercase"
        for instruction in everything:
            keyword = instruction.keyword
            if not (keyword.islower() if is_lower else keyword.isupper()):
                self._warn(
                    "ConsistentInstructionCasing",
                    f"Command '{keyword}' should match the case of the command majority"
                    f" ({majority})",
                    instruction.span,
                )

    def _start(self, stage: Stage, defaults: Mapping[str, str]) -> None:
        start = stage.start
        alias, keyword = start.alias_text, start.as_keyword
        if alias != alias.lower():
            self._warn("StageNameCasing", f"Stage name '{alias}' should be lowercase", start.span)
        if keyword and (
            (start.keyword.isupper() and not keyword.isupper())
            or (start.keyword.islower() and not keyword.islower())
        ):
            self._warn(
                "FromAsCasing",
                f"'{keyword}' and '{start.keyword}' keywords' casing do not match",
                start.span,
            )
        if start.alias in _RESERVED:
            self._warn(
                "ReservedStageName",
                f'Stage name should not use the same name as reserved stage "{start.alias}"',
                start.span,
            )
        if start.alias and any(
            start.alias == other.start.alias for other in self._dockerfile.stages[: stage.index]
        ):
            self._warn(
                "DuplicateStageName",
                f"Duplicate stage name '{alias}', stage names should be unique",
                start.span,
            )
        if start.alias:
            self._descriptions(start, [start.alias])
        self._platform(start)
        expander = Expander(self._globals, self._source, start.span, self._escape)
        base = expander.value(start.image)
        if start.platform:
            expander.value(start.platform)
        for name in sorted(expander.missing):
            if name in self._declared:
                continue
            known = (*self._declared, *_PLATFORM_ARGUMENTS)
            self._warn(
                "UndefinedArgInFrom",
                f"FROM argument '{name}' is not declared{did_you_mean(name, known)}",
                start.span,
            )
        self._default_base(start, defaults, expander.missing <= self._declared)
        self._stages.append(self._inherited(stage, base))

    def _default_base(self, start: of.From, defaults: Mapping[str, str], declared: bool) -> None:
        """The base's name is one even where nobody gives arguments."""
        if "$" not in start.image or not declared:
            return
        name = Expander(defaults, self._source, start.span, self._escape).value(start.image)
        try:
            if name:
                Reference.parse(name)
                return
        except InvalidArgument:
            pass
        self._warn(
            "InvalidDefaultArgInFrom",
            f"Default value for ARG {start.image} results in empty or invalid base image name",
            start.span,
        )

    def _platform(self, start: of.From) -> None:
        platform = start.platform
        if not platform:
            return
        if platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            self._warn(
                "RedundantTargetPlatform",
                f"Setting platform to predefined {platform} in FROM is redundant as this is the"
                " default behavior",
                start.span,
            )
        elif "$" not in platform:
            for part in platform.split("/"):
                # a stage that names the platform that it is for means it
                if part and start.alias and part in start.alias:
                    return
            self._warn(
                "FromPlatformFlagConstDisallowed",
                f'FROM --platform flag should not use constant value "{platform}"',
                start.span,
            )

    def _inherited(self, stage: Stage, base: str) -> _Seen:
        parent = self._dockerfile.find(base, stage.index)
        if parent is not None and not base.isdecimal():
            seen = self._stages[parent.index]
            return _Seen(
                dict(seen.environment), dict(seen.arguments), seen.complete, seen.has_workdir
            )
        if base == SCRATCH:
            return _Seen({"PATH": ""})
        environment = self._base_environment(base)
        if environment is None:
            return _Seen({}, complete=False)
        return _Seen({"PATH": "", **environment})

    def _stage(self, stage: Stage) -> None:
        seen = self._stages[stage.index]
        for name in _ONCE:
            several = [item for item in stage.instructions if item.name == name]
            for instruction in several[:-1]:
                self._warn(
                    "MultipleInstructionsDisallowed",
                    f"Multiple {name} instructions should not be used in the same stage because"
                    " only the last one will be used",
                    instruction.span,
                )
        has_shell = any(isinstance(item, of.Shell) for item in stage.instructions)
        for instruction in stage.instructions:
            self._instruction(instruction, seen, has_shell)

    def _instruction(self, instruction: of.Instruction, seen: _Seen, has_shell: bool) -> None:
        span = instruction.span
        variables = seen.variables
        expander = Expander(variables, self._source, span, self._escape)
        changed = expander.instruction(instruction)
        for name in sorted(expander.missing):
            if not seen.complete or name in seen.arguments or name in PREDEFINED | BUILD_ONLY:
                continue
            hint = did_you_mean(name, tuple(variables))
            self._warn("UndefinedVar", f"Usage of undefined variable '${name}'{hint}", span)
        match changed:
            case of.Maintainer():
                self._warn(
                    "MaintainerDeprecated",
                    "Maintainer instruction is deprecated in favor of using label",
                    span,
                )
            case of.Cmd(shell=True) | of.Entrypoint(shell=True) if not has_shell:
                self._warn(
                    "JSONArgsRecommended",
                    f"JSON arguments recommended for {instruction.name} to prevent unintended"
                    " behavior related to OS signals",
                    span,
                )
            case of.Env():
                self._legacy(changed, changed.legacy)
                self._secrets(changed, [name for name, _ in changed.pairs])
                seen.environment.update(changed.pairs)
            case of.Label():
                self._legacy(changed, changed.legacy)
            case of.Arg():
                self._secrets(changed, [name for name, _ in changed.pairs])
                self._descriptions(changed, [name for name, _ in changed.pairs])
                seen.arguments.update(
                    stage_arguments(
                        changed,
                        variables,
                        given=self._given,
                        global_values=self._globals,
                        source=self._source,
                        escape=self._escape,
                    )
                )
            case of.Workdir():
                if not changed.path.startswith("/") and not seen.has_workdir:
                    self._warn(
                        "WorkdirRelativePath",
                        f'Relative workdir "{changed.path}" can have unexpected results if the'
                        " base image changes",
                        span,
                    )
                seen.has_workdir = True
            case of.Expose():
                self._ports(changed)
            case of.Copy() if not changed.from_:
                self._ignored(changed)
            case _:
                pass

    def _legacy(self, instruction: of.Instruction, legacy: bool) -> None:
        if legacy:
            name = instruction.name
            self._warn(
                "LegacyKeyValueFormat",
                f'"{name} key=value" should be used instead of legacy "{name} key value" format',
                instruction.span,
            )

    def _secrets(self, instruction: of.Instruction, names: list[str]) -> None:
        for name in names:
            if _SECRET.search(name) and not _PUBLIC.search(name):
                self._warn(
                    "SecretsUsedInArgOrEnv",
                    "Do not use ARG or ENV instructions for sensitive data"
                    f' ({instruction.name} "{name}")',
                    instruction.span,
                )

    def _descriptions(self, instruction: of.Instruction, names: list[str]) -> None:
        if not instruction.comments:
            return
        comment = instruction.comments[-1]
        if not any(comment.partition(" ")[0] == name for name in names):
            self._warn(
                "InvalidDefinitionDescription",
                "Comment for build stage or argument should follow the format:"
                f" `# {names[0]} <description>`. If this is not intended to be a description"
                " comment, add an empty line or comment between the instruction and the comment.",
                instruction.span,
            )

    def _ports(self, instruction: of.Expose) -> None:
        for port in instruction.ports:
            if ":" in port:
                self._warn(
                    "ExposeInvalidFormat",
                    "EXPOSE instruction should not define an IP address or host-port mapping,"
                    f" found '{port}'",
                    instruction.span,
                )
            protocol = port.partition("/")[2]
            if protocol != protocol.lower():
                self._warn(
                    "ExposeProtoCasing",
                    f"Defined protocol '{port}' in EXPOSE instruction should be lowercase",
                    instruction.span,
                )

    def _ignored(self, instruction: of.Copy) -> None:
        if self._ignore is None:
            return
        what = "Add" if isinstance(instruction, of.Add) else "Copy"
        for path in instruction.sources:
            if "://" not in path and self._ignore.is_ignored(path):
                self._warn(
                    "CopyIgnoredFile",
                    f'Attempting to {what} file "{path}" that is excluded by .dockerignore',
                    instruction.span,
                )
