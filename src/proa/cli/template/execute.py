"""Render a template with a value."""

from __future__ import annotations

from proa.cli.template.errors import TemplateError
from proa.cli.template.functions import FUNCTIONS
from proa.cli.template.nodes import (
    Action,
    Branch,
    Chain,
    Dot,
    Field,
    Function,
    Jump,
    Literal,
    Text,
    Variable,
)
from proa.cli.template.values import MISSING, show, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from proa.cli.template.nodes import CommandNode, Pipeline

_MAX_OUTPUT = 64 << 20


class Mapping(dict[str, "Any"]):
    """A map with keys of the user's, such as labels: asking for one that is not there is no error.

    In any other dict the keys are the fields of a structure; a function among its values is a
    method (`{{.Label "name"}}`).
    """


class NilMapping(Mapping):
    """A map that is nil: it prints as an empty one, in JSON it is null."""

    is_nil = True


class Fields(dict[str, "Any"]):
    """A structure: `absent` has the values of the fields that its JSON leaves out."""

    absent: dict[str, Any]


class _Jumped(Exception):
    """break or continue is on its way to its range."""


class Template:
    """A parsed template."""

    def __init__(self, text: str, nodes: tuple[Any, ...]) -> None:
        self.text = text
        self._nodes = nodes

    def render(self, value: Any) -> str:
        """The text that the template makes of `value`. Raises TemplateError."""
        return _Execution(value).render(self._nodes)


