"""The egress firewall beside its floors, with real packets in namespaces: changes of rules, names, the relay."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median, quantiles
from time import perf_counter

from createos_netconfig.nft import Nft
from createos_netconfig.rules import OPEN, Rules, parse

from tests.host.egresslab import ALLOWED_V4, DNS_SERVER, GATEWAY, SHARED_V4, EgressLab, lookup
from tests.host.netlab import POOL, Guest
from tests.performance.bench import Bench, Figure, timed

MIB = 2**20
# Fewer than one sandbox may ask at once.
QUESTIONS, SENT_MIB = 150, 64
CROWDS, RULES = (1, 100), (1, 100, 1000)
_MEASURED_SLOT, _FIRST_OF_CROWD = 5000, 100


def changes(lab: EgressLab, rounds: int) -> Iterator[Figure]:
    """Let a sandbox out, change its rules, take it back; the floor adds one element to a small set."""
    floor = median(_one_element(rounds))
    endpoint, present = POOL.endpoint(lab.instance, _MEASURED_SLOT), 0
    for crowd in CROWDS:
        for slot in range(_FIRST_OF_CROWD + present, _FIRST_OF_CROWD + crowd):
            other = POOL.endpoint(lab.instance, slot)
            lab.firewall.admit(other, parse([f"9.9.{slot % 250}.9:443"]))
            lab.add_tap(lab.instance, other)
            lab.firewall.hear(other)
        present = crowd
        for count in RULES:
            first, second = (_rules(count, octet) for octet in (11, 12))
            admitted, changed, removed = [], [], []
            for _ in range(rounds):
                admitted.append(timed(lambda first=first: lab.firewall.admit(endpoint, first)))
                changed.append(timed(lambda second=second: lab.firewall.change(endpoint, second)))
                removed.append(timed(lambda: lab.firewall.expel(endpoint)))
            where = f"{count} rules, {crowd} others"
            for what, found in (("add", admitted), ("change", changed), ("remove", removed)):
                yield Figure(f"{what} {where}", median(found), "one element of an nft set", floor, "")


def _one_element(rounds: int) -> Iterator[float]:
    nft, table = Nft(), {"family": "inet", "name": "floor"}
    known = {"family": "inet", "table": "floor", "name": "s", "type": "ipv4_addr"}
    nft.apply([{"add": {"table": table}}, {"add": {"set": known}}])
    for number in range(1, rounds + 1):
        element = {"family": "inet", "table": "floor", "name": "s", "elem": [f"9.9.9.{number}"]}
        yield timed(lambda element=element: nft.apply([{"add": {"element": element}}]))
    nft.apply([{"delete": {"table": table}}])


def _rules(count: int, octet: int) -> Rules:
    return parse([f"{octet}.{number // 250}.{number % 250}.1:443" for number in range(count)]) if count else OPEN


def names(lab: EgressLab, guest: Guest) -> Iterator[Figure]:
    """Ask for names at the gateway, of which half are new to it, and ask the server behind it alone."""
    lab.dns.records |= {f"n{number}.wild.test": [f"A {ALLOWED_V4}"] for number in range(QUESTIONS)}
    with guest.namespace.entered():
        ours = list(_asked(GATEWAY, "n{}.wild.test"))
        again = list(_asked(GATEWAY, "n{}.wild.test"))
    theirs = list(_asked(DNS_SERVER, "n{}.wild.test"))
    for what, found in (("a new name", ours), ("a name again", again)):
        yield Figure(f"DNS, {what}: p50", median(found), "the server alone: p50", median(theirs), "")
        yield Figure(f"DNS, {what}: p99", _p99(found), "the server alone: p99", _p99(theirs), "")


def _asked(server: str, name: str) -> Iterator[float]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect((server, 53))
        for number in range(QUESTIONS):
            labels = b"".join(struct.pack("B", len(label)) + label.encode() for label in name.format(number).split("."))
            question = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
            begun = perf_counter()
            client.send(question)
            client.recv(4096)
            yield (perf_counter() - begun) * 1000


def _p99(found: list[float]) -> float:
    return quantiles(found, n=100)[98]


def relayed(lab: EgressLab, guest: Guest, rounds: int) -> Figure:
    """Download through the relay, to which a name's port 80 leads, and from the same server on another port."""
    with lab.internet.entered():
        for port in (80, 8080):
            server = socket.create_server((SHARED_V4, port))
            threading.Thread(target=_pour, args=(server,), daemon=True).start()
    assert lookup(guest, "one.shared.test") == [SHARED_V4]
    with guest.namespace.entered():
        ours, direct = (median(_download(port) for _ in range(rounds)) for port in (80, 8080))
    return Figure("download through the relay", ours, "direct", direct, "", "MiB/s")


def _pour(server: socket.socket) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (SENT_MIB * MIB)
    while True:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(head + bytes(SENT_MIB * MIB))


def _download(port: int) -> float:
    got, begun = 0, perf_counter()
    with socket.create_connection((SHARED_V4, port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: one.shared.test\r\n\r\n")
        while got < SENT_MIB * MIB:
            got += len(client.recv(MIB))
    return SENT_MIB / (perf_counter() - begun)


def measure(bench: Bench) -> list[Figure]:
    """Return every figure; no guest is booted for it."""
    with ExitStack() as closing:
        lab = EgressLab(closing)
        guest = lab.box(1, "one.shared.test", "*.wild.test")
        return [*names(lab, guest), relayed(lab, guest, bench.rounds), *changes(lab, bench.rounds)]
