"""Go's text/template, as far as `--format` needs it.

    template = parse("{{.Name}}: {{range .Mounts}}{{.Source}} {{end}}")
    text = template.render(value)

Values are those of JSON: dict, list, str, int, float, bool, None. There are actions (if, else,
range, with, break, continue), pipelines, variables, trim markers, comments, Go's functions, and
those that Docker adds: json, join, lower, upper, title, split, pad, truncate. There is no define,
template and block: a format is one line.

See https://pkg.go.dev/text/template for the language.
"""

from __future__ import annotations

from proa.cli.template.errors import TemplateError
from proa.cli.template.execute import Fields, Mapping, NilMapping, Template
from proa.cli.template.parser import parse_template

__all__ = ["Fields", "Mapping", "NilMapping", "Template", "TemplateError", "parse"]


def parse(text: str) -> Template:
    """The template that `text` is. Raises TemplateError."""
    return Template(text, parse_template(text))
