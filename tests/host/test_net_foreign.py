"""A firewall that drops what it does not know lets sandboxes pass after the advice was followed."""

from __future__ import annotations

import pytest
from createos_netconfig.foreign import obstacles
from createos_netconfig.nft import Nft

from tests.host.netlab import SERVER_V4, UPLINK_V4, Lab
from tests.host.netserver import SILENCE, ask

pytestmark = pytest.mark.root

PORT = 8080


def test_the_advice_for_nft_is_exact(lab: Lab) -> None:
    guest = lab.guest(1)
    with lab.internet.entered():
        lab.servers.listen(SERVER_V4, PORT)
    lab.host.run(
        "nft",
        "add table inet filter; add chain inet filter onward { type filter hook forward priority 0; policy drop; }",
    )
    with guest.namespace.entered():
        assert ask("tcp", SERVER_V4, PORT, patience_s=0.3) == SILENCE

    found = obstacles(Nft())
    for obstacle in found:
        lab.host.run("sh", "-c", obstacle.fix)

    assert {obstacle.chain for obstacle in found} == {"inet filter onward"}
    assert obstacles(Nft()) == []
    with guest.namespace.entered():
        assert ask("tcp", SERVER_V4, PORT) == UPLINK_V4
