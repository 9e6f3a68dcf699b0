"""What waits for a slow reader."""

from __future__ import annotations

from createos_engine.drivers.channel.inbox import Data, Inbox


def everything(inbox: Inbox) -> list[Data]:
    return [inbox.get() for _ in range(len(inbox))]


def test_small_pieces_are_joined_and_large_ones_are_not_copied() -> None:
    inbox, large = Inbox(), bytes(50_000)
    for data in (b"a", b"b", large, b"c"):
        inbox.put(1, data)

    read = everything(inbox)

    assert read == [(1, b"ab"), (1, large), (1, b"c")]
    assert read[1].data is large


def test_the_order_of_two_sub_channels_is_kept() -> None:
    inbox = Inbox()
    for sub, data in ((1, b"a"), (2, b"b"), (1, b"c")):
        inbox.put(sub, data)

    assert everything(inbox) == [(1, b"a"), (2, b"b"), (1, b"c")]


def test_a_window_of_single_bytes_is_few_pieces_and_loses_none() -> None:
    inbox = Inbox()
    for index in range(262_144):
        inbox.put(1 + index % 2, bytes([index // 2 % 251]))

    pieces = everything(inbox)

    assert len(pieces) < 2_000
    for sub in (1, 2):
        joined = b"".join(piece.data for piece in pieces if piece.sub == sub)
        assert joined == bytes(index % 251 for index in range(131_072))
