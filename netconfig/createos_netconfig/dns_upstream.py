"""Asking the DNS servers of the host: one socket and one number a question, so that nobody answers in their place."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

import dns.flags
import dns.message

from createos_netconfig.dns_messages import is_answer_to
from createos_netconfig.rules import Address

_FIRST_WAIT_S = 1.5
_TCP_WAIT_S = 4.0
_ROUNDS = 2
_LENGTH = struct.Struct("!H")
DNS_PORT = 53


class NoAnswer(Exception):
    """No server answered in time."""


class Upstream:
    """The servers in order of preference; the next is asked when one does not answer."""

    def __init__(self, servers: Sequence[Address], *, port: int = DNS_PORT, at_once: int = 256) -> None:
        self._servers = tuple(servers)
        self._port = port
        self._turns = asyncio.Semaphore(at_once)

    async def ask(self, question: dns.message.QueryMessage) -> dns.message.Message:
        """Return a server's answer; raise NoAnswer when there is none."""
        wire = question.to_wire()
        async with self._turns:
            for attempt in range(_ROUNDS):
                for server in self._servers:
                    answer = await self._udp(server, question, wire, _FIRST_WAIT_S * (attempt + 1))
                    if answer is not None and answer.flags & dns.flags.TC:
                        answer = await self._tcp(server, question, wire)
                    if answer is not None:
                        return answer
        raise NoAnswer

    async def _udp(
        self, server: Address, question: dns.message.Message, wire: bytes, wait_s: float
    ) -> dns.message.Message | None:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[dns.message.Message | None] = loop.create_future()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Asker(question, answered), remote_addr=(str(server), self._port)
            )
        except OSError:
            return None
        try:
            transport.sendto(wire)
            async with asyncio.timeout(wait_s):
                return await answered
        except TimeoutError:
            return None
        finally:
            transport.close()

    async def _tcp(self, server: Address, question: dns.message.Message, wire: bytes) -> dns.message.Message | None:
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_TCP_WAIT_S):
                reader, writer = await asyncio.open_connection(str(server), self._port)
                writer.write(_LENGTH.pack(len(wire)) + wire)
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                return is_answer_to(question, await reader.readexactly(length))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return None
        finally:
            if writer:
                writer.close()


class _Asker(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers; others are left unheard."""

    def __init__(self, question: dns.message.Message, answered: asyncio.Future[dns.message.Message | None]) -> None:
        self._question = question
        self._answered = answered

    def datagram_received(self, data: bytes, _addr: object) -> None:
        answer = is_answer_to(self._question, data)
        if answer is not None and not self._answered.done():
            self._answered.set_result(answer)

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002  the base class names the parameter
        """Nobody listens there: the next server is asked at once."""
        if not self._answered.done():
            self._answered.set_result(None)
