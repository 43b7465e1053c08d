"""Every way that we know to spell an address which is none of the public internet's."""

from __future__ import annotations

from ipaddress import IPv4Address

PRIVATE_V4 = [
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1",
    "100.127.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.254", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "192.168.255.254", "198.18.0.1", "198.19.255.254", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
]  # fmt: skip


def _forms(text: str) -> list[str]:
    """One IPv4 address as C libraries read it: dotted, decimal, hexadecimal, octal, mixed, short."""
    number = int(IPv4Address(text))
    a, b, c, d = IPv4Address(text).packed
    return [
        f"{a}.{b}.{c}.{d}",
        str(number),
        f"0x{number:08x}",
        f"0{number:o}",
        f"0x{a:x}.{b}.0{c:o}.{d}",
        f"{a}.{(b << 16) + (c << 8) + d}",
        f"{a}.{b}.{(c << 8) + d}",
    ]


_LOOPBACK = [
    "127.1", "127.0.1", "0177.1", "0x7f.1", "00000177.0.0.1", "0x7F.0x0.0x0.0x1", "127.000.000.001", "127.0.0.1.", "0",
    "0x0", "127.0.0.1%00", "①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1", "127.0.0.1%2f", "localhost", "LOCALHOST",
    "localhost.", "localhost..", "a.localhost", "lo­calhost", "ｌocalhost",
]  # fmt: skip

_IPV6 = [
    "::", "::1", "0:0:0:0:0:0:0:1", "0000:0000:0000:0000:0000:0000:0000:0001", "::0001", "::ffff:127.0.0.1",
    "::ffff:7f00:1", "::ffff:7f00:0001", "0:0:0:0:0:ffff:127.0.0.1", "::FFFF:10.0.0.1", "::127.0.0.1", "::7f00:1",
    "::ffff:0:127.0.0.1", "::ffff:0:7f00:1", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b::192.168.0.1", "64:ff9b:1::1", "64:ff9b:1:abcd::7f00:1", "100::1", "2001::1", "2001:0:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
    "2002:7f00:1::1", "2002:a00:1::1", "2002:c0a8:1::", "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "4000::1", "8000::1",
    "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::1%25lo", "fe80::1%25eth0", "fe80::1%lo", "febf::1",
    "fec0::1", "feff::1", "ff01::1", "ff02::1", "ff05::2", "ff0e::1", "2001:4860:0:0:0:5efe:127.0.0.1",
    "2001:4860::200:5efe:10.0.0.1", "2a00:1450::5efe:7f00:1", "2001:4860::5efe:a9fe:a9fe",
]  # fmt: skip

# What is before or behind the host is not the host.
_AROUND = [
    "public.example@127.0.0.1", "public.example:80@127.0.0.1", "user:pass@127.0.0.1", "public.example%40127.0.0.1",
    "public.example%00.127.0.0.1", "public.example%23@127.0.0.1", "@127.0.0.1", "public.example\\@127.0.0.1",
    "127.0.0.1\\.public.example", "127.0.0.1 .public.example", "\t127.0.0.1", "[::1]@127.0.0.1",
]  # fmt: skip

# Names and what they are at (see NAMES).
_NAMES = ["inside.example", "mixed.example", "metadata.example", "six.example", "mapped.example", "nothing.example"]

NAMES = {
    "public.example": ["93.184.216.34"],
    "inside.example": ["127.0.0.1"],
    "mixed.example": ["93.184.216.34", "10.0.0.1"],  # one bad address is enough
    "metadata.example": ["169.254.169.254"],
    "six.example": ["2606:2800:220:1::1", "::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nothing.example": [],
}

HOSTS: list[str] = list(
    dict.fromkeys(
        [
            *(form for address in PRIVATE_V4 for form in _forms(address)),
            *_LOOPBACK,
            *(f"[{address}]" for address in _IPV6),
            *_AROUND,
            *_NAMES,
        ]
    )
)

# Other ways to ask for what is not a picture in the web.
URLS = [
    "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "http:///y.jpg", "http://", "http:127.0.0.1",
    "http:/127.0.0.1/", "//127.0.0.1/x.jpg", "///127.0.0.1/", "data:image/png;base64,AAAA", "unix:///run/x.sock",
    "javascript:alert(1)", "dict://127.0.0.1:11211/", "http+unix://%2frun%2fx.sock/", "jar:http://127.0.0.1/!/",
    "HTTP://127.0.0.1/", "hTTp://[::1]/", "http://127.0.0.1:99999/", "http://127.0.0.1:-1/", "http://[::1",
]  # fmt: skip


def urls(port: int) -> list[str]:
    """Return a URL for every spelling, on the port where somebody listens."""
    return [f"http://{host}:{port}/x.jpg" for host in HOSTS] + URLS
