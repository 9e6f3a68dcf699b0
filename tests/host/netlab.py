"""A small world of network namespaces: a host with our rules, an internet behind its uplink, and guests behind taps."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from createos_netconfig.addresses import GATEWAY_V4, GATEWAY_V6, Endpoint, Pool
from createos_netconfig.firewall import Firewall
from createos_netconfig.links import Links
from createos_netconfig.names import Instance
from createos_netconfig.nft import Nft
from createos_netconfig.ruleset import Policy

from tests.host.netserver import Servers

POOL = Pool(IPv4Network("10.77.0.0/16"), IPv6Network("fd77:c05b::/64"))
UPLINK_V4, UPLINK_V6, UPLINK_LINK_LOCAL = "198.51.100.2", "2001:db8:1::2", "fe80::77"
LAN_V4, LAN_V6 = "192.168.50.2", "fd50::2"
SERVER_V4, SERVER_V6 = "203.0.113.10", "2001:db8:2::10"
METADATA = "169.254.169.254"
PRIVATE_SERVER_V4, PRIVATE_SERVER_V6 = "192.168.50.10", "fd50::10"
_MACS = "02:00:00:00:00:01", "02:00:00:00:00:02"
_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000


class Namespace:
    """A network namespace, kept by its descriptor."""

    def __init__(self) -> None:
        with _restored():
            _call("unshare", _CLONE_NEWNET)
            self._handle = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.ip("link set lo up")

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self._handle}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread, and what it starts, live in the namespace; sockets made there stay there."""
        with _restored():
            _call("setns", self._handle, _CLONE_NEWNET)
            yield

    def ip(self, *commands: str) -> str:
        """Run commands of ip(8) in the namespace."""
        return self.run("ip", "-batch", "-", stdin="\n".join(commands))

    def run(self, *argv: str, stdin: str = "") -> str:
        with self.entered():
            done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (argv, stdin, done.stderr)
        return done.stdout

    def sysctl(self, name: str, value: int) -> None:
        with self.entered():
            Path("/proc/sys/net", name).write_text(str(value))

    def close(self) -> None:
        os.close(self._handle)


@dataclass(frozen=True)
class Guest:
    """A namespace that stands for a guest: its eth0 is the other end of what the host takes for a tap."""

    namespace: Namespace
    endpoint: Endpoint

    @property
    def v4(self) -> str:
        return str(self.endpoint.ipv4)

    @property
    def v6(self) -> str:
        return str(self.endpoint.ipv6)


