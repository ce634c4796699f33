"""Parser directives: `# syntax=…`, `# escape=…`, `# check=…` at the very beginning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proa.build.dockerfile.source import Span
from proa.lean.record import record

if TYPE_CHECKING:
    from proa.build.dockerfile.source import Source

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_KNOWN = ("syntax", "escape", "check")
ESCAPES = ("\\", "`")


@record
class Directives:
    """What the directives of a Dockerfile say."""

    syntax: str = ""
    """the frontend's image: nothing is taken from there, the whole language is built in"""
    escape: str = "\\"
    check: str = ""
    """options of `lint`: `skip=Rule,Rule;error=true`"""


def read_directives(source: Source) -> Directives:
    """The directives. Raises DockerfileError for one that is given twice or has a bad value.

    They end with the first line that does not look like one; one that is unknown is a comment.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(source.lines, 1):
        if number == 1 and line.startswith("#!"):
            continue
        match = _DIRECTIVE.fullmatch(line)
        if match is None:
            break
        name, value = match[1].lower(), match[2]
        if name not in _KNOWN:
            continue
        span = Span(number, number)
        if name in found:
            raise source.error(span, f"only one {name} parser directive can be used")
        if name == "escape" and value not in ESCAPES:
            raise source.error(span, f"invalid escape token {value!r}: it is \\ or `")
        found[name] = value
    return Directives(**found)
