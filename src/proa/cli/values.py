"""Values of flags: sizes, durations, fractions of processors, as Docker's users write them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_DIGITS = frozenset("0123456789")
_SIZE_UNITS = {
    "": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50,
}  # fmt: skip
_DURATION_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_INT64 = (1 << 63) - 1


def size(text: str) -> int:
    """Bytes: `512m`, `1.5g`, `64KiB`, `1024`; units are powers of 1024 (go-units RAMInBytes).

    Raises ValueError.
    """
    end = len(text)
    while end and text[end - 1] not in "0123456789. ":
        end -= 1
    number, suffix = text[:end].rstrip(" ") if end else "", text[end:].lower()
    if text[:end].endswith("  "):
        number = ""
    unit = suffix[:1]
    if suffix[1:] not in ("", "b", "ib") or (unit in ("b", "") and suffix[1:]):
        raise ValueError(f"invalid suffix: '{suffix}'; use b, k, m, g, t or p")
    if unit not in _SIZE_UNITS:
        raise ValueError(f"invalid suffix: '{suffix}'; use b, k, m, g, t or p")
    whole, fraction, scale = _decimal(number, f"invalid size: '{text}'")
    return _limited(
        (whole * scale + fraction) * _SIZE_UNITS[unit] // scale, f"size out of range: '{text}'"
    )


def swap_size(text: str) -> int:
    """Bytes, or -1 for no limit. Raises ValueError."""
    return -1 if text == "-1" else size(text)


def duration(text: str) -> int:
    """Nanoseconds: `1h30m`, `1.5s`, `300ms`, `0` (Go's time.ParseDuration). Raises ValueError."""
    rest = text
    sign = 1
    if rest[:1] in ("+", "-"):
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'invalid duration "{text}"; write it as 1h30m, 1.5s or 300ms')
    total = 0
    while rest:
        end = 0
        while end < len(rest) and rest[end] in "0123456789.":
            end += 1
        whole, fraction, scale = _decimal(
            rest[:end], f'invalid duration "{text}"; write it as 1h30m, 1.5s or 300ms'
        )
        rest = rest[end:]
        end = 0
        while end < len(rest) and rest[end] not in "0123456789.":
            end += 1
        unit = rest[:end]
        rest = rest[end:]
        if not unit:
            raise ValueError(f'missing unit in duration "{text}"; write 1h30m, 1.5s or 300ms')
        factor = _DURATION_UNITS.get(unit)
        if factor is None:
            raise ValueError(f'unknown unit "{unit}" in duration "{text}"; use ns, us, ms, s, m, h')
        total += (whole * scale + fraction) * factor // scale
    return sign * _limited(total, f'invalid duration "{text}": too long')


def age(text: str) -> int:
    """Nanoseconds, also of days and weeks: `30d`, `2w`, `1d12h`. Raises ValueError."""
    total = 0
    rest = text
    for letter, hours in (("w", 24 * 7), ("d", 24)):
        head, found, tail = rest.partition(letter)
        if found and head.isascii() and head.isdigit():
            total += int(head) * hours * _DURATION_UNITS["h"]
            rest = tail
    if not (rest or total):
        raise ValueError(f'invalid duration "{text}"; write it as 30d, 12h or 1d12h')
    total += duration(rest) if rest else 0
    if total < 0:
        raise ValueError(f'invalid duration "{text}": below 0')
    return _limited(total, f'invalid duration "{text}": too long')


def nano_cpus(text: str) -> int:
    """Billionths of a processor: `1.5`, `0.25`. Raises ValueError."""
    whole, fraction, scale = _decimal(text, f"'{text}' is no number; write it as 1.5")
    value = (whole * scale + fraction) * 1_000_000_000
    if value % scale:
        raise ValueError("value is too precise: a billionth of a CPU is the least")
    return value // scale


def integer(text: str) -> int:
    """A whole number of 64 bits, decimal (or 0x, 0o, 0b, as Go reads it). Raises ValueError."""
    body = text[1:] if text[:1] in ("+", "-") else text
    if not (body and body.isascii() and body.replace("_", "").isalnum()):
        raise ValueError("not a whole number")
    try:
        value = int(text, 10) if body.isdigit() else int(text, 0)
    except ValueError:
        raise ValueError("not a whole number") from None
    if not -_INT64 - 1 <= value <= _INT64:
        raise ValueError("value out of range")
    return value


def unsigned(text: str) -> int:
    """A whole number from 0 on. Raises ValueError."""
    value = integer(text)
    if value < 0:
        raise ValueError("not a whole number from 0 on")
    return value


def unsigned_16(text: str) -> int:
    """A whole number from 0 to 65535. Raises ValueError."""
    value = unsigned(text)
    if value > 65535:
        raise ValueError("value out of range: at most 65535")
    return value


def _decimal(text: str, complaint: str) -> tuple[int, int, int]:
    """`12.50` as (12, 50, 100): exact, where float would round."""
    whole, dot, fraction = text.partition(".")
    if not (whole or fraction) or not (_DIGITS.issuperset(whole) and _DIGITS.issuperset(fraction)):
        raise ValueError(complaint)
    if len(text) > 40:
        raise ValueError(complaint)
    return int(whole or "0"), int(fraction or "0") if dot else 0, 10 ** len(fraction)


def _limited(value: int, complaint: str) -> int:
    if value > _INT64:
        raise ValueError(complaint)
    return value


PARSERS: dict[str, Callable[[str], int]] = {
    "int": integer,
    "int64": integer,
    "uint": unsigned,
    "uint16": unsigned_16,
    "bytes": size,
    "swap-bytes": swap_size,
    "decimal": nano_cpus,
    "duration": duration,
    "age": age,
}