class _Execution:
    def __init__(self, value: Any) -> None:
        self._scopes: list[dict[str, Any]] = [{"$": value}]
        self._out: list[str] = []
        self._size = 0

    def render(self, nodes: tuple[Any, ...]) -> str:
        self._walk(nodes, self._scopes[0]["$"])
        return "".join(self._out)

    def _write(self, text: str) -> None:
        self._size += len(text)
        if self._size > _MAX_OUTPUT:
            raise TemplateError(f"the output is larger than {_MAX_OUTPUT >> 20} MB")
        self._out.append(text)

    def _walk(self, nodes: tuple[Any, ...], dot: Any) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self._write(node.text)
            elif isinstance(node, Action):
                value = self._pipeline(node.pipeline, dot)
                if not node.pipeline.variables:
                    self._write(show(value))
            elif isinstance(node, Branch):
                self._scopes.append({})
                try:
                    self._branch(node, dot)
                finally:
                    self._scopes.pop()
            elif isinstance(node, Jump):
                raise _Jumped(node.keyword)

    def _branch(self, node: Branch, dot: Any) -> None:
        if node.keyword == "range":
            self._range(node, dot)
            return
        value = self._pipeline(node.pipeline, dot)
        if truth(value):
            self._walk(node.body, value if node.keyword == "with" else dot)
        else:
            self._walk(node.otherwise, dot)

    def _range(self, node: Branch, dot: Any) -> None:
        pipeline = node.pipeline
        value = self._value(pipeline, dot)
        items: list[tuple[Any, Any]]
        if isinstance(value, dict):
            items = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, list | tuple):
            items = list(enumerate(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            items = [(number, number) for number in range(min(value, 1_000_000))]
        elif value is None or value is MISSING:
            items = []
        else:
            self._fail(pipeline.column, pipeline.source, f"range can't iterate over {show(value)}")
        if not items:
            self._walk(node.otherwise, dot)
            return
        for key, item in items:
            names = pipeline.variables
            if len(names) == 2:
                self._assign(names[0], key, pipeline.declares)
                self._assign(names[1], item, pipeline.declares)
            elif names:
                self._assign(names[0], item, pipeline.declares)
            try:
                self._scopes.append({})
                try:
                    self._walk(node.body, item)
                finally:
                    self._scopes.pop()
            except _Jumped as jump:
                if str(jump) == "break":
                    break

    def _assign(self, name: str, value: Any, declares: bool) -> None:
        if declares:
            self._scopes[-1][name] = value
            return
        for scope in reversed(self._scopes):
            if name in scope:
                scope[name] = value
                return

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        value = self._value(pipeline, dot)
        for name in pipeline.variables:
            self._assign(name, value, pipeline.declares)
        return value

    def _value(self, pipeline: Pipeline, dot: Any) -> Any:
        piped: tuple[Any, ...] = ()
        for command in pipeline.commands:
            piped = (self._command(command, dot, piped, pipeline.source),)
        return piped[0]

    def _command(self, command: CommandNode, dot: Any, piped: tuple[Any, ...], source: str) -> Any:
        first, *rest = command.operands
        if not isinstance(first, Function):
            value = self._operand(first, dot, source)
            if callable(value):
                arguments = [self._operand(operand, dot, source) for operand in rest]
                return value(*arguments, *piped)
            if rest or piped:
                self._fail(
                    getattr(first, "column", 0), source, "can't give argument to non-function"
                )
            return value
        return self._call(first, rest, dot, piped, source)

    def _call(
        self, function: Function, operands: list[Any], dot: Any, piped: tuple[Any, ...], source: str
    ) -> Any:
        call, least, most = FUNCTIONS[function.name]
        count = len(operands) + len(piped)
        if count < least or (most is not None and count > most):
            want = f"at least {least}" if most is None else str(least)
            self._fail(
                function.column,
                source,
                f"wrong number of args for {function.name}: want {want} got {count}",
            )
        if function.name in ("and", "or"):
            # The arguments after the one that decides are not evaluated
            value: Any = None
            for operand in operands:
                value = self._operand(operand, dot, source)
                if truth(value) == (function.name == "or"):
                    return value
            return piped[0] if piped else value
        arguments = [self._operand(operand, dot, source) for operand in operands]
        try:
            return call(*arguments, *piped)
        except TemplateError as error:
            self._fail(function.column, source, f"error calling {function.name}: {error}")

    def _operand(self, node: Any, dot: Any, source: str) -> Any:
        if isinstance(node, Literal):
            return node.value
        if isinstance(node, Dot):
            return dot
        if isinstance(node, Field):
            return self._chain(dot, node.names, node.column, source)
        if isinstance(node, Variable):
            for scope in reversed(self._scopes):
                if node.name in scope:
                    column = node.column + len(node.name)
                    return self._chain(scope[node.name], node.names, column, source)
        if isinstance(node, Chain):
            return self._chain(self._pipeline(node.inner, dot), node.names, node.column, source)
        if isinstance(node, Function):
            return self._call(node, [], dot, (), source)
        raise AssertionError(node)

    def _chain(self, value: Any, names: tuple[str, ...], column: int, source: str) -> Any:
        for name in names:
            at = column
            column += len(name) + 1
            if isinstance(value, dict):
                found = value.get(name, MISSING)
                if found is MISSING and not isinstance(value, Mapping):
                    found = value.get(_OTHER_NAMES.get(name, ""), MISSING)
                    if found is MISSING and isinstance(value, Fields):
                        found = value.absent.get(name, MISSING)
                    if found is MISSING:
                        self._fail(
                            at,
                            source,
                            f'map has no entry for key "{name}"{_meant(name, value)}',
                        )
                value = found
            elif value is None or value is MISSING:
                self._fail(at, source, f"nil data; no entry for key {name!r}".replace("'", '"'))
            else:
                kind = "list" if isinstance(value, list | tuple) else type(value).__name__
                self._fail(at, source, f"can't evaluate field {name} in type {kind}")
        return value

    def _fail(self, column: int, source: str, why: str) -> NoReturn:
        raise TemplateError(
            f'template parsing error: template: :1:{column}: executing "" at <{source}>: {why}'
        )


_OTHER_NAMES = {"ID": "Id"}
"""Go's name of a field, where it is not that of the JSON."""


def _meant(name: str, value: dict[str, Any]) -> str:
    from proa.lean.suggest import nearest

    by_lower = {key.lower(): key for key in value}
    best = by_lower.get(nearest(name.lower(), by_lower) or "")
    return f"; did you mean .{best}?" if best else ""
