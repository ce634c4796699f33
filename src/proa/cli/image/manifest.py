"""`manifest`: manifests in registries, and lists of them."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.manifests import Listed

_INSECURE = ("insecure", "", "bool", "The registry has no TLS, or a certificate of its own making")


def _inspect(session: Session, values: Values, arguments: list[str]) -> int:
    import json

    manifests = session.engine.manifests
    insecure = values.flag("insecure")
    if values.flag("verbose"):
        if len(arguments) == 2:
            line(json.dumps(_verbose(manifests.member(*arguments)), indent="\t"))
            return 0
        is_list, found = manifests.details(arguments[0], insecure=insecure)
        shown: Any = [_verbose(item) for item in found]
        line(json.dumps(shown if is_list else shown[0], indent="\t"))
        return 0
    if len(arguments) == 2:
        data = manifests.member(*arguments).data
    else:
        data = manifests.get(arguments[0], insecure=insecure).data
    document = json.loads(data)
    indent = 3 if "manifests" in document else "\t"
    line(json.dumps(document, indent=indent, ensure_ascii=False))
    return 0


def _verbose(item: Listed) -> dict[str, Any]:
    import base64
    import json

    kind = item.descriptor["mediaType"]
    document = "SchemaV2Manifest" if "docker" in kind else "OCIManifest"
    return {
        "Ref": item.reference,
        "Descriptor": item.descriptor,
        "Raw": base64.b64encode(item.data).decode(),
        document: json.loads(item.data),
    }


def _create(session: Session, values: Values, arguments: list[str]) -> int:
    made = session.engine.manifests.create(
        arguments[0],
        arguments[1:],
        amend=values.flag("amend"),
        insecure=values.flag("insecure"),
    )
    line(f"Created manifest list {made}")
    return 0


def _annotate(session: Session, values: Values, arguments: list[str]) -> int:
    session.engine.manifests.annotate(
        arguments[0],
        arguments[1],
        os=values.text("os"),
        architecture=values.text("arch"),
        variant=values.text("variant"),
        os_version=values.text("os-version"),
        os_features=values.texts("os-features"),
    )
    return 0


def _push(session: Session, values: Values, arguments: list[str]) -> int:
    digest = session.engine.manifests.push(
        arguments[0],
        purge=values.flag("purge"),
        insecure=values.flag("insecure"),
        pushed=lambda reference: line(
            f"Pushed ref {reference} with digest: {reference.rpartition('@')[2]}"
        ),
    )
    line(digest)
    return 0


def _remove(session: Session, _values: Values, arguments: list[str]) -> int:
    return for_each(arguments, session.engine.manifests.remove, debug=session.debug)


INSPECT = Command(
    usage="[OPTIONS] [MANIFEST_LIST] MANIFEST",
    summary="Show a manifest, or a list of them",
    run=_inspect,
    flags=(_INSECURE, ("verbose", "v", "bool", "Show what a list refers to as well")),
    minimum=1,
    maximum=2,
)

CREATE = Command(
    usage="MANIFEST_LIST MANIFEST [MANIFEST...]",
    summary="Begin a list of manifests that registries have",
    run=_create,
    flags=(("amend", "a", "bool", "Add to a list that is there"), _INSECURE),
    minimum=2,
)

ANNOTATE = Command(
    usage="[OPTIONS] MANIFEST_LIST MANIFEST",
    summary="Say what a manifest of a list is for",
    run=_annotate,
    flags=(
        ("arch", "", "string", "Architecture (arm64)"),
        ("os", "", "string", "Operating system (linux)"),
        ("os-features", "", "strings", "Features of the operating system"),
        ("os-version", "", "string", "Version of the operating system"),
        ("variant", "", "string", "Variant of the architecture (v7)"),
    ),
    minimum=2,
    maximum=2,
)

PUSH = Command(
    usage="[OPTIONS] MANIFEST_LIST",
    summary="Send a list of manifests to its registry",
    run=_push,
    flags=(_INSECURE, ("purge", "p", "bool", "Forget the list here afterwards")),
    minimum=1,
    maximum=1,
)

REMOVE = Command(
    usage="MANIFEST_LIST [MANIFEST_LIST...]",
    summary="Forget lists of manifests",
    run=_remove,
    minimum=1,
)
