"""Rules and links come, stay and go: one sandbox never disturbs another, and a daemon's death nobody."""

from __future__ import annotations

import json
import socket
import threading
import time
from ipaddress import IPv4Network, IPv6Network

import pytest
from createos_netconfig.addresses import Pool
from createos_netconfig.errors import NetconfigError
from createos_netconfig.firewall import Firewall
from createos_netconfig.names import Instance
from createos_netconfig.nft import Nft

from tests.host.netlab import POOL, SERVER_V4, SERVER_V6, UPLINK_V4, UPLINK_V6, Lab
from tests.host.netserver import PROHIBITED, REFUSED, SILENCE, ask

pytestmark = pytest.mark.root

PORT = 8080
OTHER = Instance("0th3")


@pytest.fixture
def net(lab: Lab) -> Lab:
    """Return a world whose internet listens and is known to the host."""
    with lab.internet.entered():
        for address in (SERVER_V4, SERVER_V6):
            lab.servers.listen(address, PORT)
    assert (ask("tcp", SERVER_V4, PORT), ask("tcp", SERVER_V6, PORT)) == (UPLINK_V4, UPLINK_V6)
    return lab


def state(lab: Lab) -> object:
    """Return the whole kernel state of our rules, without numbers that count up."""
    listed = json.loads(lab.host.run("nft", "--json", "list", "ruleset"))["nftables"]
    for entry in listed:
        for what in entry.values():
            what.pop("handle", None)
            if "elem" in what:
                what["elem"].sort(key=str)
    return sorted(listed, key=str)


def test_a_tap_that_nobody_admitted_gets_nothing(net: Lab) -> None:
    guest, other = net.guest(1, admitted=False), net.guest(2)
    net.servers.listen("0.0.0.0", PORT)

    with guest.namespace.entered():
        for address in (SERVER_V4, SERVER_V6, UPLINK_V4, "169.254.77.1", other.v4, other.v6):
            assert ask("tcp", address, PORT, patience_s=0.2) in {SILENCE, PROHIBITED}


def test_nothing_is_sent_into_a_tap_that_nobody_admitted(net: Lab) -> None:
    guest = net.guest(1, admitted=False)
    with guest.namespace.entered():
        net.servers.listen(guest.v4, PORT)

    assert ask("udp", guest.v4, PORT, patience_s=0.2) != "169.254.77.1"
    assert [line for line in net.servers.seen if "who am I?" in line] == []


def test_an_expelled_sandbox_is_silent_at_once_and_its_neighbour_notices_nothing(net: Lab) -> None:
    leaver, stayer = net.guest(1), net.guest(2)
    with net.internet.entered():
        server = socket.create_server((SERVER_V4, 9000))
    clients = []
    for guest in (leaver, stayer):
        with guest.namespace.entered():
            clients.append(socket.create_connection((SERVER_V4, 9000), timeout=20))
    ends = [server.accept()[0] for _ in clients]

    net.firewall.expel(leaver.endpoint)
    for end in ends:
        end.send(b"still there?")

    assert clients[1].recv(64) == b"still there?"
    clients[0].settimeout(0.3)
    with pytest.raises(TimeoutError):
        clients[0].recv(64)
    for each in (server, *clients, *ends):
        each.close()


def test_a_reinstall_under_traffic_keeps_flows_and_members(net: Lab) -> None:
    guest = net.guest(1)
    with net.internet.entered():
        server = socket.create_server((SERVER_V4, 9000))
    with guest.namespace.entered():
        client = socket.create_connection((SERVER_V4, 9000), timeout=20)
    end = server.accept()[0]
    installing = threading.Event()
    echoed = [0]

    def echo() -> None:
        while data := end.recv(64):
            end.sendall(data)

    thread = threading.Thread(target=echo)
    thread.start()

    def talk() -> None:
        while not installing.is_set():
            client.sendall(b"x" * 64)
            assert client.recv(64, socket.MSG_WAITALL) == b"x" * 64
            echoed[0] += 1

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        for _ in range(8):
            before = echoed[0]
            net.reinstall()
            _wait(lambda before=before: echoed[0] > before)
    finally:
        installing.set()
        talker.join()
        client.close()
        thread.join()
        end.close()
        server.close()

    assert net.firewall.members() == {guest.endpoint.interface}


