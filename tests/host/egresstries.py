"""Where guests under rules try to get to in most tests of the firewall, and how they fare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from createos_netconfig.reasons import Reason

from tests.host.egresslab import (
    ALLOWED_V4,
    ALLOWED_V6,
    FORBIDDEN_V4,
    FORBIDDEN_V6,
    OTHER_V4,
    SHARED_V4,
    EgressLab,
)
from tests.host.netlab import UPLINK_V4, UPLINK_V6, Guest
from tests.host.netserver import ask

PORT, OTHER_PORT = 8080, 9090
_EVERYWHERE = (ALLOWED_V4, FORBIDDEN_V4, SHARED_V4, OTHER_V4, ALLOWED_V6, FORBIDDEN_V6)


@contextmanager
def answering() -> Iterator[EgressLab]:
    """Return a world in which everybody answers on the ports that tests try."""
    with ExitStack() as closing:
        lab = EgressLab(closing)
        with lab.internet.entered():
            for address in _EVERYWHERE:
                for port in (PORT, OTHER_PORT, 53, 853, 443):
                    lab.servers.listen(address, port)
        yield lab


def usual_box(world: EgressLab) -> Guest:
    """Return a guest with a rule of every form."""
    return world.box(
        1, ALLOWED_V4, f"{OTHER_V4}:{PORT}", f"{SHARED_V4}/31:{PORT}", f"[{ALLOWED_V6}]:{PORT}", "allowed.test"
    )


def tries(guest: Guest, address: str, port: int = PORT) -> tuple[str, str]:
    with guest.namespace.entered():
        return ask("tcp", address, port), ask("udp", address, port)


def passes(guest: Guest, address: str, port: int = PORT) -> bool:
    return set(tries(guest, address, port)) == {UPLINK_V6 if ":" in address else UPLINK_V4}


def reasons(world: EgressLab, guest: Guest) -> set[tuple[Reason, str, int]]:
    return {(each.reason, each.target, each.port) for each in world.firewall.refused(guest.endpoint)}
