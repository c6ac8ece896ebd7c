"""Which addresses of the internet are public: what an outsider may have this server connect to."""

import ipaddress
import re

_CLOSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind carrier-grade NAT; some clouds answer for their metadata here
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's own services, although the address is a public one
        "169.254.0.0/16",  # link-local: the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside, whichever
        "3fff::/20",
    )
)
_UNICAST_6 = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is handed out. Outside lie loopback, local nets, multicast, and IPv4 in mapped or NAT64 form."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LOCAL_SUFFIXES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "test", "invalid", "onion")


def is_public(address: str) -> bool:
    """Whether `address`, an IP address in its usual notation, is one of the open internet."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and (parsed.scope_id or parsed not in _UNICAST_6):
        return False
    return not any(parsed in network for network in _CLOSED if network.version == parsed.version)


def names_public_host(host: str) -> bool:
    """Whether `host`, as it stands in an address and in ASCII, may be a public one.

    That is a public IP address in its one usual notation, or a name with a dot that no local network uses.
    What the name stands for is seen only when it is resolved.
    """
    labels = host.split(".")
    if ":" in host or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        return is_public(host)  # which knows no octal, hexadecimal or shortened notations: browsers do, and resolvers
    local = any(host == suffix or host.endswith(f".{suffix}") for suffix in _LOCAL_SUFFIXES)
    return len(host) <= 253 and len(labels) > 1 and not local and all(map(_LABEL.fullmatch, labels))
