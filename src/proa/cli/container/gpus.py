"""`--gpus`: GPUs by how many, or which."""

from __future__ import annotations

from proa.cli.flags import UsageError
from proa.engine.config import DeviceRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values


def requests(values: Values) -> dict[str, Any]:
    """`--gpus`, and those of `--device` that are names. Raises UsageError."""
    from proa.cli.container.devices import is_cdi_name

    found = [_gpus(text) for text in values.texts("gpus")]
    if named := tuple(text for text in values.texts("device") if is_cdi_name(text)):
        found.append(DeviceRequest(driver="cdi", device_ids=named))
    return {"device_requests": tuple(found)} if found else {}


def _gpus(text: str) -> DeviceRequest:
    """`all`, a number, or `device=0,1`, `count=2`, `driver=…`, `capabilities=…`, `options=…`."""
    import csv

    def wrong(why: str) -> UsageError:
        return UsageError(f'invalid argument "{text}" for "--gpus" flag: {why}')

    try:
        fields = next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise wrong(str(error) or "it is empty") from None
    said: dict[str, str] = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            name, value = "count", field
        if name in said:
            raise wrong(f"gpu request key '{name}' can be specified only once")
        if name not in ("driver", "count", "device", "options", "capabilities"):
            raise wrong(f"unexpected key '{name}' in '{field}'")
        said[name] = value
    if "count" in said and "device" in said:
        raise wrong("cannot set both count and device")
    count = 0
    if "device" not in said:
        number = said.get("count", "1")
        if number != "all" and not (number.lstrip("-").isdecimal() and int(number) >= -1):
            raise wrong(f'invalid count ({number}): value must be either "all" or an integer')
        count = -1 if number == "all" else int(number)
    capabilities = tuple(filter(None, said.get("capabilities", "").split(",")))
    options = {}
    for item in filter(None, said.get("options", "").split(",")):
        name, _, value = item.partition("=")
        options[name] = value
    return DeviceRequest(
        driver=said.get("driver", ""),
        count=count,
        device_ids=tuple(filter(None, said.get("device", "").split(","))),
        capabilities=((*capabilities, "gpu"),),
        options=options,
    )
