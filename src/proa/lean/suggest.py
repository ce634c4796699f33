"""The name that was probably meant."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` is a slip of, or None where nothing is near.

    A slip is one edit in three letters at most: a letter too many, missing, wrong, or two swapped.
    """
    allowed = max(1, len(name) // 3)
    best, best_distance = None, allowed + 1
    for candidate in sorted(known):
        if len(name) > 2 and candidate.startswith(name):
            current = 1
        else:
            current = distance(name, candidate, best_distance)
        if current < best_distance:
            best, best_distance = candidate, current
    return best


def distance(first: str, second: str, limit: int = 1_000_000) -> int:
    """How many edits make `second` of `first` (Damerau–Levenshtein, adjacent swaps).

    What is `limit` or more may be reported as any number from `limit` on.
    """
    if abs(len(first) - len(second)) >= limit:
        return limit
    before_last: list[int] = []
    last = list(range(len(second) + 1))
    for row, left in enumerate(first, 1):
        current = [row]
        for column, right in enumerate(second, 1):
            cost = min(
                last[column] + 1, current[column - 1] + 1, last[column - 1] + (left != right)
            )
            if (
                row > 1
                and column > 1
                and left == second[column - 2]
                and first[row - 2] == right
                and left != right
            ):
                cost = min(cost, before_last[column - 2] + 1)
            current.append(cost)
        before_last, last = last, current
    return last[-1]
