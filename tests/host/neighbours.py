"""What other firewalls of a host load, as they load it; cut down to what decides over packets of sandboxes."""

from __future__ import annotations

from dataclasses import dataclass

# Docker 28 with the default bridge: `iptables-save` after dockerd has started.
_DOCKER = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
COMMIT
"""

# ufw 0.36 after `ufw enable`: incoming and routed denied, outgoing allowed.
_UFW = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
:ufw-before-forward - [0:0]
:ufw-user-input - [0:0]
:ufw-user-forward - [0:0]
-A INPUT -j ufw-before-input
-A FORWARD -j ufw-before-forward
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -j ufw-user-input
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
COMMIT
"""

# firewalld 1.3 with its nftables backend and the zone public: `nft list ruleset`.
_FIREWALLD = """
table inet firewalld {
    chain filter_INPUT {
        type filter hook input priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        ct state invalid drop
        jump filter_INPUT_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        ct state invalid drop
        jump filter_FORWARD_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_INPUT_ZONES {
        iifname "up0" goto filter_IN_public
    }
    chain filter_FORWARD_ZONES {
        iifname "up0" goto filter_FWD_public
    }
    chain filter_IN_public { }
    chain filter_FWD_public { }
    chain filter_IN_trusted { accept; }
    chain filter_FWD_trusted { accept; }
}
"""


@dataclass(frozen=True)
class Neighbour:
    """A firewall: how its rules get into the kernel, and what the commands that doctor names come to there.

    Docker's and nftables' commands are run as they are; ufw and firewalld are programs with a state of their own,
    and what they would add to the kernel's rules stands here instead.
    """

    name: str
    load: tuple[str, ...]
    rules: str
    advice: dict[str, str]


NEIGHBOURS = (
    Neighbour("Docker", ("iptables-nft-restore",), _DOCKER, {}),
    Neighbour(
        "ufw",
        ("iptables-nft-restore",),
        _UFW,
        {
            "ufw route allow in on ct3st-+": "iptables-nft -A ufw-user-forward -i ct3st-+ -j ACCEPT",
            "ufw allow in on ct3st-+": "iptables-nft -A ufw-user-input -i ct3st-+ -j ACCEPT",
        },
    ),
    Neighbour(
        "firewalld",
        ("nft", "-f", "-"),
        _FIREWALLD,
        {
            "firewall-cmd --permanent --zone=trusted --add-interface=ct3st-+": (
                "nft insert rule inet firewalld filter_INPUT_ZONES iifname 'ct3st-*' goto filter_IN_trusted;"
                "nft insert rule inet firewalld filter_FORWARD_ZONES iifname 'ct3st-*' goto filter_FWD_trusted"
            ),
            "firewall-cmd --reload": "true",
        },
    ),
)
