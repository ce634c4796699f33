"""Listing images, with Docker's filters."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument
from proa.lean.clock import to_nanoseconds
from proa.lean.record import replace
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proa.store.images import ImageRecord
    from proa.store.store import Store

_UNITS = {"s": 1, "m": 60, "h": 3600, "ms": 0.001}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_TRUE, _FALSE = ("1", "true", "True", "TRUE", "t", "T"), ("0", "false", "False", "FALSE", "f", "F")


def list_images(
    store: Store, filters: Mapping[str, Sequence[str]] | None = None
) -> list[ImageRecord]:
    """The images that pass, the newest first.

    `filters`: before, dangling, label, reference, since, until; of one filter's values any
    suffices (of labels all are needed), of several filters all are needed. Where references are
    filtered, each image has only the matching ones. Raises InvalidArgument, ImageNotFound.
    """
    found = store.images.list()
    for name, values in (filters or {}).items():
        if name == "reference":
            patterns = [_pattern(value) for value in values]
            narrowed = [_narrow(image, values, patterns) for image in found]
            found = [image for image in narrowed if image.references]
            continue
        passes = _test(store, name, values)
        found = [image for image in found if passes(image)]
    return found


def _test(store: Store, name: str, values: Sequence[str]) -> Callable[[ImageRecord], bool]:
    if name == "dangling":
        wanted = _boolean(values)
        return lambda image: (not image.references) == wanted
    if name == "label":
        return lambda image: all(_has_label(image, value) for value in values)
    if name == "label!":
        return lambda image: not any(_has_label(image, value) for value in values)
    if name in ("before", "since"):
        moments = [store.images.resolve(value).created for value in values]
        if name == "before":
            return lambda image: image.created < min(moments)
        return lambda image: image.created > max(moments)
    if name == "until":
        latest = min(map(moment, values))
        return lambda image: image.created < latest
    raise InvalidArgument(
        f"invalid filter {name!r}; there are before, dangling, label, reference, since, until"
    )


def _boolean(values: Sequence[str]) -> bool:
    for value in values:
        if value not in (*_TRUE, *_FALSE):
            raise InvalidArgument(f"invalid filter 'dangling={value}'; give true or false")
    return values[-1] in _TRUE


def _has_label(image: ImageRecord, wanted: str) -> bool:
    labels = (image.config.get("config") or {}).get("Labels") or {}
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


def moment(text: str) -> int:
    """A moment: RFC 3339, a date, seconds since 1970, or a duration before now."""
    position = 0
    seconds = 0.0
    for match in _DURATION.finditer(text):
        if match.start() != position:
            break
        seconds += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if text and position == len(text):
        return time.time_ns() - int(seconds * 1e9)
    try:
        return int(float(text) * 1e9)
    except (ValueError, OverflowError):
        pass
    for suffix in ("", "Z", ":00Z", ":00:00Z", "T00:00:00Z"):
        try:
            return to_nanoseconds(text + suffix)
        except ValueError:
            continue
    raise InvalidArgument(f"invalid filter 'until={text}'; give a time or a duration such as 24h")


def _narrow(
    image: ImageRecord, wanted: Sequence[str], patterns: list[re.Pattern[str]]
) -> ImageRecord:
    kept = []
    for text in image.references:
        reference = Reference.parse(text)
        names = (reference.familiar, reference.familiar_name)
        # patterns are for names as they are shown; a whole name may be written in full
        if (
            text in wanted
            or reference.repository in wanted
            or any(pattern.fullmatch(name) for pattern in patterns for name in names)
        ):
            kept.append(text)
    return replace(image, references=tuple(kept))


def _pattern(text: str) -> re.Pattern[str]:
    """A shell pattern as Go's path.Match has it: `*` and `?` do not match a slash."""
    parts = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "*":
            parts.append("[^/]*")
        elif character == "?":
            parts.append("[^/]")
        elif character == "\\" and position < len(text):
            parts.append(re.escape(text[position]))
            position += 1
        elif character == "[":
            end = text.find("]", position + 1)
            inner = text[position:end]
            if end < 0 or not inner.strip("^"):
                raise InvalidArgument(f"invalid filter 'reference={text}': the '[' is not closed")
            escaped = inner.removeprefix("^").replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[{'^' if inner.startswith('^') else ''}{escaped}]")
            position = end + 1
        else:
            parts.append(re.escape(character))
    try:
        return re.compile("".join(parts))
    except re.error:
        raise InvalidArgument(f"invalid filter 'reference={text}': not a pattern") from None
