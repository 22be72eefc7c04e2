"""`pyke network connect` and `pyke network disconnect`."""

from __future__ import annotations

from pyke.cli.client import quote
from pyke.cli.files import pairs
from pyke.cli.flags import BOOL, LIST, STRING, STRINGS, Command, Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _connect(session: Session, options: Options) -> int:
    network, container = options.arguments
    addresses = {"IPv4Address": options.text("ip"), "IPv6Address": options.text("ip6"), "LinkLocalIPs": options.texts("link-local-ip")}
    endpoint: dict[str, object] = {
        "IPAMConfig": {key: value for key, value in addresses.items() if value},
        "Aliases": options.texts("alias"),
        "Links": options.texts("link"),
        "DriverOpts": pairs(options.texts("driver-opt")),
    }
    body = {"Container": container, "EndpointConfig": {key: value for key, value in endpoint.items() if value}}
    session.engine.post(f"/networks/{quote(network)}/connect", body=body)
    return 0


def _disconnect(session: Session, options: Options) -> int:
    network, container = options.arguments
    session.engine.post(f"/networks/{quote(network)}/disconnect", body={"Container": container, "Force": options.yes("force")})
    return 0


CONNECT = Command(
    "network connect",
    "NETWORK CONTAINER",
    "Connect a container to a network",
    _connect,
    [
        Flag("alias", "", STRINGS, "Add network-scoped alias for the container"),
        Flag("driver-opt", "", STRINGS, "driver options for the network"),
        Flag("ip", "", STRING, 'IPv4 address (e.g., "172.30.100.104")'),
        Flag("ip6", "", STRING, 'IPv6 address (e.g., "2001:db8::33")'),
        Flag("link", "", LIST, "Add link to another container"),
        Flag("link-local-ip", "", STRINGS, "Add a link-local address for the container"),
    ],
    minimum=2,
    maximum=2,
)
DISCONNECT = Command(
    "network disconnect",
    "NETWORK CONTAINER",
    "Disconnect a container from a network",
    _disconnect,
    [Flag("force", "f", BOOL, "Force the container to disconnect from a network")],
    minimum=2,
    maximum=2,
)
