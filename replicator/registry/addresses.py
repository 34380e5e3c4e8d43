"""Which IP addresses a server may send us to (S3). Pure."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network

_NAT64 = ip_network("64:ff9b::/96")
_NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's metadata service, on a public address
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "fc00::/6",
        "fe00::/7",
    )
)

_INSIDE = frozenset({"localhost", "local", "internal", "intranet", "lan", "corp", "home", "arpa"})
"""Ends of names that the public DNS does not have, as that of the clouds' metadata services."""
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_public(text: str) -> bool:
    """Say whether `text` is an address on the open internet.

    Private, loopback, link-local, shared, multicast and metadata addresses are not, nor is an IPv6 address that
    carries one of them (mapped, 6to4, NAT64), nor anything that is no address.
    """
    try:
        address = ip_address(text)
    except (AddressValueError, ValueError):
        return False
    carried = _carried(address) if isinstance(address, IPv6Address) else None
    if carried is not None:
        return is_public(str(carried))
    if not address.is_global or address.is_multicast:
        return False
    return not any(address in network for network in _NEVER if network.version == address.version)


def is_literal(host: str) -> bool:
    """Say whether `host` is a number and not a name: such hosts pass no resolver."""
    return ":" in host or host.replace(".", "").isdigit()


def is_inside_name(host: str) -> bool:
    """Say whether a name can only mean something inside, whoever looks it up: where a proxy does, we cannot vet it.

    Names of one word, those that are set apart for inner networks, and numbers in a disguise that resolvers take off.
    """
    before, _, last = host.rstrip(".").rpartition(".")
    return not before or last in _INSIDE or _NUMBER.fullmatch(last) is not None


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
