"""The tree that a template is parsed to."""

from __future__ import annotations

from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@record
class Text:
    """Copied as it is."""

    text: str


@record
class Literal:
    """A constant."""

    value: Any
    source: str


@record
class Field:
    """`.A.B`, of the dot."""

    names: tuple[str, ...]
    column: int


@record
class Variable:
    """`$x.A.B`."""

    name: str
    names: tuple[str, ...]
    column: int


@record
class Chain:
    """`(pipeline).A.B`."""

    inner: Pipeline
    names: tuple[str, ...]
    column: int


@record
class Function:
    """The name of a function."""

    name: str
    column: int


@record
class Dot:
    """The value at hand."""

    column: int


@record
class CommandNode:
    """A value, or a function and its arguments."""

    operands: tuple[Any, ...]


@record
class Pipeline:
    """Commands; each one's result is the last argument of the next."""

    commands: tuple[CommandNode, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False
    """`:=` rather than `=`"""
    source: str = ""
    column: int = 0


@record
class Action:
    """`{{pipeline}}`."""

    pipeline: Pipeline


@record
class Branch:
    """if, with or range."""

    keyword: str
    pipeline: Pipeline
    body: tuple[Any, ...]
    otherwise: tuple[Any, ...]


@record
class Jump:
    """break or continue."""

    keyword: str