class Lab:
    """The host (in whose namespace the test runs), the internet, and as many guests as a test asks for."""

    def __init__(self, policy: Policy, closing: ExitStack) -> None:
        self._closing = closing
        self.host, self.internet = self.namespace(), self.namespace()
        closing.enter_context(self.host.entered())
        self._wire()
        self.servers = Servers()
        closing.callback(self.servers.close)
        self.instance = Instance("t3st")
        self.policy = policy
        self.firewall = Firewall(self.instance, POOL, policy, Nft())
        self.firewall.install()
        asyncio.run(self._forward())

    def namespace(self) -> Namespace:
        made = Namespace()
        self._closing.callback(made.close)
        return made

    def guest(self, slot: int, *, admitted: bool = True, instance: Instance | None = None, pool: Pool = POOL) -> Guest:
        """Return a configured guest behind a link of an instance."""
        owner = instance or self.instance
        guest = Guest(self.namespace(), pool.endpoint(owner, slot))
        name = guest.endpoint.interface
        if admitted and owner == self.instance:
            self.firewall.admit(guest.endpoint)
        self.host.ip(f"link add {name} type veth peer name eth0 netns {guest.namespace.path}")
        self.add_tap(owner, guest.endpoint)
        if owner == self.instance and name in self.firewall.members():
            self.firewall.hear(guest.endpoint)
        guest.namespace.sysctl("ipv6/conf/eth0/accept_dad", 0)
        guest.namespace.ip(*_guest_commands(guest))
        return guest

    def reinstall(self, policy: Policy | None = None) -> None:
        """Do what a daemon does that starts again, perhaps with another policy: it knows nothing of before."""
        self.firewall = Firewall(self.instance, POOL, policy or self.policy, Nft())
        self.firewall.install()

    def add_tap(self, instance: Instance, endpoint: Endpoint) -> None:
        asyncio.run(_add_tap(instance, endpoint))

    def remove_tap(self, endpoint: Endpoint) -> None:
        asyncio.run(_remove_tap(self.instance, endpoint))

    async def _forward(self) -> None:
        async with Links(self.instance) as links:
            links.enable_forwarding()
            await links.enable_loopback()

    def _wire(self) -> None:
        for world in (self.host, self.internet):
            world.sysctl("ipv6/conf/default/accept_dad", 0)
        self.host.ip(
            f"link add up0 address {_MACS[0]} type veth peer name net0 address {_MACS[1]} netns {self.internet.path}",
            f"addr add {UPLINK_V4}/24 brd + dev up0",
            f"addr add {LAN_V4}/24 brd + dev up0",
            *(f"addr add {address}/64 dev up0 nodad" for address in (UPLINK_V6, LAN_V6, UPLINK_LINK_LOCAL)),
            "link set up0 up",
            # A new link takes a second until IPv6 neighbours find each other.
            f"neigh add 2001:db8:1::1 lladdr {_MACS[1]} dev up0 nud permanent",
        )
        # A kernel answers a sender with a handful of ICMP errors per second; tests ask for more.
        self.host.sysctl("ipv4/icmp_ratelimit", 0)
        self.host.sysctl("ipv6/icmp/ratelimit", 0)
        self.internet.ip(
            "addr add 198.51.100.1/24 dev net0",
            f"addr add {PRIVATE_SERVER_V4}/24 dev net0",
            f"addr add {PRIVATE_SERVER_V6}/64 dev net0 nodad",
            "addr add 2001:db8:1::1/64 dev net0 nodad",
            *(f"addr add {address}/32 dev lo" for address in (SERVER_V4, METADATA)),
            f"addr add {SERVER_V6}/128 dev lo nodad",
            "link set net0 up",
            f"neigh add {UPLINK_V6} lladdr {_MACS[0]} dev net0 nud permanent",
            # Sandboxes are routed to, so that only rules can keep the outside away from them.
            f"route add {POOL.v4} via {UPLINK_V4}",
            f"route add {POOL.v6} via {UPLINK_V6}",
        )
        self.host.ip("route add default via 198.51.100.1", "route add default via 2001:db8:1::1")


def _guest_commands(guest: Guest) -> tuple[str, ...]:
    return (
        f"link set eth0 address {guest.endpoint.mac}",
        f"addr add {guest.v4}/32 dev eth0",
        f"addr add {guest.v6}/128 dev eth0 nodad",
        "link set eth0 up",
        f"route add {GATEWAY_V4} dev eth0",
        f"route add default via {GATEWAY_V4} dev eth0",
        f"route add {GATEWAY_V6} dev eth0",
        f"route add default via {GATEWAY_V6} dev eth0",
    )


async def _add_tap(instance: Instance, endpoint: Endpoint) -> None:
    async with Links(instance) as links:
        await links.add_tap(endpoint)


async def _remove_tap(instance: Instance, endpoint: Endpoint) -> None:
    async with Links(instance) as links:
        await links.remove_tap(endpoint.interface)


def leave_mounts() -> None:
    """Give this thread, and what it starts, a mount namespace of its own."""
    _call("unshare", _CLONE_NEWNS)


@contextmanager
def _restored() -> Iterator[None]:
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        yield
    finally:
        _call("setns", before, _CLONE_NEWNET)
        os.close(before)


def _call(name: str, *numbers: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*numbers):
        raise OSError(ctypes.get_errno(), f"{name} was refused")
