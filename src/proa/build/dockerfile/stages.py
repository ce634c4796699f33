"""A Dockerfile as a whole: its global arguments, and its stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.build.dockerfile.directives import Directives, read_directives
from proa.build.dockerfile.instructions import Arg, From, Instruction
from proa.build.dockerfile.lexer import read_statement, read_statements
from proa.build.dockerfile.parse import parse_instruction
from proa.build.dockerfile.source import Source, Span, did_you_mean
from proa.errors import DockerfileError, InvalidArgument
from proa.lean.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proa.build.dockerfile.lexer import Statement

SCRATCH = "scratch"
"""the base that is nothing"""


@record
class Stage:
    """A FROM and what follows it."""

    index: int
    start: From
    instructions: tuple[Instruction, ...] = ()

    @property
    def name(self) -> str:
        """What it is called; its number where it has no name."""
        return self.start.alias or str(self.index)


@record
class Dockerfile:
    """What is in a Dockerfile."""

    source: Source
    directives: Directives
    arguments: tuple[Arg, ...]
    """those before the first FROM"""
    stages: tuple[Stage, ...]
    empty_continuations: tuple[Span, ...] = ()
    """statements with empty lines inside"""

    def stage(self, name: str) -> Stage:
        """The stage of that name or number, the last one for "". Raises InvalidArgument."""
        if not name:
            return self.stages[-1]
        found = self.find(name)
        if found is None:
            known = tuple(stage.start.alias for stage in self.stages if stage.start.alias)
            raise InvalidArgument(
                f"target stage {name!r} could not be found in {self.source.name}"
                f"{did_you_mean(name.lower(), known)}"
            )
        return found

    def find(self, name: str, before: int | None = None) -> Stage | None:
        """The stage that `name` or a number means; the last one of several.

        `before`: only among the stages before the one of that number.
        """
        candidates = self.stages[:before]
        for stage in reversed(candidates):
            if stage.start.alias and stage.start.alias == name.lower():
                return stage
        if name.isascii() and name.isdecimal() and int(name) < len(candidates):
            return candidates[int(name)]
        return None


def read(source: Source) -> Dockerfile:
    """The Dockerfile in `source`. Raises DockerfileError; its message tells the first thing that
    is wrong.
    """
    directives = read_directives(source)
    arguments: list[Arg] = []
    stages: list[Stage] = []
    current: list[Instruction] = []
    empty: list[Span] = []

    def finish() -> None:
        if stages:
            last = stages[-1]
            stages[-1] = Stage(last.index, last.start, tuple(current))
            current.clear()

    for statement in read_statements(source, directives.escape):
        if statement.has_empty_continuation:
            empty.append(statement.span)
        instruction = parse_instruction(statement, source, directives.escape)
        if isinstance(instruction, From):
            finish()
            stages.append(Stage(len(stages), instruction))
        elif stages:
            current.append(instruction)
        elif isinstance(instruction, Arg):
            arguments.append(instruction)
        else:
            raise source.error(
                instruction.span,
                f"no build stage in current context: {instruction.name} comes before the first"
                " FROM",
            )
    finish()
    if not stages:
        what = "contains no stages to build: it has no FROM" if arguments else "cannot be empty"
        raise DockerfileError(f"{source.name} {what}")
    return Dockerfile(source, directives, tuple(arguments), tuple(stages), tuple(empty))


def read_triggers(
    texts: Iterable[str], source: Source, span: Span, escape: str
) -> list[Instruction]:
    """The instructions that a base image's ONBUILD left. Errors name `span`, the FROM.

    Raises DockerfileError.
    """
    found = []
    for text in texts:
        statement: Statement = read_statement(text, source, span, escape)
        if statement.name in ("ONBUILD", "FROM", "MAINTAINER"):
            raise source.error(span, f"{statement.name} isn't allowed as an ONBUILD trigger")
        found.append(parse_instruction(statement, source, escape))
    return found
