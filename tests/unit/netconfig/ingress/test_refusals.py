"""What the proxy refuses, and what it says when no program answers."""

from __future__ import annotations

import asyncio

import pytest
from createos_netconfig.errors import NetconfigError
from createos_netconfig.ingress import visitor
from createos_netconfig.ingress.authority import Contexts
from createos_netconfig.ingress.listener import Listener

from tests.unit.netconfig.ingress.conftest import DOMAIN, LABEL, Proxy

GET = "GET /a?b=c HTTP/1.1\nHost: HOST"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("POST / HTTP/1.1\nHost: HOST\nContent-Length: 5\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        ("POST / HTTP/1.1\nHost: HOST\nContent-Length: 5\nContent-Length: 6", b"hello"),
        ("POST / HTTP/1.1\nHost: HOST\nTransfer-Encoding: identity, chunked", b"0\r\n\r\n"),
        ("POST / HTTP/1.1\nHost: HOST\nContent-Length: +5", b"hello"),
        ("POST / HTTP/1.1\nHost: HOST\nContent-Length : 5", b"hello"),
        ("GET http://HOST/ HTTP/1.1\nHost: HOST", b""),
        ("CONNECT HOST:443 HTTP/1.1\nHost: HOST", b""),
        ("GET / HTTP/1.1\nHost: HOST\nHost: other", b""),
        ("GET / HTTP/1.1", b""),
        ("GET / HTTP/1.1\nHost: HOST\nX: a\0b", b""),
        ("GET / HTTP/1.1\nHost: HOST\nX: " + "a" * 100_000, b""),
        ("PRI * HTTP/2.0", b""),
    ],
)
async def test_what_can_be_read_in_two_ways_is_refused(proxy: Proxy, head: str, body: bytes) -> None:
    answer = await proxy.ask(head, body)

    assert answer.split(b" ", 2)[1] in {b"400", b"431", b"501", b"505"}
    assert proxy.heads == []


@pytest.mark.parametrize("host", ["localhost", f"{LABEL}.{DOMAIN}", f"{LABEL}-0.{DOMAIN}", f"{LABEL}-80.evil.example"])
async def test_another_name_leads_nowhere(proxy: Proxy, host: str) -> None:
    answer = await proxy.ask(f"GET / HTTP/1.1\nHost: {host}")

    assert b"404 Not Found" in answer
    assert proxy.heads == []


async def test_who_is_on_this_machine_reads_what_to_do(proxy: Proxy) -> None:
    proxy.open = False

    answer = await proxy.ask(GET)

    assert b"503" in answer
    assert b"createos sandbox resume box" in answer


async def test_a_port_that_nobody_listens_on_is_said(proxy: Proxy) -> None:
    answer = await proxy.ask(f"GET / HTTP/1.1\nHost: {LABEL}-1.{DOMAIN}")

    assert b"503" in answer
    assert b"nothing listens on port 1" in answer
    assert b"0.0.0.0" in answer


async def test_a_program_that_speaks_something_else_is_said(proxy: Proxy) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 smtp ready\r\n")

    proxy.program = nonsense

    answer = await proxy.ask(GET)

    assert b"502" in answer
    assert b"did not answer in HTTP/1.1" in answer


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(proxy: Proxy) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")

    proxy.program = half

    answer = await proxy.ask(GET)

    assert b"half" in answer
    assert b"0\r\n\r\n" not in answer


async def test_a_promise_to_send_a_body_is_answered(proxy: Proxy) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.heads.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    proxy.program = swallow
    reader, writer = await proxy.connect()
    writer.write(f"POST / HTTP/1.1\r\nHost: {proxy.host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
    assert b"100" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.write(b"hello")
    assert b"200" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()

    assert b"expect" not in proxy.heads[0].lower()


async def test_a_head_that_never_ends_is_given_up(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "HEAD_S", 0.2)
    reader, writer = await proxy.connect()
    writer.write(b"GET / HTTP/1.1\r\nX")

    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_body_that_never_comes_is_given_up(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr(visitor, "BODY_S", 0.2)
    proxy.program = patient
    reader, writer = await proxy.connect()
    writer.write(f"POST / HTTP/1.1\r\nHost: {proxy.host}\r\nContent-Length: 5\r\n\r\n".encode())

    assert b"200" not in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_a_sandbox_that_may_no_longer_be_visited_is_cut_off(proxy: Proxy) -> None:
    async def socket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await reader.read()

    proxy.program = socket
    reader, writer = await proxy.connect()
    writer.write(f"GET / HTTP/1.1\r\nHost: {proxy.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    proxy.open = False

    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    writer.close()


async def test_a_taken_port_is_said(proxy: Proxy) -> None:
    other = Listener(DOMAIN, proxy.lease, Contexts(proxy.authority))

    with pytest.raises(NetconfigError, match=f"http of ingress cannot listen on 127.0.0.1 port {proxy.http_port}"):
        await other.open("http", "127.0.0.1", proxy.http_port)
