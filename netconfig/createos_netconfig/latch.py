"""What keeps a link closed when our rules are not there: nothing in it depends on nftables or on a running daemon.

Whoever empties the ruleset (`nft flush ruleset`, a firewall that starts again) must not open a sandbox. So each link
has a filter of its own, which closes it, and a rule of ours undoes that for what is then judged:

| where | filter | undone by |
|---|---|---|
| a tap, inwards | the frame is for somebody else, so the host's IP, IPv6 and ARP ignore it | `hearing` |
| a port, inwards and outwards | the frame is marked, and not sent to a port with the mark | `bridge_rules` |
| a bridge, inwards | dropped: the host has no business there | nothing |
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum

from createos_netconfig.bpf import Program

UNJUDGED = 0x435245FF
"""The mark of a frame that no rule of a private network has seen."""

# linux/if_packet.h, linux/pkt_cls.h, linux/bpf.h
_OTHERHOST = 3
_NEXT, _DROP = -1, 2
_CHANGE_TYPE = 32
_MARK = 8
_MOVE, _CALL, _EXIT, _STORE_WORD, _LOAD_WORD, _JUMP_UNLESS = 0xB7, 0x85, 0x95, 0x63, 0x61, 0x55
_END = ((_MOVE, 0, 0, 0, _NEXT), (_EXIT, 0, 0, 0, 0))

_UNHEARD = Program("unheard", ((_MOVE, 2, 0, 0, _OTHERHOST), (_CALL, 0, 0, 0, _CHANGE_TYPE), *_END))
_MARKED = Program("unjudged", ((_MOVE, 2, 0, 0, UNJUDGED), (_STORE_WORD, 1, 2, _MARK, 0), *_END))
_JUDGED_ONLY = Program(
    "judged_only",
    (
        (_LOAD_WORD, 2, 1, _MARK, 0),
        (_MOVE, 0, 0, 0, _NEXT),
        (_JUMP_UNLESS, 2, 0, 1, UNJUDGED),
        (_MOVE, 0, 0, 0, _DROP),
        (_EXIT, 0, 0, 0, 0),
    ),
)
_SHUT = Program("shut", ((_MOVE, 0, 0, 0, _DROP), (_EXIT, 0, 0, 0, 0)))

# TC_H_CLSACT with its two sides (linux/pkt_sched.h).
_INWARDS, _OUTWARDS = 0xFFFFFFF2, 0xFFFFFFF3


class Latch(Enum):
    """The filters of a kind of link."""

    TAP = ((_INWARDS, _UNHEARD),)
    PORT = ((_INWARDS, _MARKED), (_OUTWARDS, _JUDGED_ONLY))
    BRIDGE = ((_INWARDS, _SHUT),)


def check() -> None:
    """Load every program and let it go again; NetconfigError when the kernel or this user's rights do not allow it."""
    for latch in Latch:
        with loaded(latch):
            pass


@contextmanager
def loaded(latch: Latch) -> Iterator[Iterable[tuple[int, str, int]]]:
    """Load a latch's programs and give (side, name, descriptor) of each."""
    handles: list[int] = []
    try:
        found = []
        for side, program in latch.value:
            handles.append(program.load())
            found.append((side, program.name, handles[-1]))
        yield found
    finally:
        for handle in handles:
            os.close(handle)
