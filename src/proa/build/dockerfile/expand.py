"""Filling in the variables of an instruction."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import TYPE_CHECKING

from proa.build.dockerfile import instructions as of
from proa.build.dockerfile import words
from proa.errors import DockerfileError, InvalidArgument
from proa.lean.record import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proa.build.dockerfile.source import Source, Span


def expanded(
    instruction: of.Instruction,
    variables: Mapping[str, str],
    source: Source,
    escape: str = "\\",
) -> of.Instruction:
    """`instruction` with its variables filled in. Raises DockerfileError.

    RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK and ONBUILD stay as they are: what they say is a
    shell's affair, or of a later build. The mounts of a RUN have theirs filled in where they are
    read, with `Expander.value`.
    """
    return Expander(variables, source, instruction.span, escape).instruction(instruction)


class Expander:
    """Fills in `variables` for an instruction at `span`; `missing` collects those unset."""

    def __init__(
        self, variables: Mapping[str, str], source: Source, span: Span, escape: str = "\\"
    ) -> None:
        self.missing: set[str] = set()
        self._variables = variables
        self._source = source
        self._span = span
        self._rules = words.Rules(escape=escape)

    def instruction(self, instruction: of.Instruction) -> of.Instruction:
        """See `expanded`."""
        return self._expand(instruction)

    def value(self, text: str) -> str:
        """One value."""
        return self._read(text).text

    def values(self, text: str) -> list[str]:
        """Values that blanks separate once variables are filled in."""
        return self._read(text).words

    def _read(self, text: str) -> words.Expansion:
        try:
            found = words.expand(text, self._variables, self._rules)
        except DockerfileError:
            raise
        except InvalidArgument as error:
            raise self._source.error(self._span, f"failed to process {text!r}: {error}") from None
        self.missing |= found.missing
        return found

    def _all(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.value(text) for text in texts)

    @singledispatchmethod
    def _expand(self, instruction: of.Instruction) -> of.Instruction:
        return instruction

    @_expand.register
    def _(self, instruction: of.Copy) -> of.Instruction:
        heredocs = []
        for heredoc in instruction.heredocs:
            try:
                data = heredoc.expanded(self._variables)
            except InvalidArgument as error:
                raise self._source.error(self._span, str(error)) from None
            heredocs.append(replace(heredoc, content=data, expands=False, strips_tabs=False))
        changed = replace(
            instruction,
            sources=self._all(instruction.sources),
            destination=self.value(instruction.destination),
            heredocs=tuple(heredocs),
            chown=self.value(instruction.chown),
            chmod=self.value(instruction.chmod),
            excludes=self._all(instruction.excludes),
        )
        if isinstance(changed, of.Add):
            return replace(changed, checksum=self.value(changed.checksum))
        return changed

    @_expand.register
    def _(self, instruction: of.Env) -> of.Instruction:
        return replace(instruction, pairs=self._pairs(instruction.pairs))

    @_expand.register
    def _(self, instruction: of.Label) -> of.Instruction:
        return replace(instruction, pairs=self._pairs(instruction.pairs))

    def _pairs(self, pairs: of.Pairs) -> of.Pairs:
        return tuple((self.value(key), self.value(value)) for key, value in pairs)

    @_expand.register
    def _(self, instruction: of.Workdir) -> of.Instruction:
        return replace(instruction, path=self.value(instruction.path))

    @_expand.register
    def _(self, instruction: of.User) -> of.Instruction:
        return replace(instruction, user=self.value(instruction.user))

    @_expand.register
    def _(self, instruction: of.Expose) -> of.Instruction:
        ports = [word for port in instruction.ports for word in self.values(port)]
        return replace(instruction, ports=tuple(ports))

    @_expand.register
    def _(self, instruction: of.Volume) -> of.Instruction:
        return replace(instruction, paths=self._all(instruction.paths))

    @_expand.register
    def _(self, instruction: of.Stopsignal) -> of.Instruction:
        return replace(instruction, signal=self.value(instruction.signal))
