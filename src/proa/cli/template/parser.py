"""From tokens to the tree."""

from __future__ import annotations

from proa.cli.template.errors import TemplateError
from proa.cli.template.functions import FUNCTIONS
from proa.cli.template.lexer import tokens
from proa.cli.template.nodes import (
    Action,
    Branch,
    Chain,
    CommandNode,
    Dot,
    Field,
    Function,
    Jump,
    Literal,
    Pipeline,
    Text,
    Variable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from proa.cli.template.lexer import Token

_MAX_DEPTH = 100
_BRANCHES = ("if", "with", "range")


def parse_template(text: str) -> tuple[Any, ...]:
    """The nodes of a template. Raises TemplateError."""
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._position = 0
        self._variables: list[set[str]] = [{"$"}]
        self._ranges = 0
        self._depth = 0

    def parse(self) -> tuple[Any, ...]:
        nodes, stop = self._list(())
        assert not stop
        return nodes

    def _fail(self, why: str, token: Token | None = None) -> NoReturn:
        line = token.line if token else self._text.count("\n") + 1
        raise TemplateError(f"template parsing error: template: :{line}: {why}")

    def _peek(self) -> Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _peek_mark(self) -> Token:
        """The next token that is not a space; it stays."""
        while (token := self._peek()) and token.kind == "space":
            self._position += 1
        if token is None:
            self._fail("unclosed action")
        return token

    def _take(self) -> Token:
        token = self._peek_mark()
        self._position += 1
        return token

    def _list(self, stops: tuple[str, ...]) -> tuple[tuple[Any, ...], str]:
        """Nodes up to one of the words `stops`, which is taken; '' at the end of the text."""
        nodes: list[Any] = []
        while token := self._peek():
            if token.kind == "text":
                self._position += 1
                nodes.append(Text(token.text))
                continue
            token = self._peek_mark()
            if token.kind == "word":
                if token.text in ("end", "else"):
                    if token.text not in stops:
                        self._fail(f"unexpected {{{{{token.text}}}}}", token)
                    self._position += 1
                    return tuple(nodes), token.text
                if token.text in _BRANCHES:
                    self._position += 1
                    nodes.append(self._branch(token.text))
                    continue
                if token.text in ("break", "continue"):
                    self._position += 1
                    if not self._ranges:
                        self._fail(f"{{{{{token.text}}}}} outside {{{{range}}}}", token)
                    self._end(token.text)
                    nodes.append(Jump(token.text))
                    continue
                if token.text in ("define", "template", "block"):
                    self._fail(f"{token.text} is not available in a format", token)
            nodes.append(Action(self._pipeline("command", "end")))
        if stops:
            self._fail("unexpected EOF")
        return tuple(nodes), ""

    def _end(self, context: str) -> None:
        token = self._take()
        if token.kind != "end":
            self._fail(f"unexpected {_shown(token)} in {context}", token)

    def _branch(self, keyword: str) -> Branch:
        self._nest()
        self._variables.append(set())
        pipeline = self._pipeline(keyword, "end")
        self._ranges += keyword == "range"
        body, stop = self._list(("else", "end"))
        self._ranges -= keyword == "range"
        otherwise: tuple[Any, ...] = ()
        if stop == "else":
            following = self._peek_mark()
            if following.kind == "word" and following.text == keyword and keyword != "range":
                # {{else if}}: a branch inside the else, and one {{end}} for both
                self._position += 1
                otherwise = (self._branch(keyword),)
                self._variables.pop()
                self._depth -= 1
                return Branch(keyword, pipeline, body, otherwise)
            self._end("else")
            otherwise, _ = self._list(("end",))
        self._end("end")
        self._variables.pop()
        self._depth -= 1
        return Branch(keyword, pipeline, body, otherwise)

    def _nest(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail(f"nested more than {_MAX_DEPTH} deep")

    def _pipeline(self, context: str, end: str) -> Pipeline:
        start = self._peek_mark()
        variables, declares = self._declaration(context)
        commands: list[CommandNode] = []
        while True:
            token = self._peek_mark()
            if token.kind == end:
                self._position += 1
                break
            if commands:
                if token.kind != "|":
                    self._fail(f"unexpected {_shown(token)} in {context}", token)
                self._position += 1
                token = self._peek_mark()
                if token.kind == end:
                    self._fail(f"missing value for {context}", token)
            commands.append(self._command(context, end))
        if not commands:
            self._fail(f"missing value for {context}", start)
        for number, command in enumerate(commands[1:], 2):
            if not isinstance(command.operands[0], Function):
                self._fail(f"non executable command in pipeline stage {number}", start)
        if declares:
            self._variables[-1].update(variables)
        return Pipeline(tuple(commands), variables, declares, self._source(start), start.column)

    def _source(self, start: Token) -> str:
        """The pipeline's text, for messages."""
        line = self._text.split("\n")[start.line - 1]
        end = line.find("}}", start.column)
        return line[start.column : end if end >= 0 else len(line)].rstrip(" -")

    def _declaration(self, context: str) -> tuple[tuple[str, ...], bool]:
        """`$x :=`, `$x =` or (in range) `$i, $e :=` at the beginning of a pipeline."""
        start = self._position
        names: list[str] = []
        while True:
            token = self._peek_mark()
            if token.kind != "variable":
                break
            names.append(token.text)
            self._position += 1
            token = self._peek_mark()
            if token.kind in (":=", "="):
                self._position += 1
                if len(names) > 1 and (context != "range" or len(names) > 2):
                    self._fail(f"too many declarations in {context}", token)
                if token.kind == "=":
                    for name in names:
                        self._known(name, token)
                return tuple(names), token.kind == ":="
            if token.kind != "," or context != "range":
                break
            self._position += 1
        self._position = start
        return (), False

    def _known(self, name: str, token: Token) -> None:
        if not any(name in scope for scope in self._variables):
            self._fail(f'undefined variable "{name}"', token)

    def _command(self, context: str, end: str) -> CommandNode:
        operands: list[Any] = []
        while True:
            token = self._peek_mark()
            if token.kind in (end, "|"):
                break
            if operands and self._tokens[self._position - 1].kind != "space":
                self._fail(f"unexpected {_shown(token)} in operand", token)
            operands.append(self._operand(context))
        if not operands:
            self._fail("empty command", token)
        if len(operands) > 1 and isinstance(operands[0], Literal):
            self._fail(f"can't give argument to non-function {operands[0].source}", token)
        if isinstance(operands[0], Literal) and operands[0].value is None:
            self._fail("nil is not a command", token)
        return CommandNode(tuple(operands))

    def _operand(self, context: str) -> Any:
        token = self._take()
        column = token.column
        kind = token.kind
        if kind == "(":
            self._nest()
            inner = self._pipeline("parenthesized pipeline", ")")
            self._depth -= 1
            return Chain(inner, self._fields(), column)
        if kind == "field":
            return Field((token.text[1:], *self._fields()), column)
        if kind == "dot":
            return Dot(column)
        if kind == "variable":
            self._known(token.text, token)
            return Variable(token.text, self._fields(), column)
        if kind == "string":
            return Literal(token.text, f'"{token.text}"')
        if kind == "character":
            return Literal(ord(token.text), f"'{token.text}'")
        if kind == "number":
            return Literal(self._number(token), token.text)
        if kind == "word":
            if token.text in ("true", "false"):
                return Literal(token.text == "true", token.text)
            if token.text == "nil":
                return Literal(None, "nil")
            if token.text not in FUNCTIONS:
                self._fail(f'function "{token.text}" not defined', token)
            return Function(token.text, column)
        return self._fail(f"unexpected {_shown(token)} in {context}", token)

    def _fields(self) -> tuple[str, ...]:
        """The fields that follow at once: `.A.B` behind a variable, a field or a parenthesis."""
        names = []
        while (token := self._peek()) and token.kind == "field":
            names.append(token.text[1:])
            self._position += 1
        return tuple(names)

    def _number(self, token: Token) -> int | float:
        text = token.text.replace("_", "")
        for read in (lambda: int(text, 0), lambda: int(text, 8), lambda: float(text)):
            try:
                return read()
            except ValueError:
                continue
        return self._fail(f"bad number syntax: {token.text!r}", token)


def _shown(token: Token) -> str:
    return f'"{token.text.strip() or token.text}"'
