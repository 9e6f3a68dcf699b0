"""The internet of real guests: a namespace with documentation addresses, names and web servers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.host.dnsserver import DnsServer
from tests.host.forgeries import ALLOWED, ALLOWED_PORT, FORBIDDEN_V4, FORBIDDEN_V6, LIMITED, OTHER, SHARED
from tests.host.netlab import Namespace
from tests.host.netserver import Servers
from tests.host.webserver import WebServer

UPLINK_V4, UPLINK_V6, RESOLVER = "198.51.100.1", "2001:db8:1::1", "203.0.113.53"
PRIVATE_V4 = "192.168.50.10"
_FAR_V4, _FAR_V6 = "198.51.100.2", "2001:db8:1::2"
_RECORDS = {
    "one.shared.test": [f"A {SHARED}"],
    "two.shared.test": [f"A {SHARED}"],
    "www.wild.test": [f"A {OTHER}"],
    "forbidden.test": [f"A {FORBIDDEN_V4}"],
    "rebind.test": ["A 169.254.169.254", f"A {UPLINK_V4}", f"A {PRIVATE_V4}"],
}


class Internet:
    """`servers` notes what came in on the host's side and outside, `dns` and `web` what was asked for."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace = namespace
        self.dns, self.web, self.servers = DnsServer(_RECORDS), WebServer(directory), Servers()

    def listen(self) -> None:
        """Serve everything that tests try, allowed and forbidden, and on the host as well."""
        with self.namespace.entered():
            self.dns.listen(RESOLVER)
            for address in (ALLOWED, SHARED, OTHER, FORBIDDEN_V4, PRIVATE_V4):
                self.web.listen(address, 80)
                self.web.listen(address, 443, tls=True)
            self.web.listen(LIMITED, ALLOWED_PORT)
            for address in (ALLOWED, FORBIDDEN_V4, FORBIDDEN_V6):
                self.servers.listen(address, ALLOWED_PORT)
        for address in ("0.0.0.0", "::"):
            self.servers.listen(address, ALLOWED_PORT)

    def close(self) -> None:
        """End all servers."""
        self.dns.close()
        self.web.close()
        self.servers.close()


@contextmanager
def internet(directory: Path) -> Iterator[Internet]:
    """Wire an internet to the namespace this process is in, by the link `uplink`."""
    with ExitStack() as closing:
        namespace = Namespace()
        closing.callback(namespace.close)
        addresses = (ALLOWED, LIMITED, SHARED, OTHER, FORBIDDEN_V4, RESOLVER, PRIVATE_V4, "169.254.169.254")
        _ip(
            f"link add uplink type veth peer name net0 netns {namespace.path}",
            f"addr add {UPLINK_V4}/24 dev uplink",
            f"addr add {UPLINK_V6}/64 dev uplink nodad",
            "link set uplink up",
            f"route add default via {_FAR_V4}",
            f"route add default via {_FAR_V6}",
        )
        closing.callback(_ip, "link del uplink")
        # A kernel answers a sender with a handful of ICMP errors per second; tests ask for more.
        for switch in ("ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"):
            Path("/proc/sys/net", switch).write_text("0")
        namespace.ip(
            f"addr add {_FAR_V4}/24 dev net0",
            f"addr add {_FAR_V6}/64 dev net0 nodad",
            *(f"addr add {address}/32 dev lo" for address in addresses),
            f"addr add {FORBIDDEN_V6}/128 dev lo nodad",
            "link set net0 up",
        )
        made = Internet(namespace, directory)
        closing.callback(made.close)
        made.listen()
        yield made


def _ip(*commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