def test_a_daemon_that_starts_again_keeps_everybody(net: Lab) -> None:
    guests = [net.guest(1), net.guest(2)]
    before = state(net)

    net.reinstall()

    assert state(net) == before
    for guest in guests:
        with guest.namespace.entered():
            assert ask("tcp", SERVER_V4, PORT) == UPLINK_V4


def test_what_was_admitted_and_expelled_leaves_no_trace(net: Lab) -> None:
    net.firewall.admit(POOL.endpoint(net.instance, 7))
    before = state(net)

    net.firewall.admit(POOL.endpoint(net.instance, 8))
    net.firewall.admit(POOL.endpoint(net.instance, 8))
    net.firewall.expel(POOL.endpoint(net.instance, 8))
    net.firewall.expel(POOL.endpoint(net.instance, 8))

    assert state(net) == before


def test_one_that_comes_back_is_let_in_and_can_be_put_out_again(net: Lab) -> None:
    guest = net.guest(1)
    net.firewall.expel(guest.endpoint)
    net.firewall.expel(guest.endpoint)
    before = state(net)

    net.firewall.admit(guest.endpoint)
    net.firewall.hear(guest.endpoint)
    with guest.namespace.entered():
        assert ask("tcp", SERVER_V4, PORT) == UPLINK_V4
    net.firewall.expel(guest.endpoint)

    assert state(net) == before


def test_removing_the_rules_removes_only_ours(net: Lab) -> None:
    net.host.run("nft", "add table inet somebody; add chain inet somebody else")
    Firewall(OTHER, POOL, net.policy, Nft()).install()

    net.firewall.remove()
    net.firewall.remove()

    tables = net.host.run("nft", "list tables")
    assert "somebody" in tables
    assert OTHER.table in tables
    assert net.instance.table not in tables


def test_refused_commands_change_nothing(net: Lab) -> None:
    before = state(net)
    rules = [
        {"add": {"table": {"family": "inet", "name": "half"}}},
        {"delete": {"table": {"family": "ip", "name": "x"}}},
    ]

    with pytest.raises(NetconfigError, match="nftables refused"):
        Nft().apply(rules)

    assert state(net) == before


def test_a_hundred_sandboxes_reach_the_internet_and_not_each_other(net: Lab) -> None:
    for slot in range(3, 101):
        net.firewall.admit(POOL.endpoint(net.instance, slot))
        net.add_tap(net.instance, POOL.endpoint(net.instance, slot))
    first, last = net.guest(1), net.guest(101)
    with last.namespace.entered():
        net.servers.listen(last.v4, PORT)

    for guest in (first, last):
        with guest.namespace.entered():
            assert ask("tcp", SERVER_V4, PORT) == UPLINK_V4
    with first.namespace.entered():
        assert ask("tcp", last.v4, PORT) == REFUSED
    assert len(net.firewall.members()) == 100


def test_two_engines_side_by_side_do_not_reach_each_other(net: Lab) -> None:
    pool = Pool(IPv4Network("10.78.0.0/24"), IPv6Network("fd78::/64"))
    theirs = Firewall(OTHER, pool, net.policy, Nft())
    theirs.install()
    theirs.admit(pool.endpoint(OTHER, 1))
    mine, other = net.guest(1), net.guest(1, instance=OTHER, pool=pool)
    theirs.hear(other.endpoint)
    for guest in (mine, other):
        with guest.namespace.entered():
            net.servers.listen(guest.v4, PORT)
            net.servers.listen(guest.v6, PORT)

    for asker, asked in ((mine, other), (other, mine)):
        with asker.namespace.entered():
            assert ask("tcp", SERVER_V4, PORT) == UPLINK_V4
            assert (ask("tcp", asked.v4, PORT), ask("udp", asked.v6, PORT)) == (REFUSED, PROHIBITED)


def test_two_engines_with_one_subnet_are_told_so(net: Lab) -> None:
    mine = net.guest(1)
    theirs = Firewall(OTHER, POOL, net.policy, Nft())
    theirs.install()

    with pytest.raises(NetconfigError, match="routed to another interface already"):
        net.guest(1, instance=OTHER)

    with mine.namespace.entered():
        assert ask("tcp", SERVER_V4, PORT) == UPLINK_V4


def _wait(condition: object) -> None:
    end = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.002)
