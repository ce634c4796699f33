"""Devices of the host: passed on, or limited."""

from __future__ import annotations

from proa.cli import values as parsers
from proa.cli.flags import UsageError
from proa.engine.config import Device, DeviceRate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proa.cli.flags import Values

_RATES: dict[str, tuple[str, Callable[[str], int]]] = {
    "blkio-weight-device": ("blkio_weight_device", parsers.unsigned_16),
    "device-read-bps": ("device_read_bps", parsers.size),
    "device-read-iops": ("device_read_iops", parsers.unsigned),
    "device-write-bps": ("device_write_bps", parsers.size),
    "device-write-iops": ("device_write_iops", parsers.unsigned),
}


def devices(values: Values) -> dict[str, Any]:
    """`--device source[:target[:permissions]]`. Raises UsageError, Unsupported."""
    texts = values.texts("device")
    return {"devices": tuple(_device(text) for text in texts if not is_cdi_name(text))}


def is_cdi_name(text: str) -> bool:
    """Whether `--device` names a device that a CDI file describes: vendor.com/class=name."""
    return not text.startswith("/") and "/" in text and "=" in text


def _device(text: str) -> Device:
    def wrong(why: str) -> UsageError:
        return UsageError(f'invalid argument "{text}" for "--device" flag: {why}')

    source, *more = text.split(":")
    if not source.startswith("/"):
        raise wrong("expected an absolute path, as /dev/fuse, or vendor.com/class=name")
    target, permissions = source, "rwm"
    if len(more) == 1:
        if _is_permissions(more[0]):
            permissions = more[0]
        else:
            target = more[0]
    elif len(more) == 2:
        target, permissions = more
    elif more:
        raise wrong("expected SOURCE[:TARGET[:PERMISSIONS]]")
    if not target.startswith("/"):
        raise wrong(f"{target or 'an empty target'} is not an absolute path")
    if not _is_permissions(permissions):
        raise wrong(f"bad mode specified: {permissions}; use r, w, m or several of them")
    return Device(source, target, permissions)


def _is_permissions(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def rules(values: Values) -> dict[str, Any]:
    """`--device-cgroup-rule 'c 1:3 rwm'`. Raises UsageError."""
    for text in values.texts("device-cgroup-rule"):
        fields = text.split(" ")
        numbers = fields[1].split(":") if len(fields) == 3 else []
        if (
            len(numbers) != 2
            or fields[0] not in ("a", "b", "c")
            or not all(number == "*" or number.isdigit() for number in numbers)
            or not _is_permissions(fields[2])
        ):
            raise UsageError(
                f'invalid argument "{text}" for "--device-cgroup-rule" flag: '
                "expected TYPE MAJOR:MINOR MODE, as in 'c 1:3 rwm'"
            )
    return {"device_cgroup_rules": tuple(values.texts("device-cgroup-rule"))}


def rates(values: Values) -> dict[str, Any]:
    """`--device-read-bps` and its like: `/dev/sda:1mb`. Raises UsageError."""
    found = {}
    for flag, (field, parse) in _RATES.items():
        if flag in values:
            found[field] = tuple(_rate(flag, text, parse) for text in values.texts(flag))
    return found


def _rate(flag: str, text: str, parse: Callable[[str], int]) -> DeviceRate:
    path, colon, number = text.partition(":")

    def wrong(why: str) -> UsageError:
        return UsageError(f'invalid argument "{text}" for "--{flag}" flag: {why}')

    if not (path and colon and number):
        raise wrong("expected DEVICE:NUMBER, as in /dev/sda:1000")
    if not path.startswith("/dev/"):
        raise wrong(f"{path} is not below /dev")
    try:
        rate = parse(number)
    except ValueError as error:
        raise wrong(str(error)) from None
    if flag == "blkio-weight-device" and rate and not 10 <= rate <= 1000:
        raise wrong("the weight is from 10 to 1000, or 0")
    return DeviceRate(path, rate)
