"""The packet filter: one nftables table an engine, whose rules never change; networks and ports are elements of its sets and maps.

So a packet's way costs the same with one network and with a hundred, and publishing a port is one element. Every change is one
transaction of nft(8), which the kernel takes as a whole or not at all. What the table holds is remembered here too: a host whose
firewall was flushed heals with the next container that is attached.
"""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pyke.api import Endpoint, Network, PykeError
from pyke_network_bridge import tables
from pyke_network_bridge.options import BridgeOptions

NFT_SEARCH_PATH = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin"
NFT_ENVIRONMENT = {"PATH": NFT_SEARCH_PATH, "LC_ALL": "C"}
NFT_DEADLINE = 20  # seconds

# The order of the rules is the policy:
# raw       nobody reaches the host's 127.0.0.1 from a bridge, although route_localnet lets answers to it in (CVE-2020-8558)
# input     an internal network reaches the host at its gateway's address and at no other
# forward   answers; between containers of one network where that is allowed; nothing in or out of an internal network; published
#           ports; nothing from one network to another; nothing from elsewhere that is not a published port
# nat       published ports on the host's own addresses, also for the host itself; masquerading on the way out, and towards a bridge
#           where the answer would not come back through the host otherwise (from 127.0.0.1, and from a container through the host)
TABLE = """
table inet {table} {{
    set bridges {{ type ifname; }}
    set internal {{ type ifname; }}
    set talkative {{ type ifname . ifname; }}
    set subnets {{ type ipv4_addr; flags interval; }}
    set subnets6 {{ type ipv6_addr; flags interval; }}
    set masqueraded {{ type ipv4_addr; flags interval; }}
    set masqueraded6 {{ type ipv6_addr; flags interval; }}
    map ports {{ type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }}
    map ports6 {{ type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }}
    map everywhere {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
    map everywhere6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
    chain publish {{ }}
    chain raw {{ type filter hook prerouting priority -300; }}
    chain input {{ type filter hook input priority 0; }}
    chain leaving {{ }}
    chain entering {{ }}
    chain forward {{ type filter hook forward priority 0; }}
    chain prerouting {{ type nat hook prerouting priority -100; }}
    chain output {{ type nat hook output priority -100; }}
    chain postrouting {{ type nat hook postrouting priority 100; }}
}}
flush table inet {table}
table inet {table} {{
    chain raw {{
        iifname @bridges ip daddr 127.0.0.0/8 drop
    }}
    chain input {{
        iifname @internal fib daddr . iif type != {{ local, broadcast, multicast }} drop
    }}
    chain leaving {{
        ct state established,related accept
        iifname . oifname @talkative accept
        iifname @internal drop
        oifname @internal drop
        ct status dnat accept
        oifname @bridges drop
    }}
    chain entering {{
        ct state established,related accept
        oifname @internal drop
        ct status dnat accept
        drop
    }}
    chain forward {{
        iifname @bridges goto leaving
        oifname @bridges goto entering
    }}
    chain publish {{
        dnat ip to meta l4proto . ip daddr . th dport map @ports
        dnat ip6 to meta l4proto . ip6 daddr . th dport map @ports6
        meta nfproto ipv4 dnat ip to meta l4proto . th dport map @everywhere
        meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @everywhere6
    }}
    chain prerouting {{
        fib daddr type local jump publish
    }}
    chain output {{
        fib daddr type local jump publish
    }}
    chain postrouting {{
        oifname @bridges ip saddr 127.0.0.0/8 masquerade
        oifname @bridges ct status dnat ip saddr @subnets masquerade
        oifname @bridges ct status dnat ip6 saddr @subnets6 masquerade
        oifname != @bridges ip saddr @masqueraded masquerade
        oifname != @bridges ip6 saddr @masqueraded6 masquerade
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of one of the table's sets or maps."""

    collection: str
    key: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.key} : {self.value}" if self.value else self.key


def network_elements(network: Network, bridge: str) -> Iterator[Element]:
    """What the table has to know about a network."""
    options = BridgeOptions.of(network)
    yield Element("bridges", f'"{bridge}"')
    if network.internal:
        yield Element("internal", f'"{bridge}"')
    if options.inter_container:
        yield Element("talkative", f'"{bridge}" . "{bridge}"')
    for subnet in network.subnets:
        parsed = ipaddress.ip_network(subnet.subnet)
        family = "6" if parsed.version == 6 else ""
        yield Element(f"subnets{family}", str(parsed))
        if options.masquerade and not network.internal:
            yield Element(f"masqueraded{family}", str(parsed))


