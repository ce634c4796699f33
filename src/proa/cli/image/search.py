"""`search`: repositories of a registry."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.filters import filters
from proa.cli.flags import UsageError
from proa.cli.format import render, template_of
from proa.cli.output import write
from proa.cli.table import truncated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values

_HEADERS = {
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "StarCount": "STARS",
    "IsOfficial": "OFFICIAL",
    "IsAutomated": "AUTOMATED",
}
_LONGEST = 45


def _search(session: Session, values: Values, arguments: list[str]) -> int:
    wanted = filters(values, ["is-automated", "is-official", "stars"])
    limit = values.number("limit")
    found = session.engine.images.search(arguments[0], 25 if limit is None else limit)
    found = [item for item in found if _fits(item, wanted)]
    truncate = not values.flag("no-trunc")
    rows = []
    for item in found:
        text = str(item["description"])
        rows.append(
            {
                "Name": item["name"],
                "Description": truncated(text, _LONGEST) if truncate else text,
                "StarCount": item["star_count"],
                "IsOfficial": "[OK]" if item["is_official"] else "",
                "IsAutomated": "[OK]" if item["is_automated"] else "",
            }
        )
    columns = ("Name", "Description", "StarCount", "IsOfficial")
    template = values.text("format", "table")
    write(render(rows, template, default=template_of(columns), headers=_HEADERS))
    return 0


def _fits(item: dict[str, Any], wanted: dict[str, list[str]]) -> bool:
    for name in ("is-official", "is-automated"):
        for text in wanted.get(name, ()):
            if text not in ("true", "false"):
                raise UsageError(f"invalid filter '{name}={text}': say true or false")
            if item[name.replace("-", "_")] != (text == "true"):
                return False
    for text in wanted.get("stars", ()):
        if not text.isdecimal():
            raise UsageError(f"invalid filter 'stars={text}': not a number")
        if item["star_count"] < int(text):
            return False
    return True


COMMAND = Command(
    usage="[OPTIONS] TERM",
    summary="Search a registry for repositories",
    run=_search,
    flags=(
        ("filter", "f", "filter", "Show those only (is-official=true, stars=3)"),
        ("format", "", "string", "Show it by a template"),
        ("limit", "", "int", "At most so many (default 25)"),
        ("no-trunc", "", "bool", "Show descriptions as a whole"),
    ),
    minimum=1,
    maximum=1,
)
