"""Flow of data in one channel: credit both ways, turns, and nobody waiting for somebody else."""

from __future__ import annotations

import asyncio

from createos_engine.drivers.channel.mux import Channel
from createos_engine.drivers.channel.stream import BULK_WINDOW_BYTES, Stream

from tests.fakes.guest import DATA, WINDOW, FakeGuest, GuestStream, flood


async def swallow(stream: GuestStream) -> dict[str, object]:
    size = 0
    while data := await stream.read():
        size += len(data)
    return {"size": size}


async def pour(stream: GuestStream) -> dict[str, object]:
    await flood(stream, int(str(stream.request["size"])))
    return {}


async def test_megabytes_arrive_in_order_and_within_the_window(guest: FakeGuest, channel: Channel) -> None:
    async def count(stream: GuestStream) -> dict[str, object]:
        for number in range(500):
            await stream.write(number.to_bytes(2, "big") * 5_000, sub=1 + number % 2)
        return {}

    guest.scripts["count"] = count
    stream = await channel.open({"kind": "count"})

    received = b"".join([data async for _, data in stream])

    assert received == b"".join(number.to_bytes(2, "big") * 5_000 for number in range(500))


async def test_megabytes_are_sent_only_as_the_guest_grants(guest: FakeGuest, channel: Channel) -> None:
    guest.scripts["swallow"] = swallow
    stream = await channel.open({"kind": "swallow"})

    await stream.send(bytes(5_000_000))
    stream.send_eof()

    assert await stream.result() == {"size": 5_000_000}


async def test_a_sender_waits_while_the_guest_grants_nothing(guest: FakeGuest, channel: Channel) -> None:
    read = asyncio.Event()

    async def read_late(stream: GuestStream) -> dict[str, object]:
        await read.wait()
        return await swallow(stream)

    guest.scripts["late"] = read_late
    stream = await channel.open({"kind": "late"})
    sending = asyncio.create_task(stream.send(bytes(WINDOW + 1)))

    done, _ = await asyncio.wait({sending}, timeout=0.1)
    assert not done
    read.set()
    await sending
    stream.send_eof()

    assert await stream.result() == {"size": WINDOW + 1}


async def test_sending_to_a_stream_that_has_ended_is_no_failure_and_no_wait(guest: FakeGuest, channel: Channel) -> None:
    async def enough(stream: GuestStream) -> dict[str, object]:
        await stream.input.get()
        return {}

    guest.scripts["enough"] = enough
    stream = await channel.open({"kind": "enough"})

    await stream.send(bytes(5_000_000))
    stream.send_eof()
    stream.cancel()

    assert await stream.result() == {}


async def test_a_reader_that_stops_holds_up_only_its_own_stream(guest: FakeGuest, channel: Channel) -> None:
    guest.scripts["pour"] = pour
    unread = await channel.open({"kind": "pour", "size": 10_000_000})
    first = await anext(unread)

    stream = await channel.open({"kind": "pour", "size": 3_000_000})
    read = sum([len(data) async for _, data in stream])

    assert read == 3_000_000
    assert buffered(unread) <= WINDOW
    assert sum([len(data) async for _, data in unread]) == 10_000_000 - len(first.data)


async def test_a_widened_stream_runs_ahead_of_a_reader_that_takes_what_comes(
    guest: FakeGuest, channel: Channel
) -> None:
    guest.scripts["pour"] = pour
    stream = await channel.open({"kind": "pour", "size": 8_000_000})
    stream.widen()
    read = 0
    while read < 2 * BULK_WINDOW_BYTES:
        read += len((await anext(stream)).data)

    other = await channel.open({"kind": "pour", "size": 8_000_000})
    async for _ in other:
        pass

    assert WINDOW < buffered(stream) <= BULK_WINDOW_BYTES
    assert read + sum([len(data) async for _, data in stream]) == 8_000_000


async def test_a_widened_stream_that_nobody_reads_keeps_the_first_window(guest: FakeGuest, channel: Channel) -> None:
    guest.scripts["pour"] = pour
    unread = await channel.open({"kind": "pour", "size": 8_000_000})
    unread.widen()

    async for _ in await channel.open({"kind": "pour", "size": 8_000_000}):
        pass

    assert buffered(unread) <= WINDOW


async def test_a_widened_stream_that_is_discarded_gets_no_more_than_its_window(
    guest: FakeGuest, channel: Channel
) -> None:
    guest.scripts["pour"] = pour
    stream = await channel.open({"kind": "pour", "size": 8_000_000})
    stream.widen()
    for _ in range(40):
        await anext(stream)

    stream.discard()

    assert await stream.result() == {}
    assert stream._receivable <= BULK_WINDOW_BYTES


def buffered(stream: Stream) -> int:
    return sum(len(data) for _, data in stream._inbox._pieces)


async def test_discarded_output_lets_the_guest_end(guest: FakeGuest, channel: Channel) -> None:
    guest.scripts["pour"] = pour
    stream = await channel.open({"kind": "pour", "size": 3_000_000})
    await anext(stream)

    stream.discard()

    assert await stream.result() == {}
    assert [piece async for piece in stream] == []


async def test_two_senders_alternate(guest: FakeGuest, channel: Channel) -> None:
    """Neither of two streams gets far ahead: what the guest reads changes hands within a few frames."""
    order: list[int] = []

    async def note(stream: GuestStream) -> dict[str, object]:
        while data := await stream.read():
            order.extend([stream.number] * (len(data) // 1_000))
        return {}

    guest.scripts["note"] = note
    streams = [await channel.open({"kind": "note"}) for _ in range(2)]

    async def send(stream: Stream) -> None:
        for _ in range(20):
            await stream.send(bytes(200_000))
        stream.send_eof()

    await asyncio.gather(*(send(stream) for stream in streams))
    for stream in streams:
        await stream.result()

    middle = order[: len(order) // 2]
    assert 0.35 < middle.count(1) / len(middle) < 0.65


async def test_a_small_request_overtakes_a_long_upload(guest: FakeGuest, channel: Channel) -> None:
    guest.scripts["swallow"] = swallow
    stream = await channel.open({"kind": "swallow"})
    upload = asyncio.create_task(stream.send(bytes(30_000_000)))
    await guest.until(lambda: len(guest.requests) == 1)

    for _ in range(10):
        await (await channel.open({"kind": "ping"})).result()

    assert not upload.done()
    stream.cancel()
    upload.cancel()


async def test_a_guest_that_reads_nothing_gets_no_heap_of_credit(guest: FakeGuest, channel: Channel) -> None:
    """Output that is consumed while the wire is full must not queue a CREDIT for each piece."""

    async def pour_deaf(stream: GuestStream) -> None:
        stream.link.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(4):
            await stream.raw(DATA, bytes(60_000), flags=1)

    guest.scripts["pour"], guest.scripts["swallow"] = pour_deaf, swallow
    uploads = [await channel.open({"kind": "swallow"}) for _ in range(4)]
    stream = await channel.open({"kind": "pour"})
    await anext(stream)
    filling = asyncio.gather(*(upload.send(bytes(WINDOW)) for upload in uploads))
    await guest.until(lambda: channel._outlet.full)
    queued = channel._connection._transport.get_write_buffer_size()

    for _ in range(3):
        await anext(stream)

    assert channel._connection._transport.get_write_buffer_size() == queued
    guest.links[0].reader._transport.resume_reading()  # type: ignore[attr-defined]
    await filling
    await guest.until(lambda: guest.links[0].streams[stream.number].sendable == WINDOW + 240_000)