def endpoint_elements(endpoint: Endpoint) -> Iterator[Element]:
    """What the table has to know about an endpoint: one element a published port, of each family that it is reachable in."""
    for port in endpoint.ports:
        host = ipaddress.ip_address(port.host_ip or "0.0.0.0")
        target = endpoint.ipv6 if host.version == 6 else endpoint.ipv4
        if not target:
            continue
        family = "6" if host.version == 6 else ""
        value = f"{ipaddress.ip_interface(target).ip} . {port.container_port}"
        if host.is_unspecified:
            yield Element(f"everywhere{family}", f"{port.protocol} . {port.host_port}", value)
        else:
            yield Element(f"ports{family}", f"{port.protocol} . {host} . {port.host_port}", value)


class Firewall:
    """The table of one engine. Safe to use from several threads."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._lock = threading.Lock()
        self._held: dict[Element, None] = {}  # in the order in which they came

    def add(self, elements: Iterable[Element]) -> None:
        """Lay the table, and add elements; those that are there already are fine."""
        with self._lock:
            self._add(list(elements))

    def publish(self, ports: Iterable[Element], network: Iterable[Element]) -> None:
        """Add ports; a table that somebody flushed is laid again, with all that it held and with what it has to know of their network."""
        wanted = list(ports)
        with self._lock:
            if tables.exists(self.table) and (not wanted or self._try(self._lines("add", wanted))):
                self._held |= dict.fromkeys(wanted)
            else:
                self._add([*self._held, *network, *wanted])

    def discard(self, elements: Iterable[Element]) -> None:
        """Take elements away; one that is gone, or that belongs to somebody else by now, is fine."""
        wanted = list(elements)
        with self._lock:
            for element in wanted:
                self._held.pop(element, None)
            if wanted and not self._try(self._withdrawal(wanted)):
                for element in wanted:
                    self._try(self._withdrawal([element]))

    def replace(self, elements: Iterable[Element]) -> bool:
        """Make the table hold exactly these elements; say whether it did not before."""
        wanted = list(elements)
        with self._lock:
            before = self.listing()
            self._run(self._gone() + TABLE.format(table=self.table) + self._lines("add", wanted))
            self._held = dict.fromkeys(wanted)
            return before != self.listing()

    def remove(self) -> bool:
        """Delete the table; say whether there was one."""
        with self._lock:
            existed = bool(self.listing())
            self._run(self._gone())
            self._held.clear()
            return existed

    def is_empty(self) -> bool:
        """Whether no network is left in the table."""
        return "elements" not in self._list("set", "bridges")

    def listing(self) -> str:
        """The table as nft prints it, "" where there is none."""
        return self._list("table", "")

    def _add(self, elements: list[Element]) -> None:
        self._run(TABLE.format(table=self.table) + self._lines("add", elements))
        self._held |= dict.fromkeys(elements)

    def _gone(self) -> str:
        return f"add table inet {self.table}\ndelete table inet {self.table}\n"

    def _withdrawal(self, elements: list[Element]) -> str:
        """Adding what is there does nothing, and fails where the key has another value: then it is another container's, and stays."""
        return self._lines("add", elements) + self._lines("delete", elements)

    def _lines(self, verb: str, elements: Iterable[Element]) -> str:
        return "".join(f"{verb} element inet {self.table} {each.collection} {{ {each} }}\n" for each in elements)

    def _list(self, kind: str, name: str) -> str:
        done = _nft(["list", kind, "inet", self.table, *([name] if name else [])])
        return done.stdout if done.returncode == 0 else ""

    def _try(self, script: str) -> bool:
        return _nft(["-f", "-"], script).returncode == 0

    def _run(self, script: str) -> None:
        done = _nft(["-f", "-"], script)
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"exit status {done.returncode}"
            raise PykeError(f"nft refused to change the table inet {self.table}: {reason}", hint=f"nft list table inet {self.table}")


def check_installed() -> None:
    """`PykeError` where there is no nft(8)."""
    if shutil.which("nft", path=NFT_SEARCH_PATH) is None:
        raise PykeError('the program nft is not installed, which the network driver "bridge" needs', hint="apt-get install nftables")


def _nft(arguments: list[str], script: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["nft", *arguments], input=script, env=NFT_ENVIRONMENT, capture_output=True, text=True, timeout=NFT_DEADLINE, check=False
        )
    except FileNotFoundError as error:
        check_installed()
        raise PykeError("the program nft cannot be run", hint="nft --version") from error
    except subprocess.TimeoutExpired as error:
        raise PykeError(f"nft did not end within {NFT_DEADLINE} s", hint="nft list tables") from error
