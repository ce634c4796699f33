"""`network create`: a network of one's own."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import line
from proa.engine.networks import AddressPool
from proa.errors import Unsupported
from proa.lean.record import replace
from proa.network.address import packed, subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _create(session: Session, values: Values, arguments: list[str]) -> int:
    for name in ("config-only", "config-from", "ingress"):
        if values.given.get(name):
            raise Unsupported(f"--{name} is for swarms and plugins, which are not available")
    network = session.engine.networks.create(
        arguments[0],
        driver=values.text("driver", "bridge"),
        options=_pairs(values.texts("opt")),
        ipam=_pools(values),
        internal=values.flag("internal"),
        labels=_pairs(values.texts("label")),
        enable_ipv4=values.flag("ipv4", True),
        enable_ipv6=values.flag("ipv6"),
        attachable=values.flag("attachable"),
        ipam_driver=values.text("ipam-driver", "default"),
        ipam_options=_pairs(values.texts("ipam-opt")),
        scope=values.text("scope"),
    )
    line(network.id)
    return 0


def _pairs(texts: list[str]) -> dict[str, str]:
    return dict(text.partition("=")[::2] for text in texts)


def _pools(values: Values) -> list[AddressPool]:
    """A pool for each `--subnet`, with the gateway, range and addresses that lie in it."""
    pools = [AddressPool(text) for text in values.texts("subnet")]
    for flag in ("gateway", "ip-range", "aux-address"):
        for text in values.texts(flag):
            address = text.partition("=")[2] if flag == "aux-address" else text
            if not address:
                raise UsageError(
                    f'invalid argument "{text}" for "--{flag}" flag: expected NAME=ADDRESS'
                )
            wanted = packed(address.partition("/")[0])
            if not pools:
                pools = [AddressPool("")]
            index = next(
                (
                    number
                    for number, pool in enumerate(pools)
                    if not pool.subnet or subnet(pool.subnet).contains(wanted)
                ),
                None,
            )
            if index is None:
                raise UsageError(f"no matching subnet for {flag} {text}")
            pools[index] = _with(pools[index], flag, text)
    return pools


def _with(pool: AddressPool, flag: str, text: str) -> AddressPool:
    if flag == "aux-address":
        name, _, address = text.partition("=")
        return replace(pool, aux_addresses={**(pool.aux_addresses or {}), name: address})
    field = {"gateway": "gateway", "ip-range": "ip_range"}[flag]
    if getattr(pool, field):
        raise UsageError(f"cannot configure multiple {flag}s on the subnet {pool.subnet}")
    return replace(pool, **{field: text})


COMMAND = Command(
    usage="[OPTIONS] NETWORK",
    summary="Make a network",
    run=_create,
    flags=(
        ("attachable", "", "bool", "Recorded; containers can be connected by hand anyway"),
        ("aux-address", "", "list", "Address that no container is to have (name=address)"),
        ("config-from", "", "string", ""),
        ("config-only", "", "bool", ""),
        ("driver", "d", "string", 'bridge, macvlan or ipvlan (default "bridge")'),
        ("gateway", "", "strings", "Gateway of a subnet; otherwise its first address"),
        ("ingress", "", "bool", ""),
        ("internal", "", "bool", "Let its containers reach nothing outside of it"),
        ("ip-range", "", "strings", "Part of a subnet that containers' addresses are taken from"),
        ("ipam-driver", "", "string", 'What gives out addresses (default "default")'),
        ("ipam-opt", "", "map", "Option of the IPAM driver"),
        ("ipv4", "", "bool", "Give its containers IPv4 addresses (default true)"),
        ("ipv6", "", "bool", "Give its containers IPv6 addresses"),
        ("label", "", "list", "Label of the network (key=value)"),
        ("opt", "o", "map", "Option of the driver (com.docker.network.driver.mtu=1400)"),
        ("scope", "", "string", ""),
        ("subnet", "", "strings", "Subnet (172.30.0.0/16); otherwise one that is free"),
    ),
    minimum=1,
    maximum=1,
)
