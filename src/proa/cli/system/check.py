"""`system check`: what this machine offers containers, and whether the store is in order."""

from __future__ import annotations

import os

from proa.cli.command import Command
from proa.cli.exit_codes import FAILED, OK
from proa.cli.flags import UsageError
from proa.cli.output import STDOUT, write
from proa.cli.table import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.check import Finding

_GREEN, _YELLOW, _RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"
_COLOURS = {
    "ok": _GREEN,
    "mended": _GREEN,
    "limited": _YELLOW,
    "missing": _RED,
    "damaged": _RED,
}
_PLAIN = "\x1b[0m"


def _check(session: Session, values: Values, _arguments: list[str]) -> int:
    from proa.engine.check import check
    from proa.engine.engine import default_root

    format = values.text("format", "table")
    if format not in ("table", "json"):
        raise UsageError(f'invalid argument "{format}" for "--format" flag: table or json')
    repair, verify = values.flag("repair"), values.flag("verify")
    findings = check(session.root)
    if repair or verify:
        session.enter_user_namespace()  # layers and blobs are looked into, or made
    if os.path.exists(os.path.join(session.root or default_root(), "proa.db")):
        findings += session.engine.check_store(verify=verify, repair=repair)
    if format == "json":
        import json

        from proa.lean.record import as_dict

        write(json.dumps([as_dict(finding) for finding in findings], indent=2) + "\n")
    else:
        write(_table(findings, colours=os.isatty(STDOUT) and "NO_COLOR" not in os.environ))
    return (
        FAILED
        if any(
            (finding.essential and finding.status == "missing") or finding.status == "damaged"
            for finding in findings
        )
        else OK
    )


def _table(findings: Sequence[Finding], *, colours: bool) -> str:
    rows = [["CHECK", "STATUS", "FOUND"]]
    rows += [[finding.name, finding.status, finding.detail] for finding in findings]
    lines = layout(rows).splitlines()
    text = []
    for line, finding in zip(lines, (None, *findings), strict=True):
        if finding is not None and colours and finding.status in _COLOURS:
            at = line.index(finding.status, len(finding.name))
            end = at + len(finding.status)
            line = f"{line[:at]}{_COLOURS[finding.status]}{line[at:end]}{_PLAIN}{line[end:]}"
        text.append(line)
        if finding is not None and finding.status != "ok":
            text += [f"  cost: {finding.cost}"] if finding.cost else []
            text += [f"  mend: {finding.remedy}"] if finding.remedy else []
    return "\n".join(text) + "\n"


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Tell what this machine offers, and whether the engine's directory is in order",
    run=_check,
    flags=(
        ("format", "", "string", "table or json"),
        ("repair", "", "bool", "Mend what is damaged in the engine's directory"),
        ("verify", "", "bool", "Read all blobs, to see whether they are what they should be"),
    ),
    maximum=0,
)
