"""`--format` of the commands that list things: table, json, or a template for each line."""

from __future__ import annotations

from proa.cli.table import tabbed
from proa.cli.template import Mapping, parse
from proa.cli.template.values import to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Row = dict[str, Any]


def is_table(text: str) -> bool:
    """Whether the format is docker's default table or a table of the user's."""
    return text == "table" or text.startswith(("table ", "table\t"))


def render(rows: Iterable[Row], text: str, *, default: str, headers: dict[str, str]) -> str:
    """Rows in the format `text`.

    `default`: the template of the plain `table`; `headers`: what stands above each field.
    Raises TemplateError.
    """
    # docker sorts the names where a row is shown whole
    rows = [{name: row[name] for name in sorted(row)} for row in rows]
    if text == "json":
        return "".join(to_json(row) + "\n" for row in rows)
    if not is_table(text):
        template = parse(_unescaped(text))
        return "".join(template.render(row) + "\n" for row in rows)
    inner = text.removeprefix("table").strip() or default
    template = parse(_unescaped(inner))
    heading = Mapping(headers)
    heading["Label"] = label_header
    return tabbed("".join(template.render(row) + "\n" for row in (heading, *rows)))


def label_header(name: str) -> str:
    """What stands above a column of labels: the last part of its name."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def template_of(columns: Iterable[str]) -> str:
    """The template of a table with these fields."""
    return "\t".join(f"{{{{.{name}}}}}" for name in columns)


def _unescaped(text: str) -> str:
    """A shell leaves the backslash of `\\t`; docker makes a tab of it."""
    return text.replace("\\t", "\t").replace("\\n", "\n")
