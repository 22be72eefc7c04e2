"""`pyke network create` and `pyke network rm`."""

from __future__ import annotations

from pyke.cli.client import ApiError, quote
from pyke.cli.files import pairs
from pyke.cli.flags import BOOL, LIST, MAP, STRING, STRINGS, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyke.cli.session import Session

NOT_FOUND = 404


def _create(session: Session, options: Options) -> int:
    if not options.yes("ipv4"):
        raise PykeError("a network without IPv4 addresses cannot be made", hint=f"pyke network create --ipv6 {options.arguments[0]}")
    if options.text("scope") not in ("", "local"):
        raise PykeError(f"a network of the scope {options.text('scope')} needs a swarm", hint=f"pyke network create {options.arguments[0]}")
    body = {
        "Name": options.arguments[0],
        "CheckDuplicate": True,
        "Driver": options.text("driver"),
        "Options": pairs(options.texts("opt")),
        "Labels": pairs(options.texts("label")),
        "Internal": options.yes("internal"),
        "Attachable": options.yes("attachable"),
        "EnableIPv6": options.yes("ipv6"),
        "IPAM": {"Driver": options.text("ipam-driver"), "Options": pairs(options.texts("ipam-opt")), "Config": _addresses(options)},
    }
    created = session.engine.post("/networks/create", body=body)
    if created.get("Warning"):
        session.note(f"WARNING: {created['Warning']}")
    session.out(created["Id"])
    return 0


def _addresses(options: Options) -> list[dict[str, Any]]:
    """One entry for each `--subnet`; gateways and ranges belong to the subnet that holds them (a question of IPv4 or 6 when in doubt)."""
    subnets = options.texts("subnet")
    configs: list[dict[str, Any]] = [{"Subnet": subnet} for subnet in subnets]
    auxiliary = [text.partition("=")[::2] for text in options.texts("aux-address")]
    wishes = [("IPRange", text) for text in options.texts("ip-range")] + [("Gateway", text) for text in options.texts("gateway")]
    if (wishes or auxiliary) and not subnets:
        raise PykeError("every ip-range, gateway or aux-address must have a corresponding subnet", hint="pyke network create --help")
    for key, address in wishes:
        config = _containing(configs, address)
        if key in config:
            what = "gateways" if key == "Gateway" else "ranges"
            raise PykeError(f"cannot configure multiple {what} ({address}, {config[key]}) on the same subnet ({config['Subnet']})")
        config[key] = address
    for name, address in auxiliary:
        _containing(configs, address).setdefault("AuxiliaryAddresses", {})[name] = address
    return configs


def _containing(configs: list[dict[str, Any]], address: str) -> dict[str, Any]:
    if len(configs) == 1:
        return configs[0]  # whether it fits is for the engine to say
    import ipaddress

    try:
        wanted = ipaddress.ip_network(address, strict=False)
        for config in configs:
            subnet = ipaddress.ip_network(config["Subnet"], strict=False)
            if subnet.version == wanted.version and wanted.subnet_of(subnet):  # type: ignore[arg-type]
                return config
    except ValueError as error:
        raise PykeError(f"invalid address: {error}") from error
    raise PykeError(f"no matching subnet for {address}")


def _remove(session: Session, options: Options) -> int:
    def remove(name: str) -> bool:
        try:
            session.engine.call("DELETE", f"/networks/{quote(name)}")
        except ApiError as error:
            if not (options.yes("force") and error.status == NOT_FOUND):
                raise
            return False
        return True

    return session.each(options.arguments, remove)


CREATE = Command(
    "network create",
    "NETWORK",
    "Create a network",
    _create,
    [
        Flag("attachable", "", BOOL, "Enable manual container attachment"),
        Flag("aux-address", "", MAP, "Auxiliary IPv4 or IPv6 addresses used by the driver"),
        Flag("driver", "d", STRING, "Driver to manage the Network", "bridge"),
        Flag("gateway", "", STRINGS, "IPv4 or IPv6 Gateway for the master subnet"),
        Flag("internal", "", BOOL, "Restrict external access to the network"),
        Flag("ip-range", "", STRINGS, "Allocate container ip from a sub-range"),
        Flag("ipam-driver", "", STRING, "IP Address Management Driver", "default"),
        Flag("ipam-opt", "", MAP, "Set IPAM driver specific options"),
        Flag("ipv4", "", BOOL, "Enable IPv4 address assignment", True),
        Flag("ipv6", "", BOOL, "Enable IPv6 networking"),
        Flag("label", "", LIST, "Set metadata on a network"),
        Flag("opt", "o", MAP, "Set driver specific options"),
        Flag("scope", "", STRING, "Control the network's scope: local"),
        Flag("subnet", "", STRINGS, "Subnet in CIDR format that represents a network segment"),
    ],
    minimum=1,
    maximum=1,
    examples=("pyke network create mybridge", "pyke network create --subnet 172.30.0.0/16 --gateway 172.30.0.1 mybridge"),
)
REMOVE = Command(
    "network rm",
    "NETWORK [NETWORK...]",
    "Remove one or more networks",
    _remove,
    [Flag("force", "f", BOOL, "Do not error if the network does not exist")],
    minimum=1,
    maximum=None,
)
