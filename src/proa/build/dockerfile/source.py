"""The text of a Dockerfile, its lines, and errors that point at them."""

from __future__ import annotations

from proa.errors import DockerfileError, InvalidArgument
from proa.lean.record import record

_MARGIN = 2
"""Lines shown before and after those that are meant."""
_RULER = "-" * 20
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


@record
class Span:
    """Lines of a file, counted from 1; both belong to it."""

    first: int
    last: int


class Source:
    """A Dockerfile's text. `name` is what messages call it."""

    def __init__(self, text: str, name: str = "Dockerfile") -> None:
        self.name = name
        self.text = text.removeprefix(_BYTE_ORDER_MARK)
        self.lines = self.text.split("\n")
        """without their line ends, of which CR LF is one"""
        if self.lines[-1] == "":
            self.lines.pop()
        self.lines = [line.rstrip("\r") for line in self.lines]

    @classmethod
    def decode(cls, data: bytes, name: str = "Dockerfile") -> Source:
        """The text in `data`. Raises InvalidArgument where it is no UTF-8, or binary."""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise InvalidArgument(f"{name} is not a text in UTF-8: see line {line}") from None
        if "\0" in text:
            raise InvalidArgument(f"{name} is not a text: it has a null character")
        return cls(text, name)

    def excerpt(self, span: Span) -> str:
        """The lines of `span`, marked, and some around them, as BuildKit shows them."""
        last = min(span.last, len(self.lines))
        first = min(span.first, last)
        shown = [f"{self.name}:{first}", _RULER]
        for number in range(max(first - _MARGIN, 1), min(last + _MARGIN, len(self.lines)) + 1):
            mark = ">>>" if first <= number <= last else "   "
            shown.append(f" {number:3} | {mark} {self.lines[number - 1]}".rstrip())
        return "\n".join([*shown, _RULER])

    def error(self, span: Span, message: str) -> DockerfileError:
        """An error at `span`, to be raised."""
        return DockerfileError(
            f"{self.name} line {span.first}: {message}",
            line=span.first,
            excerpt=self.excerpt(span),
        )


def did_you_mean(name: str, known: list[str] | tuple[str, ...]) -> str:
    """` (did you mean …?)`, where one of `known` is near to `name`; nothing otherwise."""
    from proa.lean.suggest import nearest

    found = nearest(name, known)
    return f" (did you mean {found}?)" if found else ""
