"""Addresses that lead into private networks, in every notation that some program reads."""

from collections.abc import Iterator

PUBLIC = "93.184.215.14"
PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "168.63.129.16"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "192.88.99.1"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"),
    *("2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo"),
    *("fec0::1", "ff02::1", "100::1", "5f00::1"),
]
LITERAL = [f"[{address}]" if ":" in address else address for address in PRIVATE]
SPELLED = [
    # 127.0.0.1, as some resolver or browser reads it
    *("2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "0x7f.0.0.1", "127.1", "127.0.1", "0", "127.0.0.01"),
    *(
        "127.0.0.1.",
        "127。0。0。1",
        "\uff11\uff12\uff17.0.0.1",
        "①②⑦.⓪.⓪.①",
        "%31%32%37.0.0.1",
        "[::ffff:7f00:1%25lo]",
        "0x7f.1",
    ),
    # names of this machine and of local networks
    *(
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "loc%61lhost",
        "\uff4cocalhost",
    ),
    *(
        "metadata.google.internal",
        "printer.local",
        "router.home.arpa",
        "redis",
        "xn--n3h",
        "a..example",
        "127.0.0.1%0d%0ahost:x",
    ),
    # somebody before the host, or after it
    *("user@127.0.0.1", "cdn.example@127.0.0.1", "cdn.example:x@127.0.0.1", "cdn.example\\@127.0.0.1"),
    *("127.0.0.1#cdn.example", "127.0.0.1?.cdn.example", "127.0.0.1\r\nHost: cdn.example", "cdn.example\n.127.0.0.1"),
]
SCHEMES = [
    "file:///etc/hosts",
    "gopher://{}/_x",
    "ftp://{}/a",
    "data:text/plain,a",
    "//{}/a",
    "dict://{}/d",
    "ws://{}/",
]


def hostile_urls(port: int) -> Iterator[str]:
    """All of them, at a port and at the usual one."""
    for host in (*LITERAL, *SPELLED):
        for scheme in ("http", "https"):
            yield f"{scheme}://{host}:{port}/a.mp4"
        yield f"https://{host}/a.mp4"
    for scheme in SCHEMES:
        yield scheme.format(f"127.0.0.1:{port}")
