"""JSON documents of images: refused where two programs might read two things in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from proa.errors import CorruptData, HostileData, LimitExceeded

if TYPE_CHECKING:
    from typing import Any


def check(data: bytes, what: str) -> bytes:
    """`data`, if it is JSON that means one thing only; `what` names it in errors.

    JSON leaves open which of two members of one name counts (RFC 8259, section 4), and what
    half a surrogate pair is (section 8.2). A scanner may take the one and an engine the other.

    Raises CorruptData, HostileData, LimitExceeded.
    """
    try:
        value = json.loads(data, object_pairs_hook=lambda pairs: _object(pairs, what))
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise LimitExceeded(f"{what} is nested too deeply") from None
    except UnicodeEncodeError:
        raise CorruptData(f"{what} has text that is not Unicode: half a surrogate pair") from None
    except ValueError as error:
        raise CorruptData(f"{what} is not JSON: {error}") from None
    return data


def _object(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise HostileData(f"{what} has two members named {name[:100]!r}")
            seen.add(name)
    return found
